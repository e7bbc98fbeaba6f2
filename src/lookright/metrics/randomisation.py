"""The model-randomisation check: an explanation of the model must not outlive its weights."""

from collections.abc import Iterator
from copy import deepcopy

import torch
from torch import Tensor, nn

from lookright.explainers.explainer import Explainer
from lookright.metrics.measure import Measure
from lookright.metrics.questions import SPECIFIC
from lookright.metrics.sensitivity import explained_by
from lookright.metrics.stability import stability_spearman
from lookright.modes import frozen
from lookright.seeds import derived_seed

RANDOMISATION_SPEARMAN = Measure(
    "randomisation_spearman",
    "Kept when randomised",
    False,
    "score",
    "Rank correlation between the explanation of the model and that of the same model with all its "
    "weights drawn anew; an explanation that shows what was learned is near 0.",
    question=SPECIFIC,
    order=20,
)


def randomisation_spearman(
    random_model: nn.Module,
    images: Tensor,
    saliency: Tensor,
    explainer: Explainer,
    target: Tensor,
    max_images: int = 128,
) -> Tensor:
    """(B,) in [-1, 1]: Spearman correlation of the saliency and a randomised model's explanation.

    The similarity of Adebayo et al. (NeurIPS 2018, section 4), of maps without signs. random_model:
    from `randomised` or `cascade`; images: (B, 3, H, W) in [0, 1]; saliency: (B, h, w), the
    explanation of the model as it was trained; target: (B,) int64, the class explained in both.
    Where either map says nothing it is 0.
    """
    explain = explained_by(explainer, random_model)
    with frozen(random_model):
        chunks = zip(images.split(max_images), target.split(max_images), strict=True)
        return stability_spearman(saliency, torch.cat([explain(x, y) for x, y in chunks]))


def randomised(model: nn.Module, seed: int = 0) -> nn.Module:
    """A copy in evaluation mode with every weight drawn anew; the model itself is untouched.

    A layer with PyTorch's `reset_parameters` starts as it would untrained, BatchNorm's statistics
    included; the entries of any other parameter (class tokens, scales, all of a program) are
    shuffled. The same on every device for one seed.
    """
    copies = [copy for _, copy in cascade(model, seed)]
    return copies[-1] if copies else deepcopy(model)


def cascade(model: nn.Module, seed: int = 0) -> Iterator[tuple[str, nn.Module]]:
    """(name, copy) from the top layer down, each with that layer drawn anew beside all above it.

    The cascading randomisation of Adebayo et al.; layers from the last to the first registered. The
    copy is one and the same object, changed from step to step.
    """
    with frozen(model):  # the copied parameters of a TorchScript program cannot be frozen
        copy = deepcopy(model)
    for number, (name, module) in enumerate(reversed(list(copy.named_modules()))):
        own = list(module.parameters(recurse=False))
        reset = getattr(module, "reset_parameters", None)
        if not own and reset is None:
            continue
        devices = {tensor.device for tensor in (*own, *module.buffers())}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(seed, f"randomised {number}"))
            module.cpu()
            if reset is not None:
                reset()
            else:
                for parameter in own:
                    order = torch.randperm(parameter.numel())
                    parameter.copy_(parameter.flatten()[order].view_as(parameter))
            for device in devices:
                module.to(device)
        yield name, copy
