"""Grad-CAM: lookright against captum and pytorch-grad-cam, with equal results."""

import torch
from captum.attr import LayerGradCam
from pytorch_grad_cam import GradCAM as OtherGradCAM  # type: ignore[import-untyped]
from pytorch_grad_cam.utils.image import scale_cam_image  # type: ignore[import-untyped]
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget  # type: ignore[import-untyped]
from torch import Tensor, nn
from torchvision.models import efficientnet_b0, resnet18

from lookright.explainers import GradCAM
from timing import Options, Table, compare, options, report

SIZE, BATCH = 128, 16


def tables(given: Options) -> list[Table]:
    """Both networks, every tool."""
    torch.manual_seed(0)
    return [
        _table("ResNet-18", resnet18(num_classes=10), "layer4", given),
        _table("EfficientNet-B0", efficientnet_b0(num_classes=10), "features", given),
    ]


def _table(title: str, model: nn.Module, layer: str, given: Options) -> Table:
    model = model.to(given.device).eval()
    head = list(model.parameters())[-2]
    nn.init.uniform_(head, 0, 0.1)  # weights at random, but maps that are not empty
    x = torch.rand(BATCH, 3, SIZE, SIZE, device=given.device)
    y = torch.arange(BATCH, device=given.device) % 10
    ours = GradCAM(layer)
    captums = LayerGradCam(model, model.get_submodule(layer))
    others = OtherGradCAM(model=model, target_layers=[model.get_submodule(layer)])
    targets = [ClassifierOutputTarget(int(label)) for label in y]

    def evaluated() -> Tensor:
        with torch.no_grad():
            return ours(model, x, y)[1]

    def captum() -> Tensor:
        return captums.attribute(x, target=y, relu_attributions=True)[:, 0]

    mine, reference = evaluated(), captum()
    gap = (mine - reference).abs().max() / reference.abs().max()
    # It scales to [0, 1] per layer and again per image.
    scaled = torch.from_numpy(scale_cam_image(scale_cam_image(mine.cpu().numpy(), (SIZE, SIZE))))
    other_gap = (scaled - torch.from_numpy(others(input_tensor=x, targets=targets))).abs().max()
    contenders = {
        "lookright": evaluated,
        "captum": captum,
        "pytorch-grad-cam": lambda: others(input_tensor=x, targets=targets),
        "lookright, differentiable": lambda: ours(model, x, y)[1],
        "the forward pass alone": torch.no_grad()(lambda: model(x)),
    }
    notes = [
        f"Largest difference from ours, relative to the largest value: captum {gap:.1e};",
        f"pytorch-grad-cam, ours put through its scaling: {other_gap:.1e}.",
        "Captum gives no logits; lookright gives them from the same pass.",
        "The other two build a graph of the whole network; the differentiable row builds one too.",
    ]
    name = f"Grad-CAM, {title}, {SIZE} px, batch {BATCH}"
    return compare(name, contenders, given.rounds, given.device, notes)


if __name__ == "__main__":
    given = options(__file__, __doc__)
    report(tables(given), given)
