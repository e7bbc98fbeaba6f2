"""The interface of what is put round a method."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from lookright.attacks import Attack
from lookright.batch import Batch
from lookright.distances import Distance
from lookright.errors import UserError
from lookright.methods.method import Method


class Wrapper(Method):
    """A method round another one, which declares what that one does; its attack is that one's.

    OPTION: what asks for it on the command line.

    Raises:
        UserError: what it is put round is no method.
    """

    OPTION: ClassVar[str]

    def __init__(self, method: Method) -> None:
        if not isinstance(method, Method):
            raise UserError(
                f"{type(self).__name__} goes round a method, as in {type(self).__name__}(AT(model))"
                f" or --method AT {self.OPTION}; got {type(method).__name__}."
            )
        super().__init__(method.model)
        self.method = method
        self.explainer = method.explainer
        self.guide, method.leads = method.guide, False
        self.warm_up = method.warm_up
        self.needs_domains = method.needs_domains
        self.replays = method.replays

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        self.method.progress = self.progress
        return super().__call__(batch)

    @property
    def attack(self) -> Attack | None:
        return self.method.attack

    @attack.setter
    def attack(self, attack: Attack | None) -> None:
        self.method.attack = attack

    @property
    def compared(self) -> Mapping[str, tuple[Distance, bool]]:
        return self.method.compared

    @property
    def keeps_graph(self) -> bool:
        return True

    @property
    def met_by_silence(self) -> dict[str, tuple[str, ...]]:
        return self.method.met_by_silence


def innermost(method: Method) -> Method:
    """The method that all wrappers go round; a method without any is itself."""
    while isinstance(method, Wrapper):
        method = method.method
    return method


def inner_name(method: Method) -> str:
    """The class of the innermost method, which messages about what a method needs speak of."""
    return type(innermost(method)).__name__
