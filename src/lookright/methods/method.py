"""The interface of a training method."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from lookright.attacks import Attack
from lookright.attacks.gradient import check_untargeted
from lookright.batch import Batch
from lookright.distances import Distance
from lookright.errors import UserError
from lookright.explainers import Explainer
from lookright.guides import Guide
from lookright.guides.silence import cheap_silence
from lookright.models import Classifier, giving_logits
from lookright.models.trial import WrongModelError
from lookright.modes import may_look, recomputing


class Method(nn.Module, ABC):
    """A training objective for a classifier: `method(batch)` gives named, weighted loss terms.

    In your own loop, `sum(method(batch).values()).backward()` gives the gradients of a step.
    `attack` is the attack that the method trains against, None if it trains on clean images only;
    `explainer` makes the explanations of its loss, None if there are none there; `guide` gives
    their targets, None if it does not guide explanations.

    progress: the share of training that is done, in [0, 1]; `fit` sets it before each step, and
    your own loop must set it if the method has a schedule. warm_up: the share of training before
    the full objective is used. needs_domains: whether it compares domains, so that batches must be
    balanced over two or more of them. replays: the number of consecutive steps on each batch.
    label_smoothing: the share of the label that `cross_entropy` spreads evenly over all classes.
    tried: whether the first batch has shown that the model gives logits, and images in [0, 1].
    leads: whether its guide follows its steps; that of a wrapped method follows the wrapper's.
    """

    SPEC_IGNORES: ClassVar[tuple[str, ...]] = ("model",)

    attack: Attack | None = None
    explainer: Explainer | None = None
    guide: Guide | None
    progress: float = 1.0
    warm_up: float = 0.0
    needs_domains: bool = False
    replays: int = 1
    label_smoothing: float = 0.0
    tried: bool = False
    leads: bool = True

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.guide = None

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        wrong = None
        if not self.tried:
            if may_look():
                batch.check()
            if self.keeps_graph and recomputing(self.model):
                raise UserError(
                    f"{type(self).__name__} cannot train with gradient checkpointing, whose second "
                    "forward pass is another one: switch it off, as by set_grad_checkpointing("
                    "False) of timm's networks, and take smaller batches."
                )
            try:
                self.give_logits(batch.images.shape[-1], like=batch.images, anew=False)
            except WrongModelError:
                raise
            except UserError as error:  # only trial images may be too much for it
                wrong, self.tried = error, True
        if self.guide and self.leads and self.training and self.progress >= self.guide.warm_up:
            self.guide.follow(self.model)
        try:
            found: dict[str, Tensor] = super().__call__(batch)
        except Exception as error:
            if wrong is None or isinstance(error, UserError):
                raise
            raise wrong from error
        return found

    def give_logits(
        self,
        image_size: int,
        classes: Sequence[str] = (),
        like: Tensor | None = None,
        anew: bool = True,
    ) -> None:
        """See to it that the model gives logits (`models.giving_logits`), and begin with it.

        A network that gives probabilities, one logit or several outputs is put into a `Classifier`
        that gives logits; a `Classifier` is told what its network gives. anew: a guide that follows
        this model already begins again.
        """
        model = self.model
        found = giving_logits(model, type(model).__name__, image_size, classes, like)
        if isinstance(model, Classifier) and isinstance(found, Classifier):
            model.outputs = found.outputs
            found = model
        for each in self.modules():
            if isinstance(each, Method):
                each.model, each.tried = found, True
                if each.guide and (anew or not each.guide.has_begun(found)):
                    each.guide.begin(found)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """As torch's, into guides that have begun: a `MeanTeacher` has its average only then.

        A network that gives no logits is put into a `Classifier` at the first batch: a state from
        before fits after it, and the other way round.
        """
        for each in self.modules():
            if isinstance(each, Method) and each.guide and not each.guide.has_begun(each.model):
                each.guide.begin(each.model)
        own = self.state_dict().keys()
        unwrapped = {_unwrapped(name): name for name in own}
        found = {
            name if name in own else unwrapped.get(_unwrapped(name), name): value
            for name, value in state_dict.items()
        }
        return super().load_state_dict(found, strict, assign)

    @property
    def keeps_graph(self) -> bool:
        """Whether its gradients need the forward pass as it was, and not computed once more."""
        return self.explainer is not None

    @property
    def compared(self) -> Mapping[str, tuple[Distance, bool]]:
        """The terms that compare explanations: the distance, and whether the target is one too."""
        return {}

    @property
    def met_by_silence(self) -> dict[str, tuple[str, ...]]:
        """The terms that maps which say nothing satisfy better than an unrelated one, with the
        kinds of these maps."""
        found = {name: cheap_silence(*each) for name, each in self.compared.items()}
        return {name: kinds for name, kinds in found.items() if kinds}

    @abstractmethod
    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Scalar loss terms by name, already weighted; the training loss is their sum."""

    def attacked(self, batch: Batch) -> Tensor:
        """x' (B, 3, H, W) of a method that has an attack."""
        assert self.attack is not None
        check_untargeted(self.attack)
        attack = self.attack.on(batch, self.progress, self.guide)
        return attack(self.model, batch.images, batch.labels)

    def cross_entropy(
        self, logits: Tensor, labels: Tensor, reduction: Literal["mean", "sum", "none"] = "mean"
    ) -> Tensor:
        """That of logits (B, K) and labels (B,), in every term that asks for the right answer."""
        return F.cross_entropy(
            logits, labels, reduction=reduction, label_smoothing=self.label_smoothing
        )


@contextmanager
def smoothed_labels(method: Method, share: float) -> Iterator[None]:
    """Inside, the method and those that it wraps have this `label_smoothing`."""
    methods = [each for each in method.modules() if isinstance(each, Method)]
    before = [each.label_smoothing for each in methods]
    try:
        for each in methods:
            each.label_smoothing = share
        yield
    finally:
        for each, former in zip(methods, before, strict=True):
            each.label_smoothing = former


def joined(
    losses: Mapping[str, Tensor], more: Mapping[str, Tensor], adds: Method | Guide
) -> dict[str, Tensor]:
    """Loss terms and `more`, of which some are of what `adds` them to a method's own.

    Raises:
        UserError: both have a term of one name, of which one would be lost.
    """
    if both := sorted(losses.keys() & more.keys()):
        name = type(adds).__name__
        raise UserError(
            f"{name} adds a loss term named {', '.join(both)}, and what it is added to has one of "
            f"that name: give one of them another name, or leave {name} out."
        )
    return {**losses, **more}


def check_weights(**weights: float) -> None:
    """Raise UserError on a negative weight of a loss term."""
    for name, weight in weights.items():
        if not weight >= 0:
            raise UserError(f"The weight '{name}' of a loss term must be 0 or more, got {weight}.")


def _unwrapped(name: str) -> str:
    """The name of a tensor without the `network` of a `Classifier` in it."""
    return ".".join(part for part in name.split(".") if part != "network")
