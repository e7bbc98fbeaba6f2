"""Representation self-challenging (RSC, Huang et al., ECCV 2020, arXiv 2007.02454)."""

import torch
from torch import Tensor, nn

from lookright.batch import Batch
from lookright.errors import UserError
from lookright.methods.head import Head, change_features
from lookright.methods.method import Method
from lookright.models import Outputs


class RSC(Method):
    """L = CE(head(z * m), y), where m mutes the most predictive features z at the head's input.

    For each image, m mutes the share `features` of z with the largest gradient of the label's score
    (eqs. 1 to 4). Muting is applied only to the share `images` of the batch whose label probability
    drops most by it (section 3.3); the others are trained on all of z. A feature without a gradient
    is not muted: of a head that begins at zero none would be left to learn from.

    It does not compare domains, so it can be trained on a single one, with unbalanced batches.
    Needs a network whose last layer is linear or a convolution; scores and probabilities are those
    of that layer.

    Args:
        model: images (B, 3, H, W) in [0, 1] to logits (B, K).
        features: share of features to mute; 1/3 is the default of DomainBed (arXiv 2007.01434).
        images: share of the batch to mute them in; 1/3 is DomainBed's default.

    Raises:
        UserError: a share outside (0, 1); a network with another last layer.
    """

    def __init__(self, model: nn.Module, features: float = 1 / 3, images: float = 1 / 3) -> None:
        super().__init__(model)
        for name, share in {"features": features, "images": images}.items():
            if not 0 < share < 1:
                raise UserError(f"{name} is a share between 0 and 1, got {share}.")
        self.features = features
        self.images = images

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        x, y = batch.images, batch.labels

        def mute(head: Head, z: Tensor) -> Tensor:
            return z * self._kept(head, z.detach(), y)

        return {"muted": self.cross_entropy(change_features(self.model, x, mute), y)}

    @torch.enable_grad()
    def _kept(self, head: Head, z: Tensor, y: Tensor) -> Tensor:
        """m, of the same shape as z: 0 for muted features and 1 elsewhere."""
        scores = _of_classes(head.scores(z.requires_grad_()))
        (gradient,) = torch.autograd.grad(scores.gather(1, y[:, None]).sum(), z)
        kept = _below_top(gradient.flatten(1), self.features).view_as(z) | (gradient == 0)

        muted = _of_classes(head.scores(z * kept))
        fall = (scores.softmax(1) - muted.softmax(1)).detach().gather(1, y[:, None])[:, 0]
        spared = _below_top(fall[None], self.images)[0]
        return (kept | spared.view(-1, *[1] * (z.ndim - 1))).to(z)


def _of_classes(scores: Tensor) -> Tensor:
    """Scores (B, K) of all classes, of two where the head has one logit (B, 1)."""
    return Outputs.ONE_LOGIT(scores) if scores.shape[1] == 1 else scores


def _below_top(values: Tensor, share: float) -> Tensor:
    """(N, D) bool: values below the largest `share` of their row, a quantile of its D - 1 gaps."""
    top = values.topk(1 + int(share * (values.shape[1] - 1)), dim=1).values
    return values < top[:, -1:]
