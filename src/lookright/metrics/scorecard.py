"""All measures of an explanation and of its baselines, with as few passes as possible."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

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

Scores = dict[str, Tensor]


@dataclass(frozen=True)
class Scorecard:
    """The measures that need further passes of a batch; passes that several need are shared.

    explainer: the explainer to evaluate; fills: what replaces removed pixels, by name or as a
    function of your own, preferably two or more since the scores depend much on it; steps: points
    of the deletion and insertion curves after the first; squares: squares per side, for infidelity;
    radius, samples: for max-sensitivity; seed: for the randomised model. A batch costs about 2 *
    fills * 3 * (steps + 3) + fills * squares^2 forward passes for the explanation and both
    baselines, and samples + 1 explanations.

    Raises UserError on an unknown fill.
    """

    explainer: Explainer = field(default_factory=GradCAM)
    fills: tuple[str | Fill, ...] = ("blur", "mean")
    steps: int = 16
    squares: int = 8
    radius: float = RADIUS
    samples: int = SAMPLES
    seed: int = 0

    def __post_init__(self) -> None:
        for fill in self.fills:
            fill_of(fill)
        if not self.fills:
            raise UserError("A scorecard needs at least one fill; give blur and mean.")

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The measures of all scores that are one number per image."""
        families = (SUFFICIENCY, COMPREHENSIVENESS, DELETION, INSERTION, INFIDELITY)
        names = [fill_name(fill) for fill in self.fills]
        under = (under_fill(family, name) for family in families for name in names)
        return (*under, MAX_SENSITIVITY, RANDOMISATION_SPEARMAN)

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
        """Removal curves and infidelity, for every map and fill."""
        total = images.shape[-2] * images.shape[-1]
        steps, shares = step_counts(self.steps, total), share_counts(SHARES, images)
        counts = sorted({*steps[1:-1], *shares})
        at_step, at_share = ([counts.index(n) for n in some] for some in (steps[1:-1], shares))
        rankings = [ranks_of(one, images) for one in maps.values()]
        target, start = clean(model, images, target, max_images)
        scores: Scores = {}
        for each in self.fills:
            fill, called = fill_of(each), fill_name(each)
            end = clean(model, fill(images), target, max_images)[1]
            curves = removed_and_kept(model, images, fill, rankings, counts, target, max_images)
            unfaithful = infidelities(
                model,
                images,
                list(maps.values()),
                Squares(fill, self.squares),
                target,
                start,
                max_images,
            )
            for number, name in enumerate(maps):
                removed, kept = curves[:, number]
                deletion = torch.cat([start[:, None], removed[:, at_step], end[:, None]], 1)
                insertion = torch.cat([end[:, None], kept[:, at_step], start[:, None]], 1)
                scores |= {
                    f"comprehensiveness_{called}{name}": start - removed[:, at_share].mean(1),
                    f"sufficiency_{called}{name}": start - kept[:, at_share].mean(1),
                    f"deletion_{called}{name}": area(deletion),
                    f"insertion_{called}{name}": area(insertion),
                    f"infidelity_{called}{name}": unfaithful[number],
                    f"{curve_name('deletion', called)}{name}": deletion,
                    f"{curve_name('insertion', called)}{name}": insertion,
                }
        return scores

    def _explained_again(
        self,
        model: nn.Module,
        images: Tensor,
        maps: Mapping[str, Tensor],
        target: Tensor,
        max_images: int,
    ) -> Scores:
        """Max-sensitivity and the randomisation check, which need new explanations."""
        size = _size(maps[""])
        explains: list[Callable[[Tensor, Tensor], Tensor]] = [
            explained_by(self.explainer, model),
            lambda x, _: baselines(x, size)["random"],
            lambda x, _: baselines(x, size)["centre"],
        ]
        with frozen(model):
            sensitivity = largest_changes(
                explains, images, list(maps.values()), target, self.radius, self.samples, max_images
            )
        random_model = randomised(model, self.seed)
        kept = randomisation_spearman(
            random_model, images, maps[""], self.explainer, target, max_images
        )
        scores = {f"max_sensitivity{name}": sensitivity[number] for number, name in enumerate(maps)}
        scores["randomisation_spearman"] = kept
        for name, one in maps.items():
            if name:  # a baseline does not depend on the model, so it stays the same
                scores[f"randomisation_spearman{name}"] = stability_spearman(one, one)
        return scores


def curve_name(kind: str, fill: str) -> str:
    """The key of a score that is a whole curve; kind: deletion or insertion."""
    return f"{kind}_curve_{fill}"


def _size(saliency: Tensor) -> tuple[int, int]:
    return saliency.shape[-2], saliency.shape[-1]
