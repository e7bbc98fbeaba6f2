"""The deletion curve over 64 shares of pixels: lookright against Quantus, with equal results."""

import warnings

import numpy as np
import quantus
import torch
from torch import Tensor, nn

from lookright.metrics import deletion_curve
from lookright.metrics.fills import black
from lookright.models import build_model
from timing import Options, Table, compare, options, report

BATCH, STEPS = 32, 64
NETWORKS = {"torchvision/resnet18": 64, "small_resnet": 32}


def tables(given: Options) -> list[Table]:
    """Both networks, once for the same curve and once for the same number of passes."""
    return [
        table
        for name, size in NETWORKS.items()
        for table in (_same_curve(name, size, given), _same_passes(name, size, given))
    ]


class Scene:
    """A network with random weights, images, and maps that rank every pixel."""

    def __init__(self, name: str, size: int, device: torch.device) -> None:
        torch.manual_seed(0)
        self.title = f"{name}, {size} px, n = {BATCH}"
        self.pixels = size**2
        self.model = build_model(name, [str(k) for k in range(10)], size).to(device).eval()
        self.images = torch.rand(BATCH, 3, size, size, device=device)
        self.saliency = torch.rand(BATCH, size, size, device=device)
        with torch.no_grad():
            self.target = self.model(self.images).argmax(1)

    def ours(self, steps: int) -> Tensor:
        """(B, steps + 1)."""
        given = self.images, self.saliency, black, steps, self.target
        return deletion_curve(self.model, *given)

    def theirs(self, features: int, network: nn.Module | None = None) -> Tensor:
        """(B, S): Quantus flips `features` values of single channels at each of S points."""
        metric = quantus.PixelFlipping(
            features_in_step=features, perturb_baseline=0.0, disable_warnings=True
        )
        curve = metric(
            model=network or self.model,
            x_batch=self.images.cpu().numpy(),
            y_batch=self.target.cpu().numpy(),
            a_batch=self.saliency[:, None].cpu().numpy(),
            softmax=True,
            device=str(self.images.device),
        )
        return torch.tensor(np.array(curve))


def _same_curve(name: str, size: int, given: Options) -> Table:
    scene = Scene(name, size, given.device)
    features = scene.pixels // STEPS
    gap = (scene.ours(STEPS)[:, 1:].cpu() - scene.theirs(features)[:, 2::3]).abs().max()
    notes = [
        f"The {STEPS} points of both curves differ by at most {gap:.0e}. Quantus flips single",
        "channels and demands that a step divides H x W, so that it takes",
        f"{3 * STEPS} passes of an image to reach them, and lookright {STEPS + 1}.",
    ]
    contenders = {
        "lookright": lambda: scene.ours(STEPS),
        "Quantus": lambda: scene.theirs(features),
        "Quantus, the network alone": lambda: scene.theirs(features, scene.model.network),
    }
    title = f"Deletion, {STEPS} shares of the pixels, {scene.title}"
    return compare(title, contenders, given.rounds, given.device, notes)


def _same_passes(name: str, size: int, given: Options) -> Table:
    """48 passes in both; Quantus's points are then mostly amid a pixel's channels."""
    scene = Scene(name, size, given.device)
    contenders = {
        "lookright, 48 passes": lambda: scene.ours(47),
        "Quantus, 48 passes": lambda: scene.theirs(scene.pixels // 16),
    }
    notes = ["The same number of passes, though not the same points: what is not the network."]
    title = f"Deletion, as many passes, {scene.title}"
    return compare(title, contenders, given.rounds, given.device, notes)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    given = options(__file__, __doc__, rounds=5)
    report(tables(given), given)
