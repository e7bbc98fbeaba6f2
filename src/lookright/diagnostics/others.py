"""Do weaker attacks succeed where the attack failed, and does it succeed in a very large ball?"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Generator, Tensor, nn

from lookright.attacks import FGSM, L2, PGD, Ball, LInf, Square
from lookright.diagnostics.diagnostic import (
    Diagnostic,
    asked,
    clearly,
    fine,
    nothing_to_doubt,
    suspect,
)
from lookright.metrics import correct
from lookright.statistics.bounds import sign_test

_WIDE_STEPS = 10
_SEARCH_BETTER, _STEP_BETTER, _WITHSTANDS, _ALPHA, _RISE = 0.05, 0.1, 0.1, 0.01, 0.01


@dataclass(frozen=True)
class Others:
    """Other attacks, on images that withstood the attack in the ball."""

    ball: Ball
    queries: int

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the values."""
        return ("one step", "black box", "wide", "grey")

    def see(
        self, model: nn.Module, x: Tensor, y: Tensor, generator: Generator | None
    ) -> dict[str, Tensor]:
        """For each image (B,), whether the model is fooled: by FGSM, by Square, by PGD in a large
        ball, and by a uniform grey image, which lies in the large ball of every image."""

        def fooled(z: Tensor) -> Tensor:
            with torch.no_grad():
                return ~correct(model(z), y)

        wide = PGD(steps=_WIDE_STEPS).within(self._wide(x))
        square = Square(queries=self.queries).within(self.ball) if self._searchable(x) else None
        return {
            "one step": fooled(FGSM().within(self.ball)(model, x, y)),
            "black box": torch.full(y.shape, torch.nan, device=y.device)
            if square is None
            else fooled(square(model, x, y, generator)),
            "wide": fooled(wide(model, x, y, generator)),
            "grey": fooled(torch.full_like(x, 0.5)),
        }

    def verdicts(
        self, values: Mapping[str, Tensor], curve: Mapping[float, Tensor]
    ) -> Iterator[Diagnostic]:
        """Verdicts: is a black-box attack stronger, is one step stronger, does the radius matter.

        curve: by radius, (n,) bool, whether the prediction is correct under that attack only.
        """
        searched, stepped = asked(values, "black box"), asked(values, "one step")
        if len(stepped) and not len(searched):
            yield fine(
                "black box",
                "Square was not run: it does not support this ball or images this small.",
            )
        else:
            yield _beaten(
                "black box",
                searched,
                _SEARCH_BETTER,
                f"Square with {self.queries} queries, which uses no gradient,",
                "the gradients are misleading, so report Square with 5000 queries or AutoAttack",
            )
        yield _beaten(
            "one step",
            stepped,
            _STEP_BETTER,
            "A single step (FGSM)",
            "the gradients along the way are misleading, so use more restarts, or report "
            "AutoAttack",
        )
        yield self._radius(values, curve)

    def _radius(self, values: Mapping[str, Tensor], curve: Mapping[float, Tensor]) -> Diagnostic:
        ascending = sorted(curve.items(), key=lambda point: point[0])
        for (small, before), (large, after) in pairwise(ascending):
            up, down = int((after > before).sum()), int((before > after).sum())
            if sign_test(up, down) < _ALPHA and up - down > _RISE * len(after):
                return suspect(
                    "radius",
                    f"Accuracy rises from {_share(before)} at eps {small:.3g} to {_share(after)} "
                    f"at eps {large:.3g}, a ball that contains the smaller one: the attack fails "
                    "there, so use more steps, or report AutoAttack.",
                )
        wide, grey = asked(values, "wide"), asked(values, "grey")
        n, left = len(wide), int(((wide == 0) & (grey == 1)).sum())
        if n == 0:
            return nothing_to_doubt("radius")
        said = (
            f"PGD fails on {left} of {n} images in a ball so large that it contains a uniform grey "
            "image, which the model classifies wrongly"
        )
        if clearly(left, n, _WITHSTANDS):
            return suspect(
                "radius",
                f"{said}: no image can be robust in that ball, so report Square or AutoAttack.",
            )
        return fine("radius", f"{said}; it succeeds on {int(wide.sum())}.")

    def _wide(self, x: Tensor) -> Ball:
        """The ball of the first of the radii 0.5, 1, 2, ... that contains grey for every image."""
        farthest, eps = torch.full_like(x[:1], 0.5), 0.5
        while not torch.allclose(self.ball.norm.project(farthest, eps), farthest):
            eps *= 2
        return Ball(self.ball.norm, eps)

    def _searchable(self, x: Tensor) -> bool:
        """Whether Square supports this ball and this image size."""
        norm = self.ball.norm
        return isinstance(norm, LInf) or (isinstance(norm, L2) and min(x.shape[2:]) >= 5)


def _beaten(name: str, fooled: Tensor, above: float, by: str, then: str) -> Diagnostic:
    n, found = len(fooled), int(fooled.sum())
    if n == 0:
        return nothing_to_doubt(name)
    said = f"{by} fools {found} of {n} images that withstand the attack"
    return suspect(name, f"{said}: {then}.") if clearly(found, n, above) else fine(name, f"{said}.")


def _share(right: Tensor) -> str:
    return f"{float(right.double().mean()):.1%}"
