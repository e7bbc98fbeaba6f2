"""The interface of what is put round a method."""

from collections.abc import Mapping

from lookright.attacks import Attack
from lookright.distances import Distance
from lookright.errors import UserError
from lookright.methods.method import Method


class Wrapper(Method):
    """A method round another one, which declares what that one does; its attack is that one's.

    `forward` hands `progress` on to `method` before it asks it for its terms.

    Raises:
        UserError: what it is put round is no method.
    """

    def __init__(self, method: Method) -> None:
        if not isinstance(method, Method):
            raise UserError(
                f"{type(self).__name__} goes round a method, as in {type(self).__name__}(AT(model))"
                f"; got {type(method).__name__}."
            )
        super().__init__(method.model)
        self.method = method
        self.explainer = method.explainer
        self.guide, method.leads = method.guide, False
        self.warm_up = method.warm_up
        self.needs_domains = method.needs_domains
        self.replays = method.replays

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
