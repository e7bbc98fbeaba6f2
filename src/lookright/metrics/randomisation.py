"""The model-randomisation check: with random weights the explanation should change."""

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
from lookright.seeds import derived_seed, own_noise

RANDOMISATION_SPEARMAN = Measure(
    "randomisation_spearman",
    "Kept when randomised",
    False,
    "score",
    "Rank correlation between the explanations of the model and of the same model with random "
    "weights; near 0 if the explanation depends on what was learned.",
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

    The similarity of Adebayo et al. (NeurIPS 2018, section 4), for maps without signs.
    random_model: from `randomised` or `cascade`; images: (B, 3, H, W) in [0, 1]; saliency: (B, h,
    w), the explanation of the trained model; target: (B,) int64, the class explained in both. The
    result is 0 where either map is degenerate.
    """
    explain = explained_by(explainer, random_model)
    with frozen(random_model):
        chunks = zip(images.split(max_images), target.split(max_images), strict=True)
        return stability_spearman(saliency, torch.cat([explain(x, y) for x, y in chunks]))


def randomised(model: nn.Module, seed: int = 0) -> nn.Module:
    """A copy in evaluation mode with random weights; the model itself is not changed.

    A layer with PyTorch's `reset_parameters` is initialised again, including BatchNorm's
    statistics; the entries of any parameter that this leaves as it was (class tokens, scales, all
    those of an exported program or under `weight_norm`) are shuffled. One seed gives the same
    weights on every device.
    """
    copies = [copy for _, copy in cascade(model, seed)]
    return copies[-1] if copies else deepcopy(model)


def cascade(model: nn.Module, seed: int = 0) -> Iterator[tuple[str, nn.Module]]:
    """(name, copy) from the top layer down; in each copy that layer and all above it are random.

    The cascading randomisation of Adebayo et al., from the last registered layer to the first. The
    copy is a single object that is changed at each step.
    """
    with frozen(model):  # the copied parameters of a TorchScript program cannot be frozen
        copy = deepcopy(model)
    for number, (name, module) in enumerate(reversed(list(copy.named_modules()))):
        own = list(module.parameters(recurse=False))
        reset = getattr(module, "reset_parameters", None)
        if not own and reset is None:
            continue
        devices = {tensor.device for tensor in (*module.parameters(), *module.buffers())}
        with own_noise(torch.device("cpu"), derived_seed(seed, f"randomised {number}")):
            module.cpu()
            own = list(module.parameters(recurse=False))
            before = [parameter.clone() for parameter in own]
            if reset is not None:
                reset()
            for parameter, trained in zip(own, before, strict=True):
                if torch.equal(parameter, trained):
                    order = torch.randperm(parameter.numel())
                    parameter.copy_(trained.flatten()[order].view_as(parameter))
            for device in devices:
                module.to(device)
        yield name, copy
