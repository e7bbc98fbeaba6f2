"""Every explanation measure and both baselines on the same images: lookright against Quantus."""

import warnings
from collections.abc import Iterator

import numpy as np
import quantus
import torch
from torch import Tensor, nn

from lookright.distances import resize
from lookright.explainers import InputGradient
from lookright.metrics import (
    FILLS,
    SHARES,
    Scorecard,
    baselines,
    localisation_iou,
    localisation_mass,
    pointing_game,
)
from lookright.models import build_model
from timing import Options, Table, compare, options, report

# H x W is a multiple of 100, so that Quantus can reach 1, 5, 10, 20 and 50% exactly.
NETWORKS = {"small_resnet": (40, 16), "torchvision/resnet18": (60, 4)}
# Quantus stops where a randomised network's Grad-CAM is zero, so the gradient is explained.
CARD = Scorecard(InputGradient(), ("blur", "mean"), steps=20, squares=5, samples=10)
AT = [round(100 * share) for share in SHARES]


def tables(given: Options) -> list[Table]:
    """Both networks."""
    return [_table(name, size, count, given) for name, (size, count) in NETWORKS.items()]


class Scene:
    """A network with random weights, images, gradient maps and masks."""

    def __init__(self, name: str, size: int, count: int, device: torch.device) -> None:
        torch.manual_seed(0)
        self.size, self.count = size, count
        self.model = build_model(name, [str(k) for k in range(10)], size).to(device).eval()
        self.images = torch.rand(count, 3, size, size, device=device)
        with torch.no_grad():
            logits, self.saliency = CARD.explainer(self.model, self.images)
        self.target = logits.argmax(1)
        self.masks = torch.zeros(count, 1, size, size, device=device)
        self.masks[:, :, size // 4 : -size // 4, size // 4 : -size // 4] = 1
        self.filled = {name: FILLS[name](self.images).cpu().numpy() for name in CARD.fills}

    def ours(self) -> dict[str, Tensor]:
        scores = CARD(self.model, self.images, self.saliency, self.target)
        maps = {"": self.saliency, **baselines(self.images, self.saliency.shape[1:])}
        for name, one in maps.items():
            end = f"@{name}" if name else ""
            scores[f"localisation_mass{end}"] = localisation_mass(one, self.masks)
            scores[f"localisation_iou{end}"] = localisation_iou(one, self.masks)
            scores[f"pointing_game{end}"] = pointing_game(one, self.masks)
        return scores

    def maps(self) -> dict[str, Tensor]:
        """The explanation and the baselines at the size of the images."""
        every = {"": self.saliency, **baselines(self.images, self.saliency.shape[1:])}
        return {
            f"@{name}" if name else "": resize(one, self.images.shape[-2:])[:, None]
            for name, one in every.items()
        }

    def theirs(self, repeats: int) -> dict[str, Tensor]:
        """The same by Quantus, one metric at a time; repeats: its n_perturb_samples."""
        return dict(self._theirs(repeats))

    def _theirs(self, repeats: int) -> Iterator[tuple[str, Tensor]]:
        images, quiet = self.images.cpu().numpy(), {"disable_warnings": True}
        for name, saliency in self.maps().items():
            given = {
                "model": self.model,
                "x_batch": images,
                "y_batch": self.target.cpu().numpy(),
                "a_batch": saliency.cpu().numpy(),
                "device": str(self.images.device),
            }
            for fill, filled in self.filled.items():
                deletion = self._curve(given, images, filled)
                insertion = self._curve(given, filled, images)
                clean, end = insertion[:, -1:], deletion[:, -1:]
                deletion, insertion = (
                    torch.cat([start, curve], 1)
                    for start, curve in ((clean, deletion), (end, insertion))
                )
                yield f"comprehensiveness_{fill}{name}", (clean - deletion[:, AT]).mean(1)
                yield f"sufficiency_{fill}{name}", (clean - insertion[:, AT]).mean(1)
                for kind, curve in (("deletion", deletion), ("insertion", insertion)):
                    yield f"{kind}_{fill}{name}", torch.trapezoid(curve[:, ::5], dx=1 / 20)
                infidelity = quantus.Infidelity(
                    perturb_patch_sizes=[self.size // CARD.squares],
                    n_perturb_samples=repeats,
                    perturb_func=_becomes(filled),
                    **quiet,
                )
                yield f"infidelity {fill}{name}", torch.tensor(infidelity(**given, softmax=True))
            given["s_batch"] = self.masks.cpu().numpy()
            mass, rank, point = (
                torch.tensor(np.array(metric(**quiet)(**given), dtype=float))
                for metric in (
                    quantus.RelevanceMassAccuracy,
                    quantus.RelevanceRankAccuracy,
                    quantus.PointingGame,
                )
            )
            yield f"localisation_mass{name}", mass
            yield f"localisation_iou{name}", rank / (2 - rank)
            yield f"pointing_game{name}", point
        given = given | {"a_batch": self.maps()[""].cpu().numpy()}
        sensitivity = quantus.MaxSensitivity(
            nr_samples=CARD.samples, lower_bound=CARD.radius, **quiet
        )
        again = quantus.MPRT(return_last_correlation=True, skip_layers=True, **quiet)
        yield "max sensitivity", torch.tensor(sensitivity(**given, explain_func=_explain))
        yield "randomisation", torch.tensor(again(**given, explain_func=_explain))

    def _curve(self, given: dict, start: np.ndarray, end: np.ndarray) -> Tensor:
        """(B, 100): every share of 1%, from `start` to `end`."""
        metric = quantus.PixelFlipping(
            features_in_step=self.size**2 // 100,
            perturb_func=_becomes(end),
            disable_warnings=True,
        )
        curve = metric(**(given | {"x_batch": start}), softmax=True)
        return torch.tensor(np.array(curve))[:, 2::3]


def _becomes(filled: np.ndarray):
    """Quantus's perturb_func that puts the values of `filled` at the indices."""
    values = filled.reshape(len(filled), -1)

    def perturb(arr: np.ndarray, indices: np.ndarray, **_: object) -> np.ndarray:
        changed = arr.copy()
        np.put_along_axis(changed, indices, np.take_along_axis(values, indices, 1), 1)
        return changed

    return perturb


def _explain(model: nn.Module, inputs: np.ndarray, targets: np.ndarray, device: str, **_: object):
    with torch.no_grad():
        x, y = torch.as_tensor(inputs, device=device), torch.as_tensor(targets, device=device)
        return resize(CARD.explainer(model, x.float(), y)[1], x.shape[-2:])[:, None].cpu().numpy()


def _table(name: str, size: int, count: int, given: Options) -> Table:
    scene = Scene(name, size, count, given.device)
    mine, others = scene.ours(), scene.theirs(1)
    shared = sorted(mine.keys() & others.keys())
    gap = max((mine[key].cpu().double() - others[key].double()).abs().max() for key in shared)
    notes = [
        f"{len(shared)} of the scores are defined alike and differ by at most {gap:.0e};",
        "infidelity, max-sensitivity and randomisation are of another kind (docs/metrics.md).",
        "Quantus does not repeat squares that do not vary in the second row, and does, as its",
        "default of 10 samples says, in the third.",
    ]
    contenders = {
        "lookright": scene.ours,
        "Quantus": lambda: scene.theirs(1),
        "Quantus, its default samples": lambda: scene.theirs(10),
    }
    title = f"Scorecard with both baselines, {name}, {size} px, n = {count}"
    return compare(title, contenders, given.rounds, given.device, notes)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    given = options(__file__, __doc__, rounds=3)
    report(tables(given), given)
