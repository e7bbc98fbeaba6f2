"""Tiny networks, each with a property that a law needs, and pictures of a model's whole state."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIZE = 12
CLASSES = 3


class Tiny(nn.Module):
    """BatchNorm, dropout and in-place ReLU: everything that a careless caller disturbs."""

    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.second = nn.Conv2d(8, 8, 3, 2, 1)
        self.act = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.first(x - 0.5)))
        return self.head(self.drop(self.act(self.second(x)).mean((2, 3))))


class Smooth(nn.Module):
    """Differentiable to any order, with curvature that rounding does not hide."""

    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, 2, 1)
        self.head = nn.Linear(4, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(3 * self.first(x - 0.5))
        x = F.softplus(self.second(x))
        return 10 * self.head(x.mean((2, 3)))


class Flat(nn.Module):
    """No feature map at all."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(3 * SIZE * SIZE, 8)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.hidden(x.flatten(1)).relu())


class Mute(nn.Module):
    """A feature map that says nothing: logits that do not depend on the image."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(4, CLASSES)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.first(x).mean((2, 3)))


class Overflows(nn.Module):
    """Class 0, and no number where the image is a little brighter."""

    def forward(self, x: Tensor) -> Tensor:
        light = x.mean((1, 2, 3))
        logits = torch.stack((1 - light, light), 1)
        return logits.masked_fill(light[:, None] > 0.41, torch.nan)


class Blocked(nn.Module):
    """No gradient: of the first layer, of the last, or of a function, as quantised programs are."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.first, self.inner, self.where = nn.Identity(), Smooth(), where

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        if self.where == "last":
            return self.inner(x).detach()
        return self.inner(x.detach() if self.where == "first" else _NoGradient.apply(x))


class _NoGradient(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> None:
        return None


class Fails(nn.Module):
    """A model whose k-th forward pass throws, deep inside."""

    def __init__(self, model: nn.Module, at: int) -> None:
        super().__init__()
        self.model, self.at, self.calls = model, at, 0
        self.first = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        x = self.first(x)
        if self.calls == self.at:
            raise BrokenError
        return self.model(x)


class BrokenError(Exception):
    """What `Fails` throws."""


class Counts(nn.Module):
    """Counts forward passes and the images in them."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.passes = model, 0

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        return self.model(x)


def used(model: nn.Module) -> nn.Module:
    """A model in the middle of someone's work: mixed modes, frozen parts, gradients present."""
    model.train()
    for index, module in enumerate(model.modules()):
        module.training = index % 2 == 0 or isinstance(module, nn.BatchNorm2d | nn.Dropout)
    for index, parameter in enumerate(model.parameters()):
        parameter.requires_grad_(index % 3 != 1)
        if index % 2 == 0:
            parameter.grad = torch.randn_like(parameter)
    return model


def state_of(model: nn.Module) -> dict[str, Any]:
    """Everything about a model that a borrower must give back."""
    state: dict[str, Any] = {}
    for name, module in model.named_modules():
        state[f"{name} training"] = module.training
        hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
        state[f"{name} hooks"] = [len(getattr(module, kind)) for kind in hooks]
    for name, parameter in model.named_parameters():
        state[f"{name} requires_grad"] = parameter.requires_grad
        state[f"{name} grad"] = None if parameter.grad is None else parameter.grad.clone()
        state[f"{name} value"] = parameter.detach().clone()
    for name, buffer in model.named_buffers():
        state[f"{name} buffer"] = buffer.clone()
    return state


def same_state(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Whether two pictures of a model agree to the bit."""

    def same(a: Any, b: Any) -> bool:
        if isinstance(a, Tensor) and isinstance(b, Tensor):
            return torch.equal(a, b)
        return type(a) is type(b) and bool(a == b)

    return before.keys() == after.keys() and all(same(before[k], after[k]) for k in before)


def fragile(classes: int = CLASSES) -> tuple[nn.Module, Tensor, Tensor]:
    """A trained model with its images and labels: always right, and easily fooled.

    The class is a faint pattern of +-0.02 under textures a hundred times as strong in energy.
    """
    generator = torch.Generator().manual_seed(3)
    patterns = torch.randn(classes, 3, SIZE, SIZE, generator=generator).sign()
    y = torch.arange(96) % classes
    texture = 0.5 + 0.1 * torch.randn(96, 3, 1, 1, generator=generator)
    x = (texture + 0.02 * patterns[y]).clamp(0, 1)
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Flatten(),
        nn.Linear(3 * SIZE * SIZE, 16),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Linear(16, classes),
    )
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model.eval(), x, y
