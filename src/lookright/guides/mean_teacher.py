"""The explanation by a moving average of the model's weights as the guide."""

from copy import deepcopy
from typing import Any, ClassVar, Self
from weakref import ref

import torch
from torch import Tensor, nn

from lookright.batch import Batch
from lookright.guides.guide import Guide, Target, check_share
from lookright.models.average import average_in, tensors_of


class MeanTeacher(nn.Module, Guide):
    """The clean image's explanation by a moving average of the model (mean teacher).

        average <- d average + (1 - d) weights,   d = min(decay, (1 + t) / (10 + t)) in step t

    Tarvainen and Valpola, NeurIPS 2017, section 2, for answers; for explanations it is this
    project's own. BatchNorm's statistics are averaged likewise, and the average is in evaluation
    mode. Neither the average nor its maps have a gradient, so the model cannot make its target
    easier.

    Args:
        decay: d, in [0, 1).
        warm_up: share of training during which the average is neither updated nor used.

    Raises:
        UserError: an argument out of range.
    """

    of_model: ClassVar[bool] = True
    steps: Tensor

    def __init__(self, decay: float = 0.99, warm_up: float = 0.25) -> None:
        super().__init__()
        check_share(decay=decay, warm_up=warm_up)
        self.decay = decay
        self.warm_up = warm_up
        self.average: nn.Module | None = None
        self._followed: ref[nn.Module] | None = None
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def begin(self, model: nn.Module) -> None:
        self.average = deepcopy(model).requires_grad_(False).eval()
        self.steps.zero_()
        self._followed = ref(model)

    def has_begun(self, model: nn.Module) -> bool:
        return self._followed is not None and self._followed() is model

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_followed": None}

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.average is not None:
            self.average.eval()
        return self

    def follow(self, model: nn.Module) -> None:
        if self.average is None:
            self.begin(model)
        assert self.average is not None
        average_in(tensors_of(self.average), tensors_of(model), self.decay, int(self.steps))
        self.steps += 1

    @property
    def teacher(self) -> nn.Module | None:
        return self.average

    def forward(self, batch: Batch, saliency: Tensor) -> Target:
        return Target(saliency.detach())
