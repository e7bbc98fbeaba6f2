"""Correlation alignment (CORAL, Sun & Saenko, ECCV 2016 workshops, arXiv 1607.01719)."""

from itertools import combinations

import torch
from torch import Tensor, nn

from lookright.batch import Batch
from lookright.methods.domains import by_domain, domain_risks
from lookright.methods.head import Head, change_features
from lookright.methods.method import Method, check_weights


class CORAL(Method):
    """L = mean_e CE_e(f) + penalty mean_{e < e'} (MSE(m_e, m_e') + MSE(C_e, C_e')).

    m_e (C,) and C_e (C, C) are the mean and covariance of the head's input features over the images
    of domain e; MSE averages over their entries. The paper aligns the covariances of a source and a
    target domain; as in DomainBed (arXiv 2007.01434), all pairs of training domains are aligned
    here, in their means too. All domains pass through the network in one batch, which matters for
    BatchNorm.

    Needs batches of two domains or more, with at least two images of each, and a network whose last
    layer is linear or a convolution.

    Args:
        model: images (B, 3, H, W) in [0, 1] to logits (B, K).
        penalty: 1 is DomainBed's default (mmd_gamma).

    Raises:
        UserError: a negative penalty; a batch with too few domains or images; a network with
            another last layer.
    """

    needs_domains = True

    def __init__(self, model: nn.Module, penalty: float = 1.0) -> None:
        super().__init__(model)
        check_weights(penalty=penalty)
        self.penalty = penalty

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        members = by_domain(batch, "CORAL", images=2)
        entered: list[Tensor] = []

        def keep(head: Head, features: Tensor) -> Tensor:
            entered.append(head.pooled(features))
            return features

        logits = change_features(self.model, batch.images, keep)
        moments = [_moments(entered[0][index]) for index in members.values()]
        gaps = [
            (mean - other_mean).square().mean() + (cov - other_cov).square().mean()
            for (mean, cov), (other_mean, other_cov) in combinations(moments, 2)
        ]
        return {
            "clean": domain_risks(self.cross_entropy(logits, batch.labels, "none"), members).mean(),
            "alignment": self.penalty * torch.stack(gaps).mean(),
        }


def _moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """The mean (C,) and covariance (C, C) of features (n, C)."""
    return features.mean(0), torch.cov(features.T)
