"""AutoAttack: four attacks that need no tuning, one after another."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from logging import Logger, NullHandler
from typing import Literal, get_args

import pyautoattack
import torch
from torch import Generator, Tensor, nn

from lookright.attacks.ball import Ball
from lookright.attacks.borrowed import Predict, as_float32, inside, norm_name, seeded
from lookright.attacks.gradient import Attack, check_input
from lookright.attacks.norms import LInf, Norm
from lookright.attacks.objectives import logits_of
from lookright.attacks.square import searched
from lookright.attacks.worst_case import Run, one_after_another
from lookright.errors import UserError
from lookright.modes import frozen, ordinary

Version = Literal["standard", "plus", "rand"]

_TARGETS = 9


@dataclass(frozen=True)
class AutoAttack(Attack):
    """AutoAttack (Croce & Hein, ICML 2020), run by pyautoattack, the authors' code.

    The standard version runs four attacks, each on the images that withstood the earlier ones: APGD
    on the cross-entropy (100 steps), APGD on the targeted DLR loss (9 targets, 100 steps each),
    targeted FAB (9 targets, 100 steps each) and Square (5000 queries). An image that is
    misclassified without any attack, or that withstands all four, is returned unchanged.

    With fewer than 10 classes the targets are all the other classes. The targeted DLR loss needs
    four classes: with three, untargeted APGD-DLR and untargeted FAB replace the targeted attacks.
    With two there is no DLR loss, and APGD maximises the margin. `parts` names the attacks that are
    run. The library's own checks of the model are skipped, and its log is silenced.

    Args:
        eps: radius of the ball in pixel units, images being in [0, 1]; for L-inf at most 1.
        norm: `LInf()` or `L2()`.
        version: "standard"; "plus", with five restarts and all six attacks; "rand", for models that
            are random at inference: APGD on the cross-entropy and on the DLR loss, each gradient
            averaged over 20 passes.

    Raises:
        UserError: eps out of range; an unknown norm or version; a model with a single class; images
            outside [0, 1]; labels outside the classes.
    """

    eps: float = 8 / 255
    norm: Norm = field(default_factory=LInf)
    version: Version = "standard"

    def __post_init__(self) -> None:
        Ball(self.norm, self.eps)
        norm_name(self.norm)
        if self.version not in get_args(Version):
            raise UserError(
                f"version must be one of {', '.join(get_args(Version))}, got {self.version}."
            )

    def parts(self, classes: int) -> tuple[str, ...]:
        """The attacks run on a model with this many classes, in order: apgd-ce, apgd-t(9), ..."""
        targets = min(_TARGETS, classes - 1)
        renamed = {"apgd-t": f"apgd-t({targets})", "fab-t": f"fab-t({targets})"}
        return tuple(renamed.get(name, name) for name in self._names(classes))

    def __call__(
        self, model: nn.Module, x: Tensor, y: Tensor, generator: Generator | None = None
    ) -> Tensor:
        check_input(model, x, y)
        with frozen(model), seeded(generator) as seed:
            x, y = ordinary(x).contiguous(), ordinary(y)  # the library expects both
            if len(x) == 0 or self.eps == 0:
                return x.clone()
            with torch.no_grad():  # the library enables gradients itself
                return one_after_another(model, x, y, self._attacks(model, x, seed))

    def _names(self, classes: int) -> tuple[str, ...]:
        if classes < 2:
            raise UserError(
                f"AutoAttack needs a model of two classes or more, this one has {classes}."
            )
        few = {"apgd-t": "apgd-dlr", "fab-t": "fab"} if classes < 4 else {}
        if classes == 2:
            few |= {"apgd-t": "apgd-margin", "apgd-dlr": "apgd-margin"}
        return tuple(dict.fromkeys(few.get(name, name) for name in _VERSIONS[self.version]))

    def _attacks(self, model: nn.Module, x: Tensor, seed: int) -> Iterator[Run]:
        classes = logits_of(model, x[:1]).shape[1]
        theirs = self._library(as_float32(model, x.dtype), x.device, seed)
        ball = Ball(self.norm, self.eps)
        targets = min(_TARGETS, classes - 1)
        theirs.apgd_targeted.n_target_classes = theirs.fab.n_target_classes = targets

        def run(name: str) -> Run:
            perturb = _named(theirs, name)
            return lambda x, y: inside(ball, perturb(x.float(), y), x)

        return map(run, self._names(classes))

    def _library(self, model: Predict, device: torch.device, seed: int) -> pyautoattack.AutoAttack:
        theirs = pyautoattack.AutoAttack(
            model,
            norm=norm_name(self.norm),
            eps=self.eps,
            seed=seed,
            device=device,
            version=self.version,
        )
        theirs.apgd.logger = theirs.apgd_targeted.logger = _SILENT
        return theirs


def _named(theirs: pyautoattack.AutoAttack, name: str) -> Run:
    """One attack, configured as in the library's own loop."""
    if name == "square":
        return partial(searched, theirs.square)
    if name == "apgd-t":
        return theirs.apgd_targeted.perturb
    if name == "fab-t":
        theirs.fab.targeted, theirs.fab.n_restarts = True, 1
        return theirs.fab.perturb
    if name == "fab":
        theirs.fab.targeted = False
        return theirs.fab.perturb
    if name == "apgd-margin":
        theirs.apgd.dlr_loss = two_class_margin
    theirs.apgd.loss = "ce" if name == "apgd-ce" else "dlr"
    return theirs.apgd.perturb


def two_class_margin(logits: Tensor, y: Tensor) -> Tensor:
    """For two classes: the other class's logit minus the label's."""
    return (logits.flip(1) - logits).gather(1, y[:, None])[:, 0]


_VERSIONS: dict[Version, tuple[str, ...]] = {
    "standard": ("apgd-ce", "apgd-t", "fab-t", "square"),
    "plus": ("apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t"),
    "rand": ("apgd-ce", "apgd-dlr"),
}
_SILENT = Logger("lookright")
_SILENT.addHandler(NullHandler())
