"""Finding a network's weights in a checkpoint of any tool, by the names and shapes that fit."""

import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from itertools import takewhile
from pathlib import Path

import torch
from torch import Tensor, nn

from lookright.errors import UserError
from lookright.models.reading import read_tensors

Normalisation = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of each channel, for images in [0, 1]."""

_WRAPPERS = re.compile(r"\b(module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
"""What torch's own wrappers add to a name, also inside it (`features.module.0.weight`)."""

_AVERAGED = {"ema", "swa", "averaged", "average", "avg", "teacher"}


@dataclass(frozen=True)
class Found:
    """A network's weights in a file.

    state: by the network's own names; the head may have any number of rows, or be missing.
    normalisation: what the file says of it, if it does.
    """

    state: Mapping[str, Tensor]
    normalisation: Normalisation | None


def find_weights(
    network: nn.Module, path: Path, heads: Sequence[str] = (), headless: bool = False
) -> Found:
    """Find the weights of a network in a file, wherever they are in it, and say where.

    All of the body must be there, under one prefix, and no more of its modules than the network
    has. The head may have another number of classes and another name. Where several parts of the
    file fit, averaged weights come first (ema, swa, teacher; as in timm), then the shortest prefix,
    then the first in the file.

    Args:
        heads: the names of the network's heads.
        headless: whether the head may be missing.

    Raises:
        UserError: no such file, no tensors in it, or the weights of another network.
    """
    held = read_tensors(path)
    own = network.state_dict()
    search = _Search(held, own, heads)
    copies = search.copies()
    if not copies:  # only then are names changed
        plain = _Search({_WRAPPERS.sub("", key): of for key, of in held.items()}, own, heads)
        copies = plain.copies()
        search = plain if copies else search
    whole = [each for each in copies if not search.deeper(each, copies)]
    if not whole:
        raise search.misfit(str(path), copies)
    found = [search.with_head(each, whole) for each in whole]
    found.sort(key=lambda each: (not each.head, not each.averaged, each.prefix.count(".")))
    chosen = found[0]
    if heads and not chosen.head and not headless:
        raise UserError(
            f"{path} holds the network's body, but no head that can be told (expected "
            f"{heads[0]}.weight, a row of {own[f'{heads[0]}.weight'].shape[1]} for each class): "
            "train a head on it by lookright train --weights, or give a file with one."
        )
    others = [each for each in found[1:] if not search.same(chosen, each)]
    normalisation = search.normalisation(chosen)
    said = search.said(chosen, others, normalisation)
    if headless and (of_head := search.unlike(chosen)):
        chosen = replace(chosen, head={})
        said.append(of_head)
    if said:
        warnings.warn(f"{path}: {'; '.join(said)}.", stacklevel=3)
    return Found(search.state(chosen), normalisation)


@dataclass(frozen=True)
class _Copy:
    """All weights of a network's body: under `prefix`, in the mapping whose path is `above`.

    names, head: the keys in the file, by the network's own names.
    """

    prefix: str
    above: str
    names: Mapping[str, str]
    head: Mapping[str, str] = field(default_factory=dict)

    @property
    def used(self) -> set[str]:
        return {*self.names.values(), *self.head.values()}

    @property
    def averaged(self) -> bool:
        return not _AVERAGED.isdisjoint(re.split(r"[._]", self.prefix.lower()))


@dataclass(frozen=True)
class _Search:
    """held: what `read_tensors` gives; own: the network's state; heads: the names of its heads."""

    held: Mapping[str, tuple[str, Tensor]]
    own: Mapping[str, Tensor]
    heads: Sequence[str]

    def of_head(self, name: str) -> bool:
        return name.startswith(tuple(f"{head}." for head in self.heads))

    @property
    def body(self) -> dict[str, Tensor]:
        return {name: value for name, value in self.own.items() if not self.of_head(name)}

    @property
    def needed(self) -> list[str]:
        """The names of the body's weights; older files lack the counters of BatchNorm."""
        return [name for name, value in self.body.items() if not _counts(value)]

    def copies(self) -> list[_Copy]:
        """The places where the whole body is."""
        body, needed = self.body, set(self.needed)
        by_prefix: dict[str, dict[str, str]] = {}
        for key, (_, value) in self.held.items():
            for prefix, name in _divisions(key):
                if name in body and _fits(value, body[name]):
                    by_prefix.setdefault(prefix, {})[name] = key
        return [
            _Copy(prefix, self.held[next(iter(names.values()))][0], names)
            for prefix, names in by_prefix.items()
            if needed and needed <= names.keys()
        ]

    def deeper(self, copy: _Copy, copies: Sequence[_Copy]) -> list[str]:
        """Layers beside the copy's, without which the network would be another one.

        They are in a module of the network, or in a sequence. Beside a network of one's own, whose
        head is not known, all layers count, except for its own once more.
        """
        modules = {name.partition(".")[0] for name in self.own if "." in name}
        taken = {key for each in copies for key in each.used}
        found = []
        for key, (above, value) in self.held.items():
            name = key.removeprefix(copy.prefix)
            if above != copy.above or key in taken or not key.startswith(copy.prefix):
                continue
            again = any(rest in self.own for _, rest in _divisions(name))
            strict = not self.heads and value.numel() > 3 and not again
            first = name.partition(".")[0]
            if value.is_floating_point() and not self.of_head(name):
                found += [name] * (first in modules or first.isdigit() or strict)
        return found

    def with_head(self, copy: _Copy, copies: Sequence[_Copy]) -> _Copy:
        """The copy with its head: of the network's name, or the only layer that is left."""
        in_head = [name for name in self.own if self.of_head(name)]
        named = {name: copy.prefix + name for name in in_head}
        if self.is_head(named):
            return replace(copy, head=named)
        if len(self.heads) != 1:
            return copy
        taken = {key for each in copies for key in each.used}
        apart = [each.prefix for each in copies if not copy.prefix.startswith(each.prefix)]
        left = [
            key
            for key, (_, value) in self.held.items()
            if key.endswith("weight") and value.ndim > 1 and key not in taken
            if not key.startswith(tuple(apart))
        ]
        near = max((_shared(copy.prefix, key) for key in left), default=0)
        left = [key for key in left if _shared(copy.prefix, key) == near]
        if len(left) != 1:  # which is the head, and does one lie before it?
            return copy
        layer = left[0].removesuffix("weight")
        other = {name: layer + name.rpartition(".")[2] for name in in_head}
        return replace(copy, head=other) if self.is_head(other) else copy

    def is_head(self, keys: Mapping[str, str]) -> bool:
        """Whether these are weights of the head's shape, for one number of classes."""
        if not keys or not self.held.keys() >= set(keys.values()):
            return False
        shapes = {name: self.held[key][1].shape for name, key in keys.items()}
        rows = {shape[:1] for shape in shapes.values()}
        return len(rows) == 1 and all(of[1:] == self.own[n].shape[1:] for n, of in shapes.items())

    def state(self, copy: _Copy) -> dict[str, Tensor]:
        """The weights by the network's names."""
        found = {
            name: value.reshape(self.own[name].shape) if value.numel() == 1 else value
            for name, key in {**copy.names, **copy.head}.items()
            for value in [self.held[key][1]]
        }
        missing = {name: value for name, value in self.own.items() if name not in found}
        return found | {name: value for name, value in missing.items() if _counts(value)}

    def same(self, one: _Copy, other: _Copy) -> bool:
        """Whether two copies hold the same values."""
        mine, theirs = self.state(one), self.state(other)
        return all(torch.equal(mine[name], theirs[name]) for name in mine.keys() & theirs.keys())

    def normalisation(self, copy: _Copy) -> Normalisation | None:
        """That of the buffers nearest to the copy, for a network that does not do it itself."""
        unused = {key: value for key, (_, value) in self.held.items() if key not in copy.used}
        found = _normalisers(unused)
        if not found or _normalisers(self.own):
            return None
        pair = found[max(found, key=lambda parent: _shared(copy.prefix, parent))]
        scale = 255 if pair["mean"].max() > 1 else 1  # for images from 0 to 255
        mean, std = pair["mean"] / scale, pair["std"] / scale
        if not (mean.isfinite().all() and std.isfinite().all() and std.min() > 0):
            return None
        return tuple(mean.tolist()), tuple(std.tolist())

    def said(
        self, copy: _Copy, others: Sequence[_Copy], normalisation: Normalisation | None
    ) -> list[str]:
        """Where the weights are in the file; nothing where they are all that it holds."""
        said, inner = [], copy.prefix.removeprefix(copy.above)
        if copy.above:
            said.append(f"took '{copy.above.removesuffix('.')}'")
        if inner:
            said.append(f"without the prefix '{inner}'")
        for name, key in copy.head.items():
            if key != copy.prefix + name and name.endswith(".weight"):
                layer = key.removeprefix(copy.above).removesuffix(".weight")
                said.append(f"took '{layer}' for the head '{name.removesuffix('.weight')}'")
        beside = [
            _branch(key.removeprefix(above), inner)
            for key, (above, _) in self.held.items()
            if above == copy.above and key not in copy.used
        ]
        if groups := Counter(beside):
            listed = ", ".join(f"'{name}' ({count})" for name, count in list(groups.items())[:5])
            said.append(f"left out {listed}{', ...' if len(groups) > 5 else ''}")
        if others:
            named = ", ".join(repr(each.prefix.removesuffix(".")) for each in others[:3])
            said.append(f"{named} would fit too, with other values: save that alone to take it")
        if normalisation:
            mean, std = (", ".join(f"{each:.4g}" for each in of) for of in normalisation)
            said.append(f"its mean [{mean}] and std [{std}] are taken unless others are given")
        return said

    def unlike(self, copy: _Copy) -> str:
        """What becomes of a head that is missing or has other classes; "" where it fits."""
        rows = {len(self.held[key][1]) for key in copy.head.values()}
        if rows == {len(self.own[name]) for name in self.own if self.of_head(name)}:
            return ""
        gone = f"the head of {rows.pop()} classes is left out" if rows else "it has no head to take"
        return f"{gone}, and {', '.join(self.heads)} starts at zero"

    def misfit(self, source: str, deeper: Sequence[_Copy]) -> UserError:
        """How the file differs from the network, with the nearest five names of both."""
        counts = Counter(
            prefix for key in self.held for prefix, name in _divisions(key) if name in self.own
        )
        prefix = deeper[0].prefix if deeper else max(counts, key=lambda p: counts[p], default="")
        inside = {
            key.removeprefix(prefix): value
            for key, (_, value) in self.held.items()
            if key.startswith(prefix)
        }
        missing = [name for name in self.needed if name not in inside]
        shapes = [n for n in self.needed if n in inside and not _fits(inside[n], self.own[n])]
        surplus = [name for name in inside if name not in self.own]
        theirs = [*surplus, *shapes] or list(inside)

        def likeness(name: str, wanted: str) -> tuple[bool, float]:
            same = inside[name].shape == self.own[wanted].shape
            return same, SequenceMatcher(None, name, wanted).ratio()

        ours = ([*missing, *shapes] or self.needed)[:5]
        near = [max(theirs, key=lambda name: likeness(name, wanted)) for wanted in ours if theirs]
        near = list(dict.fromkeys([*near, *theirs]))[:5]
        return UserError(
            f"{source} holds the weights of another model: {len(missing)} parameters missing, "
            f"{len(surplus)} unexpected, {len(shapes)} of another shape; expected "
            f"{_listed(ours, self.own)}; the file has {_listed(near, inside) or 'no others'}"
            f"{f' under {prefix!r}' if prefix else ''}: give the weights of this model, or name "
            "the model that they belong to."
        )


def _divisions(key: str) -> Iterator[tuple[str, str]]:
    """All ways to divide a key into a prefix and a name."""
    yield "", key
    for dot in re.finditer(r"\.", key):
        yield key[: dot.end()], key[dot.end() :]


def _normalisers(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Pairs of three numbers each, mean (or mu) and std (or sigma), by what is above them."""
    pairs: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        *above, name = key.split(".")
        words = set(name.lower().split("_"))
        for what, called in (("mean", {"mean", "mu"}), ("std", {"std", "sigma"})):
            if value.numel() == 3 and words & called and "running" not in words:
                pairs.setdefault("".join(f"{part}." for part in above), {})[what] = value.flatten()
    return {above: pair for above, pair in pairs.items() if len(pair) == 2}


def _counts(value: Tensor) -> bool:
    return value.numel() == 1 and not value.is_floating_point()


def _fits(value: Tensor, own: Tensor) -> bool:
    return value.shape == own.shape or value.numel() == own.numel() == 1


def _shared(one: str, other: str) -> int:
    """The number of parts, each with its dot, with which both begin."""
    pairs = zip(one.split(".")[:-1], other.split(".")[:-1], strict=False)
    return len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))


def _branch(name: str, prefix: str) -> str:
    """A name up to where it leaves the prefix."""
    return ".".join(name.split(".")[: 1 + _shared(name, prefix)])


def _listed(names: Sequence[str], state: Mapping[str, Tensor]) -> str:
    return ", ".join(f"{name} ({'x'.join(map(str, state[name].shape)) or 1})" for name in names)
