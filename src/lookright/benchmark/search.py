"""Hyper-parameters to try: values that are listed, or drawn at random by a hashed name."""

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

from lookright.errors import UserError
from lookright.methods import Method
from lookright.models import Classifier
from lookright.seeds import derived_seed
from lookright.spec import Place, convert, said, spec_of
from lookright.spec.plain import class_path

Setting = Mapping[str, Any]
"""A value for each hyper-parameter, by names such as `method.attack.eps` and `training.lr`."""


class Choice(ABC):
    """The values to try of one hyper-parameter."""

    @abstractmethod
    def values(self, name: str, draws: int) -> tuple[Any, ...]:
        """The values; draws: how many of a range."""


@dataclass(frozen=True)
class Listed(Choice):
    """Each of these values."""

    each: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not self.each:
            raise UserError("Expected one value or more to try of a hyper-parameter, got none.")

    def values(self, name: str, draws: int) -> tuple[Any, ...]:
        return self.each


@dataclass(frozen=True)
class Range(Choice):
    """Values drawn between two ends.

    Args:
        low, high: the ends.
        log: draw the logarithm uniformly, not the value.
        whole: round to whole numbers.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise UserError(
                f"Expected a range from low to a higher high, above 0 where log is true; got "
                f"{self.low:g} to {self.high:g}."
            )

    def values(self, name: str, draws: int) -> tuple[Any, ...]:
        return tuple(self._drawn(name, draw) for draw in range(draws))

    def _drawn(self, name: str, draw: int) -> float:
        """A value that only the name and the number of the draw decide (as in DomainBed)."""
        share = random.Random(derived_seed(draw, "hyper-parameter", name)).random()
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        value = low + share * (high - low)
        value = math.exp(value) if self.log else value
        return round(value) if self.whole else value


def settings(search: Mapping[str, Choice], draws: int) -> Iterator[Setting]:
    """Every combination of the listed values, each with every draw of the ranges."""
    listed = {name: each for name, each in search.items() if isinstance(each, Listed)}
    ranges = {name: each for name, each in search.items() if name not in listed}
    drawn = {name: each.values(name, draws) for name, each in ranges.items()}
    for values in product(*(each.each for each in listed.values())):
        for draw in range(draws if ranges else 1):
            found = dict(zip(listed, values, strict=True))
            yield found | {name: of[draw] for name, of in drawn.items()}


def combinations(search: Mapping[str, Choice], draws: int) -> int:
    """How many `settings` there are."""
    listed = [len(each.each) for each in search.values() if isinstance(each, Listed)]
    return math.prod(listed) * (draws if len(listed) < len(search) else 1)


def with_options(
    method: Callable[[Classifier], Method], options: Mapping[str, Any], name: str
) -> Callable[[Classifier], Method]:
    """The method with other options, by names such as `stability` or `attack.eps`.

    name: of the method, in error messages.

    Raises:
        UserError: an option that it does not have.
    """
    if not options:
        return method
    spec = spec_of(method) if isinstance(method, partial) else {"class_path": _path(method)}
    spec = said({"class_path": spec["class_path"], "init_args": spec.get("init_args", {})})
    for option in sorted(options, key=lambda each: each.count(".")):  # attack, then attack.eps
        node = spec["init_args"]
        *above, last = option.split(".")
        for each in above:
            inner = {} if node.get(each) is None else node[each]
            inner = {"class_path": inner} if isinstance(inner, str) else inner
            if not isinstance(inner, Mapping):
                raise UserError(
                    f"methods.{name} has {inner} for {each}, which is a value without options: "
                    f"correct method.{option} under search."
                )
            node[each] = inner = dict(inner)
            if "class_path" in inner:
                class_path(inner, Place(f"methods.{name}.{each}"))
                node = inner["init_args"] = dict(inner.get("init_args") or {})
            else:
                node = inner
        node[last] = options[option]
    made: Callable[[Classifier], Method] = convert(
        spec, Callable[[Classifier], Method], Place(f"methods.{name}", trust="said")
    )
    return made


def by_oracle(name: str) -> str:
    """What tables call a method whose settings were chosen on the test domains."""
    return f"{name} (oracle)"


def check_free(methods: Mapping[str, bool]) -> None:
    """Raises UserError if one by the oracle, as these say, is called as another method is."""
    for name, chosen in methods.items():
        if chosen and (shown := by_oracle(name)) in methods:
            raise UserError(
                f"'{shown}' is what the table calls a method whose settings the test domains "
                "chose: give that row another name."
            )


def _path(method: Any) -> str:
    return str(spec_of(method)["import"])
