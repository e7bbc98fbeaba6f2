"""Invariant risk minimisation (IRM, Arjovsky et al., arXiv 1907.02893)."""

import torch
from torch import Tensor, nn

from lookright.batch import Batch
from lookright.methods.domains import by_domain, check_penalty, domain_risks
from lookright.methods.method import Method
from lookright.processes import common


class IRM(Method):
    """L = mean_e CE_e(f) + penalty mean_e (d CE_e(w f) / dw at w = 1)^2 (IRMv1).

    e runs over the domains; w is a scalar factor on all logits. As in the paper and in DomainBed
    (arXiv 2007.01434), the square is estimated by the product of the derivatives on two halves of
    the domain's images. This estimate is unbiased, but it can be negative.

    Needs batches of two domains or more, with at least two images of each: with a single domain the
    penalty would only calibrate the classifier.

    Args:
        model: images (B, 3, H, W) in [0, 1] to logits (B, K).
        penalty: weight of the penalty after the warm-up (1 before); 100 is DomainBed's default.
        warm_up: share of training; 0.1 is DomainBed's default, 500 of 5000 steps. DomainBed also
            resets Adam after it; here that is left to the training loop.

    Raises:
        UserError: a negative penalty; a warm-up outside [0, 1); a batch with too few domains or
            images.
    """

    needs_domains = True

    def __init__(self, model: nn.Module, penalty: float = 100.0, warm_up: float = 0.1) -> None:
        super().__init__(model)
        check_penalty(penalty, warm_up)
        self.penalty = penalty
        self.warm_up = warm_up

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        members = by_domain(batch, "IRM", images=2)
        logits, y = self.model(batch.images), batch.labels
        labelled = logits.gather(1, y[:, None])[:, 0]
        labelled = labelled.lerp(logits.mean(1), self.label_smoothing)
        gradients = (logits.softmax(1) * logits).sum(1) - labelled
        one = common(torch.stack([gradients[i[::2]].mean() for i in members.values()]))
        other = common(torch.stack([gradients[i[1::2]].mean() for i in members.values()]))
        weight = self.penalty if self.progress >= self.warm_up else 1.0
        return {
            "clean": domain_risks(self.cross_entropy(logits, y, "none"), members).mean(),
            "invariance": weight * (one * other).mean(),
        }
