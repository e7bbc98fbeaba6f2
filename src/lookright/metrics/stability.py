"""Stability: similarity of an image's saliency maps before and after a change of the image, and of
the maps of different images.

Every function takes two batches (B, h, w) of the same shape and returns (B,); scaling either map
changes nothing. If either map is degenerate, there is no explanation to compare, and the similarity
is 0.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from lookright.distances import Cosine, degenerate
from lookright.errors import UserError
from lookright.metrics.findings import Levels
from lookright.metrics.measure import Measure
from lookright.metrics.questions import FAITHFUL, STAYS_ELSEWHERE, STAYS_UNDER_ATTACK
from lookright.metrics.ranking import average_ranks, top_places

ALIKE = 0.9
"""The cosine above which the maps of different images are nearly the same."""

UNLIKE = 0.9
"""The cosine with the answer's map below which a map shows much that changes no answer."""

PLACES = 16
"""The least number of places of a map whose comparison says where a model looks."""

_SMALLEST = torch.finfo(torch.float64).tiny
FEW = 16
"""The rows and columns of a map, at most, at which those of different images are compared."""


STABILITY_OTHERS = Measure(
    "stability_others",
    "Cosine with other images",
    None,
    "score",
    "Cosine between the saliency of an image and of the other images, attacked: the stability of "
    "maps that do not depend on their image is no higher.",
    question=STAYS_UNDER_ATTACK,
    order=17,
)
STABILITY_COSINE = Measure(
    "stability_cosine",
    "Stability (cosine)",
    True,
    "score",
    "Cosine between the saliency of an image and of its attacked version.",
    beats=("random",),
    question=STAYS_UNDER_ATTACK,
    order=10,
    terminal="column",
    finding=Levels(
        "Whether the explanation stays under attack",
        "Similarity of the explanation before and after the attack",
        "keeps its explanation best",
        percent=False,
        scale="1: unchanged",
        baseline="random",
        beside=(STABILITY_OTHERS, "{} with other images"),
    ),
)
STABILITY_SPEARMAN = Measure(
    "stability_spearman",
    "Stability (Spearman)",
    True,
    "score",
    "Rank correlation between the saliency of an image and of its attacked version.",
    beats=("random",),
    question=STAYS_UNDER_ATTACK,
    order=20,
)
STABILITY_TOPK = Measure(
    "stability_topk",
    "Stability (top 10%)",
    True,
    "score",
    "Share of the 10% most salient places that are still among them under attack; chance is about "
    "0.1, more on small grids.",
    beats=("random",),
    question=STAYS_UNDER_ATTACK,
    order=30,
)
STABILITY_DOMAIN = Measure(
    "stability_domain",
    "Stability across domains",
    True,
    "score",
    "Cosine between the saliency of a sample in this domain and in the training domain, if both "
    "contain the same samples.",
    beats=("random",),
    question=STAYS_ELSEWHERE,
    order=10,
)
STABILITY_CORRUPTED = Measure(
    "stability_corrupted",
    "Stability, corrupted",
    True,
    "score",
    "Cosine between the saliency of an image and of its corrupted version, mean over the "
    "corruptions and their severities.",
    beats=("random",),
    question=STAYS_ELSEWHERE,
    order=20,
)

ANSWER_COSINE = Measure(
    "answer_cosine",
    "Cosine with the answer's map",
    True,
    "score",
    "Cosine between the saliency and that of the logit less the mean of all logits: what all "
    "logits share changes no answer.",
    question=FAITHFUL,
    order=60,
)


def stability_cosine(before: Tensor, after: Tensor) -> Tensor:
    """Cosine similarity of the maps as vectors, in [0, 1] for non-negative maps."""
    before, after, _ = _comparable(before, after)
    return 1 - Cosine()(before, after)


def answer_cosine(saliency: Tensor, answer: Tensor) -> Tensor:
    """`stability_cosine` of a map and that of the logit less the mean of all logits; NaN where the
    latter says nothing."""
    return stability_cosine(saliency, answer).masked_fill(degenerate(answer), torch.nan)


def stability_others(before: Tensor, after: Tensor) -> Tensor:
    """The cosine of maps of different images, of which the batch has all.

    The mean of what it returns is that over all B (B - 1) pairs of one image before and another
    after, and the spread that of the images' shares in it, twice the deviation of a mean of their
    own, since every image is in both (Hoeffding, Annals of Mathematical Statistics 1948): so
    `metrics.mean` has the interval of the pairs. NaN for a single image. On the CPU.
    """
    _check_alike(before, after)
    a, b = directions(before), directions(after)
    own = (a * b).sum(1)
    with_others = (a @ b.sum(0) - own + b @ a.sum(0) - own) / (len(own) - 1)
    return with_others - with_others.mean() / 2


def at_few_places(saliency: Tensor) -> Tensor:
    """Every k-th row and column of (B, h, w), so that at most 16 of each are left."""
    step = -(-max(saliency.shape[1:]) // FEW)
    return saliency[:, ::step, ::step]


def stability_spearman(before: Tensor, after: Tensor) -> Tensor:
    """Spearman's rank correlation in [-1, 1]; ties share their mean rank."""
    before, after, compared = _comparable(before, after)
    a, b = _centred_ranks(before), _centred_ranks(after)
    return compared * (1 - Cosine()(a[:, None], b[:, None])).clamp(min=-1)


def stability_topk(before: Tensor, after: Tensor, share: float = 0.1) -> Tensor:
    """The share in [0, 1] of the most salient places that both maps have in common.

    The top-k intersection of Ghorbani, Abid and Zou (AAAI 2019). share: of the h * w places,
    `top_places` compares round(share * h * w). If it gives different numbers for the two maps, the
    larger is the denominator.
    """
    before, after, compared = _comparable(before, after)
    one, other = top_places(before, share), top_places(after, share)
    places = torch.maximum(one.sum((-2, -1)), other.sum((-2, -1))).clamp(min=1)
    return compared * (one & other).sum((-2, -1)) / places


def _comparable(before: Tensor, after: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Both maps, zero where either is degenerate, and (B,) 1 where neither is degenerate."""
    _check_alike(before, after)
    dtype = torch.promote_types(torch.promote_types(before.dtype, after.dtype), torch.float32)
    before, after = before.to(dtype), after.to(dtype)
    compared = ~(degenerate(before) | degenerate(after))
    keep = compared[:, None, None]
    return torch.where(keep, before, 0), torch.where(keep, after, 0), compared.to(dtype)


def directions(saliency: Tensor) -> Tensor:
    """(B, h * w) of length 1, or zero where the map is degenerate."""
    saliency = saliency.cpu().double()  # some devices have no double precision
    kept = torch.where(degenerate(saliency)[:, None, None], 0, saliency).flatten(1)
    return normalize(kept / kept.abs().amax(1, keepdim=True).clamp(min=_SMALLEST), dim=1)


def _check_alike(before: Tensor, after: Tensor) -> None:
    if before.ndim != 3 or before.shape != after.shape:
        raise UserError(
            "Stability compares two batches of maps (B, h, w) of the same shape, but got "
            f"{tuple(before.shape)} and {tuple(after.shape)}; explain both with the same "
            "explainer."
        )


def _centred_ranks(saliency: Tensor) -> Tensor:
    """(B, h * w) average ranks, centred on 0 and scaled to at most 1/2."""
    ranks = average_ranks(saliency.flatten(1))
    return (ranks - ranks.mean(1, keepdim=True)) / ranks.shape[1]
