"""What every submodule gives for one image, and whether the logits depend on it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lookright.explainers.layouts import Grid, Layouts, Tokens


@dataclass(frozen=True, eq=False)
class Output:
    """What a submodule gave in its last call, for one image."""

    name: str
    value: Tensor
    grid: Grid | None

    @property
    def skip(self) -> int:
        """The number of tokens that are no patches."""
        return self.grid.skip if isinstance(self.grid, Tokens) else 0

    @property
    def side(self) -> int:
        """The shorter side of the map; 0 without a known layout."""
        return min(self.grid(self.value).shape[-2:]) if self.grid else 0

    @property
    def is_flat(self) -> bool:
        """Whether it has a single position."""
        if self.grid is None:
            return sum(size > 1 for size in self.value.shape) < 2
        return self.grid(self.value)[0, 0].numel() == 1


def outputs_of(model: nn.Module, x: Tensor) -> tuple[Tensor, list[Output]]:
    """The logits, and what every submodule gave, in the order of the calls."""
    layouts = Layouts(model, x)
    values: dict[str, Tensor] = {}

    def note(name: str) -> Callable[..., Tensor | None]:
        def hook(module: nn.Module, inputs: object, output: object) -> Tensor | None:
            for part in output if isinstance(output, tuple | list) else (output,):
                if isinstance(part, Tensor):
                    layouts.learn(part.detach())
            if not isinstance(output, Tensor) or not output.is_floating_point():
                return None
            values.pop(name, None)
            values[name] = output.clone()
            return values[name].clone()  # later layers may write in place

        return hook

    with _hooks(model, note):
        logits = model(x.clone().requires_grad_())
    return logits, [Output(name, value, layouts.of(value)) for name, value in values.items()]


_SIZES = (1.0, 10.0, 100.0, 1000.0)
"""Of the noise: where a network has nearly died, only much of it passes the last activations."""


def changes_logits(model: nn.Module, x: Tensor, output: Output) -> bool:
    """Whether noise at the positions of an output changes any logit."""
    random = torch.Generator().manual_seed(0)

    def replace(size: float) -> Tensor:
        def hook(module: nn.Module, inputs: object, output_: Tensor) -> Tensor:
            changed = output_.clone()
            if size:
                places = changed[:, output.skip :]
                places.copy_(size * torch.randn(places.shape, generator=random))
            return changed

        handle = model.get_submodule(output.name).register_forward_hook(hook)
        try:
            with torch.no_grad():
                return model(x)
        finally:
            handle.remove()

    as_it_is = replace(0.0)
    changes = (replace(size) - as_it_is for size in _SIZES)
    broken = not as_it_is.isfinite().all()  # which is told elsewhere
    return broken or any(bool(each.nan_to_num(0, 0, 0).any()) for each in changes)


@contextmanager
def _hooks(model: nn.Module, hook: Callable[[str], Callable[..., Tensor | None]]) -> Iterator[None]:
    handles = []
    try:
        for name, module in model.named_modules():
            if name:
                handles.append(module.register_forward_hook(hook(name)))
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def awake(model: nn.Module) -> Iterator[None]:
    """Random values for parameters that are all zero, such as those of a head before training.

    They hide which layers the logits depend on.
    """
    asleep = [parameter for parameter in model.parameters() if not parameter.any()]
    before = [parameter.data for parameter in asleep]
    random = torch.Generator().manual_seed(0)
    try:
        for parameter in asleep:
            values = torch.randn(parameter.shape, generator=random)
            parameter.data = 0.1 * values.to(parameter.data)
        yield
    finally:
        for parameter, data in zip(asleep, before, strict=True):
            parameter.data = data
