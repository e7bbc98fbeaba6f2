"""The plan, which is fixed before any image is looked at, and the draw of the images.

The plan holds every choice by which a claim could be made to look better than it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from lookright import metrics
from lookright.claims.values import check_tau
from lookright.data import ImageData, Seen
from lookright.errors import UserError
from lookright.explainers import Explainer, GradCAM
from lookright.explainers.explainer import check_shown
from lookright.perturbations import Attacked, Perturbation, SwappedBackground
from lookright.seeds import derived_seed
from lookright.statistics.bounds import check_delta

Similarity = Literal["cosine", "spearman", "topk"]

SIMILARITIES: dict[Similarity, Callable[[Tensor, Tensor], Tensor]] = {
    "cosine": metrics.stability_cosine,
    "spearman": metrics.stability_spearman,
    "topk": metrics.stability_topk,
}


@dataclass(frozen=True)
class Plan:
    """All choices that are fixed before the draw.

    Args:
        domain: the images are drawn from it; None is the first training domain, or the data's
            first.
        perturbation: what happens to each image.
        n: the number of images. With 200 and delta 0.05, the bound of a share of 75% lies 7 points
            below it, 8 where two models are compared.
        delta: the probability that any bound of the family fails.
        tau: an explanation counts as kept where its similarity to the clean one is tau or more.
        similarity: cosine, spearman or topk, as in `lookright.metrics`.
        explainer: makes the explanations, of the class predicted for the clean image.
        family: the number of bounds that hold together with probability 1 - delta. None counts
            those of one call: three for a model, and three more for its comparison with another. If
            the claims of several calls should hold together, give each call the total.
        seed: of the draw and of the perturbation's random numbers.
    """

    domain: str | None = None
    perturbation: Perturbation = field(default_factory=Attacked)
    n: int = 200
    delta: float = 0.05
    tau: float = 0.8
    similarity: Similarity = "cosine"
    explainer: Explainer = field(default_factory=GradCAM)
    family: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_shown(self.explainer)
        check_delta(self.delta)
        check_tau(self.tau)
        if self.n < 1:
            raise UserError(f"n is a number of images, 1 or more; got {self.n}.")
        if self.similarity not in SIMILARITIES:
            raise UserError(
                f"Expected a similarity out of {', '.join(SIMILARITIES)}; got '{self.similarity}'."
            )

    def domain_of(self, data: ImageData, trained: Sequence[str]) -> str:
        """The domain from which images are drawn; trained: the training domains."""
        return self.domain or next(iter(trained), data.domains[0])


@dataclass(frozen=True)
class Draw:
    """Positions of the images of one domain: those drawn, and the others."""

    domain: str
    where: tuple[int, ...]
    others: tuple[int, ...]


def draw(
    data: ImageData,
    plan: Plan,
    trained: Sequence[str],
    masked: bool = False,
    seen: Seen | None = None,
) -> Draw:
    """A draw without replacement, by the seed, from the images that no model was trained on.

    trained: the names of the training domains. masked: only from images with a mask. seen: the
    images of the trainings; by default those of `trained` outside their test parts.

    Raises:
        UserError: fewer images than the plan draws; data that lack what the perturbation needs.
    """
    domain = plan.domain_of(data, trained)
    data.domain_index(domain)
    if seen is None:
        seen = Seen.in_domains(data, trained)
    possible = set(plan.perturbation.possible(data, domain))
    if masked:
        possible &= set(SwappedBackground().possible(data, domain))
    unseen = seen.unseen(data, domain)
    where = [at for at in unseen if at in possible]
    if masked and plan.n == len(where):
        raise UserError(
            f"Sensitivity to backgrounds takes them from images that are not drawn, but n = "
            f"{plan.n} draws all there are: draw fewer."
        )
    if plan.n > len(where):
        raise UserError(
            f"Domain '{domain}' of {data.name} has {len(where)} images that can be drawn "
            f"({'not trained on' if len(unseen) < len(data.keys(domain)) else 'all of it'}), "
            f"but got n = {plan.n}: draw fewer, or give more images."
        )
    generator = torch.Generator().manual_seed(derived_seed(plan.seed, "certify", domain))
    order = [where[at] for at in torch.randperm(len(where), generator=generator).tolist()]
    return Draw(domain, tuple(order[: plan.n]), tuple(order[plan.n :]))
