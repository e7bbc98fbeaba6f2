"""All measures of an explanation and of its baselines, with as few passes as possible."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

import torch
from torch import Tensor, nn

from lookright.errors import UserError
from lookright.explainers.explainer import Explainer
from lookright.explainers.gradcam import GradCAM
from lookright.metrics.baselines import baselines
from lookright.metrics.deletion import DELETION, INSERTION, area, step_counts
from lookright.metrics.faithfulness import COMPREHENSIVENESS, SHARES, SUFFICIENCY, share_counts
from lookright.metrics.fills import Fill, fill_name, fill_of, under_fill
from lookright.metrics.infidelity import INFIDELITY, Squares, infidelities
from lookright.metrics.measure import Measure
from lookright.metrics.randomisation import (
    RANDOMISATION_SPEARMAN,
    randomisation_spearman,
    randomised,
)
from lookright.metrics.removal import clean, ranks_of, removed_and_kept
from lookright.metrics.sensitivity import (
    MAX_SENSITIVITY,
    RADIUS,
    SAMPLES,
    explained_by,
    largest_changes,
)
from lookright.metrics.stability import stability_spearman
from lookright.modes import frozen
from lookright.named import refuse_same

Scores = dict[str, Tensor]

Family = Literal[
    "sufficiency",
    "comprehensiveness",
    "deletion",
    "insertion",
    "infidelity",
    "max_sensitivity",
    "randomisation_spearman",
]
FAMILIES: Final[tuple[Family, ...]] = get_args(Family)
_UNDER_FILL: Final = {
    "sufficiency": SUFFICIENCY,
    "comprehensiveness": COMPREHENSIVENESS,
    "deletion": DELETION,
    "insertion": INSERTION,
    "infidelity": INFIDELITY,
}
_AT_SHARES: Final[Mapping[Family, bool]] = {"comprehensiveness": False, "sufficiency": True}
_CURVES: Final[Mapping[Family, bool]] = {"deletion": False, "insertion": True}
"""Of removal: whether the first pixels are kept, or else removed."""


@dataclass(frozen=True)
class Scorecard:
    """The measures that need further passes of a batch; passes that several need are shared.

    explainer: the explainer to evaluate; fills: what replaces removed pixels, by name or as a
    function of your own, preferably two or more since the scores depend much on it; steps: points
    of the deletion and insertion curves after the first; squares: squares per side, for infidelity;
    radius, samples: for max-sensitivity; seed: for the randomised model; families: which measures
    are computed. A batch costs about 2 * fills * 3 * (steps + 3) + fills * squares^2 forward passes
    for the explanation and both baselines, and samples + 1 explanations: the squares are for
    infidelity, the samples for max-sensitivity.

    Raises UserError on an unknown fill or family.
    """

    explainer: Explainer = field(default_factory=GradCAM)
    fills: tuple[str | Fill, ...] = ("blur", "mean")
    steps: int = 16
    squares: int = 8
    radius: float = RADIUS
    samples: int = SAMPLES
    seed: int = 0
    families: tuple[Family, ...] = FAMILIES

    def __post_init__(self) -> None:
        unknown = [name for name in self.families if name not in FAMILIES]
        if unknown or not self.families:
            raise UserError(
                f"Expected measures of explanations out of {', '.join(FAMILIES)}; got "
                f"{', '.join(unknown) or 'none'}."
            )
        for fill in self.fills:
            fill_of(fill)
        if not self.fills:
            raise UserError("A scorecard needs at least one fill; give blur and mean.")
        refuse_same(map(fill_name, self.fills), "fills")
        for name in ("steps", "squares", "samples"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be 1 or more, got {getattr(self, name)}.")

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The measures of all scores that are one number per image."""
        names = [fill_name(fill) for fill in self.fills]
        under = (
            under_fill(measures, name)
            for family, measures in _UNDER_FILL.items()
            if family in self.families
            for name in names
        )
        again = (MAX_SENSITIVITY, RANDOMISATION_SPEARMAN)
        return (*under, *(each for each in again if each.key in self.families))

    @property
    def curve_shares(self) -> tuple[float, ...]:
        """The shares of changed pixels, from 0 to 1, at the S points of every curve."""
        return tuple(k / self.steps for k in range(self.steps + 1))

    def __call__(
        self,
        model: nn.Module,
        images: Tensor,
        saliency: Tensor,
        target: Tensor,
        max_images: int = 128,
    ) -> Scores:
        """Scores (B,) by `Measure` key; those of the baselines under `key@random` and `key@centre`.

        images: (B, 3, H, W) in [0, 1]; saliency: (B, h, w), the explanation of class target, (B,)
        int64. At most `max_images` images pass at once. An explainer that draws noise is run again
        with torch's last seed: compute `saliency` right after `torch.manual_seed`, so that new
        noise does not count as a change. The curves, under `curve_name`, are (B, S), at
        `curve_shares`.
        """
        maps = {"": saliency} | {
            f"@{name}": one for name, one in baselines(images, _size(saliency)).items()
        }
        scores = self._faithfulness(model, images, maps, target, max_images)
        return scores | self._explained_again(model, images, maps, target, max_images)

    def _faithfulness(
        self,
        model: nn.Module,
        images: Tensor,
        maps: Mapping[str, Tensor],
        target: Tensor,
        max_images: int,
    ) -> Scores:
        """Removal and infidelity, for every map and fill."""
        if not _UNDER_FILL.keys() & {*self.families}:
            return {}
        target, start = clean(model, images, target, max_images)
        scores: Scores = {}
        for each in self.fills:
            fill, called = fill_of(each), fill_name(each)
            scores |= self._removal(model, images, maps, each, target, start, max_images)
            if "infidelity" in self.families:
                squares = Squares(fill, self.squares)
                unfaithful = infidelities(
                    model, images, list(maps.values()), squares, target, start, max_images
                )
                for number, name in enumerate(maps):
                    scores[f"infidelity_{called}{name}"] = unfaithful[number]
        return scores

    def _removal(
        self,
        model: nn.Module,
        images: Tensor,
        maps: Mapping[str, Tensor],
        named: str | Fill,
        target: Tensor,
        start: Tensor,
        max_images: int,
    ) -> Scores:
        """What removing or keeping the most salient pixels does, for every map under one fill."""
        at_shares, curves = self._asked(_AT_SHARES), self._asked(_CURVES)
        kinds = sorted({*at_shares.values(), *curves.values()})
        if not kinds:
            return {}
        fill, called = fill_of(named), fill_name(named)
        total = images.shape[-2] * images.shape[-1]
        steps = step_counts(self.steps, total)[1:-1] if curves else []
        shares = share_counts(SHARES, images) if at_shares else []
        counts = sorted({*steps, *shares})
        at_step, at_share = ([counts.index(n) for n in some] for some in (steps, shares))
        rankings = [ranks_of(one, images) for one in maps.values()]
        found = removed_and_kept(model, images, fill, rankings, counts, target, max_images, kinds)
        if curves:
            end = clean(model, fill(images), target, max_images)[1]
        scores: Scores = {}
        for number, name in enumerate(maps):
            for family, kept in at_shares.items():
                there = found[kinds.index(kept), number, :, at_share]
                scores[f"{family}_{called}{name}"] = start - there.mean(1)
            for family, kept in curves.items():
                there = found[kinds.index(kept), number, :, at_step]
                first, last = (end, start) if kept else (start, end)
                curve = torch.cat([first[:, None], there, last[:, None]], 1)
                scores[f"{family}_{called}{name}"] = area(curve)
                scores[f"{curve_name(family, called)}{name}"] = curve
        return scores

    def _asked(self, families: Mapping[Family, bool]) -> Mapping[Family, bool]:
        return {name: kept for name, kept in families.items() if name in self.families}

    def _explained_again(
        self,
        model: nn.Module,
        images: Tensor,
        maps: Mapping[str, Tensor],
        target: Tensor,
        max_images: int,
    ) -> Scores:
        """Max-sensitivity and the randomisation check, which need new explanations."""
        scores: Scores = {}
        if "max_sensitivity" in self.families:
            size = _size(maps[""])
            explains: list[Callable[[Tensor, Tensor], Tensor]] = [
                explained_by(self.explainer, model),
                lambda x, _: baselines(x, size)["random"],
                lambda x, _: baselines(x, size)["centre"],
            ]
            with frozen(model):
                changes = largest_changes(
                    explains,
                    images,
                    list(maps.values()),
                    target,
                    self.radius,
                    self.samples,
                    max_images,
                )
            scores |= {f"max_sensitivity{name}": changes[k] for k, name in enumerate(maps)}
        if "randomisation_spearman" in self.families:
            scores["randomisation_spearman"] = (
                randomisation_spearman(
                    randomised(model, self.seed),
                    images,
                    maps[""],
                    self.explainer,
                    target,
                    max_images,
                )
                if any(True for _ in model.parameters())
                else torch.full_like(target, torch.nan, dtype=torch.float32)  # a frozen program
            )
            for name, one in maps.items():
                if name:  # a baseline does not depend on the model, so it stays the same
                    scores[f"randomisation_spearman{name}"] = stability_spearman(one, one)
        return scores


def curve_name(kind: str, fill: str) -> str:
    """The key of a score that is a whole curve; kind: deletion or insertion."""
    return f"{kind}_curve_{fill}"


def _size(saliency: Tensor) -> tuple[int, int]:
    return saliency.shape[-2], saliency.shape[-1]
