"""Do Quantus and captum measure the same: every explanation measure, number by number."""

from collections.abc import Callable
from dataclasses import dataclass

import captum.metrics
import numpy as np
import quantus
import torch
from quantus.helpers.model.pytorch_model import PyTorchModel
from torch import Tensor, nn

from lookright import metrics
from lookright.chance import image_chance
from lookright.explainers import InputGradient
from lookright.metrics import FILLS, SHARES, GaussianNoise, Perturbation, Squares
from lookright.metrics.infidelity import Perturbed
from lookright.models import SmallResNet

SIZE, COUNT, STEPS, SAMPLES, RADIUS = 20, 6, 20, 5, 0.05
PIXELS = SIZE**2


@dataclass(frozen=True)
class Row:
    """One comparison: how, and the largest difference of any image's score.

    same: the definitions agree, so that the numbers have to.
    """

    measure: str
    other: str
    how: str
    gap: float
    same: bool = True


class Scene:
    """A network with random weights, images, gradient maps and masks; the same every time."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = SmallResNet(5, 8).eval()
        nn.init.uniform_(self.model.head.weight, -9, 9)
        self.images = torch.rand(COUNT, 3, SIZE, SIZE)
        self.explainer = InputGradient()
        logits, saliency = self.explainer(self.model, self.images)
        self.target, self.saliency = logits.argmax(1), saliency.detach()
        self.masks = torch.zeros(COUNT, 1, SIZE, SIZE)
        for index, mask in enumerate(self.masks):
            mask[0, index : index + 9, 3:13] = 1
        self.given = {
            "model": self.model,
            "x_batch": self.images.numpy(),
            "y_batch": self.target.numpy(),
            "a_batch": self.saliency[:, None].numpy(),
        }

    def explain(self, model: nn.Module, inputs: np.ndarray, targets: np.ndarray, **_: object):
        """Our explainer as Quantus calls one."""
        maps = self.explainer(model, torch.as_tensor(inputs), torch.as_tensor(targets))[1]
        return maps.detach()[:, None].numpy()


def rows() -> list[Row]:
    """Every comparison."""
    scene = Scene()
    comparisons: tuple[Callable[[Scene], list[Row]], ...] = (
        _removal,
        _infidelity,
        _sensitivity,
        _localisation,
        _randomisation,
    )
    return [row for comparison in comparisons for row in comparison(scene)]


def _flipped(scene: Scene, start: Tensor, end: Tensor, steps: int) -> Tensor:
    """(B, steps + 1): Quantus's curve from `start` to `end`; its flips are of single channels.

    So a third of its points are whole pixels, and its first point comes after the first flips.
    """

    def becomes(arr: np.ndarray, indices: np.ndarray, **_: object) -> np.ndarray:
        changed, values = arr.copy(), end.flatten(1).numpy()
        np.put_along_axis(changed, indices, np.take_along_axis(values, indices, 1), 1)
        return changed

    metric = quantus.PixelFlipping(
        features_in_step=PIXELS // steps, perturb_func=becomes, disable_warnings=True
    )
    curve = metric(**(scene.given | {"x_batch": start.numpy()}), softmax=True)
    first = metrics.removal.clean(scene.model, start, scene.target)[1]
    return torch.cat([first[:, None], torch.tensor(np.array(curve))[:, 2::3]], 1)


def _removal(scene: Scene) -> list[Row]:
    given = scene.model, scene.images, scene.saliency
    found = []
    for name in ("blur", "mean", "black"):
        fill, filled = FILLS[name], FILLS[name](scene.images)
        deletes = _flipped(scene, scene.images, filled, STEPS)
        inserts = _flipped(scene, filled, scene.images, STEPS)
        fine = _flipped(scene, scene.images, filled, 100)
        keeps = _flipped(scene, filled, scene.images, 100)
        faithful = metrics.faithfulness(*given, fill, target=scene.target)
        at = [round(100 * share) for share in SHARES]
        pairs = {
            "deletion": (
                metrics.deletion(*given, fill, STEPS, scene.target),
                torch.trapezoid(deletes, dx=1 / STEPS),
            ),
            "insertion": (
                metrics.insertion(*given, fill, STEPS, scene.target),
                torch.trapezoid(inserts, dx=1 / STEPS),
            ),
            "comprehensiveness": (
                faithful.comprehensiveness,
                fine[:, 0] - fine[:, at].mean(1),
            ),
            "sufficiency": (faithful.sufficiency, fine[:, 0] - keeps[:, at].mean(1)),
        }
        hows = {
            "deletion": "every third point, the clean one before them, mean instead of sum",
            "insertion": "the same from the fill to the image",
            "comprehensiveness": "read off its curve of 100 steps",
            "sufficiency": "read off its curve of 100 steps from the fill",
        }
        found += [
            Row(f"{key}_{name}", "Quantus PixelFlipping", hows[key], _gap(*pair))
            for key, pair in pairs.items()
        ]
    return found


@dataclass(frozen=True)
class Piling(Perturbation):
    """What Quantus does: squares go black one after another and stay so; I = x - x'."""

    per_side: int

    @property
    def count(self) -> int:
        return self.per_side**2

    def __call__(self, images: Tensor) -> Perturbed:
        single = Squares(FILLS["black"], self.per_side)(images)

        def perturbed(numbers: slice) -> tuple[Tensor, Tensor]:
            gone = single(slice(0, self.count))[1].cumsum(0)[numbers]
            return images * (1 - gone), images * gone

        return perturbed


def _infidelity(scene: Scene) -> list[Row]:
    found = []
    perturbations = {
        "GaussianNoise(0.1)": GaussianNoise(0.1, SAMPLES),
        **{f"Squares({name})": Squares(FILLS[name], 4) for name in ("blur", "mean", "black")},
    }
    for name, perturbation in perturbations.items():
        perturbed, taken = perturbation(scene.images)(slice(0, perturbation.count))
        by_image = [one.transpose(0, 1).flatten(0, 1) for one in (taken, perturbed)]
        theirs = captum.metrics.infidelity(
            lambda x: scene.model(x).softmax(1),
            lambda _, pair=tuple(by_image): pair,
            scene.images,
            scene.saliency[:, None].expand_as(scene.images),
            target=scene.target,
            n_perturb_samples=perturbation.count,
            normalize=True,
        )
        ours = metrics.infidelity(
            scene.model, scene.images, scene.saliency, perturbation, scene.target
        )
        found.append(
            Row("infidelity", "captum infidelity", f"{name}, normalize=True", _gap(ours, theirs))
        )
    metric = quantus.Infidelity(
        perturb_patch_sizes=[SIZE // 4],
        n_perturb_samples=1,
        perturb_baseline=0.0,
        disable_warnings=True,
    )
    theirs = torch.tensor(metric(**scene.given, softmax=True))
    given = scene.model, scene.images, scene.saliency
    piled = metrics.infidelity(*given, Piling(4), scene.target, normalised=False)
    alone = metrics.infidelity(*given, Squares(FILLS["black"], 4), scene.target, normalised=False)
    other, how = "Quantus Infidelity", "ours made to pile squares up, I = x - x', no scale"
    return [
        *found,
        Row("infidelity", other, how, _gap(piled, theirs)),
        Row("infidelity", other, "one square at a time, no scale", _gap(alone, theirs), same=False),
    ]


def _sensitivity(scene: Scene) -> list[Row]:
    x = scene.images
    draws = [
        (x + RADIUS * (2 * image_chance(x, x[0].numel(), 70 + n).view_as(x) - 1)).clamp(0, 1)
        for n in range(SAMPLES)
    ]

    def explain(inputs: tuple[Tensor, ...] | Tensor, target: Tensor):
        if isinstance(inputs, tuple):
            return (explain(inputs[0], target),)
        return scene.explainer(scene.model, inputs, target)[1].detach()

    stacked = torch.stack(draws, 1).flatten(0, 1)
    by_captum = captum.metrics.sensitivity_max(
        explain, x, lambda _: stacked, RADIUS, SAMPLES, target=scene.target
    )
    waiting = iter(draws)
    metric = quantus.MaxSensitivity(
        nr_samples=SAMPLES,
        perturb_func=lambda arr, **_: next(waiting).flatten(1).numpy(),
        disable_warnings=True,
    )
    by_quantus = metric(**scene.given, explain_func=scene.explain)
    ours = metrics.max_sensitivity(scene.model, x, scene.explainer, scene.target, RADIUS, SAMPLES)
    how = "the same draws"
    return [
        Row("max_sensitivity", "captum sensitivity_max", how, _gap(ours, by_captum)),
        Row("max_sensitivity", "Quantus MaxSensitivity", how, _gap(ours, torch.tensor(by_quantus))),
    ]


def _localisation(scene: Scene) -> list[Row]:
    given = scene.given | {"s_batch": scene.masks.numpy()}
    options = {"disable_warnings": True}
    mass, rank, point = (
        torch.tensor(np.array(metric(**options)(**given), dtype=float))
        for metric in (
            quantus.RelevanceMassAccuracy,
            quantus.RelevanceRankAccuracy,
            quantus.PointingGame,
        )
    )
    maps = scene.saliency, scene.masks
    pairs = {
        "RelevanceMassAccuracy": (metrics.localisation_mass, mass, "as it is"),
        "RelevanceRankAccuracy": (metrics.localisation_iou, rank / (2 - rank), "r / (2 - r)"),
        "PointingGame": (metrics.pointing_game, point, "as it is"),
    }
    return [
        Row(ours.__name__, f"Quantus {name}", how, _gap(ours(*maps), theirs))
        for name, (ours, theirs, how) in pairs.items()
    ]


def _randomisation(scene: Scene) -> list[Row]:
    metric = quantus.MPRT(return_last_correlation=True, skip_layers=True, disable_warnings=True)
    theirs = torch.tensor(metric(**scene.given, explain_func=scene.explain))
    *_, (_, random_model) = PyTorchModel(scene.model).get_random_layer_generator()
    ours = metrics.randomisation_spearman(
        random_model.eval(), scene.images, scene.saliency, scene.explainer, scene.target
    )
    return [
        Row(
            "randomisation_spearman",
            "Quantus MPRT",
            "its random weights, last layer",
            _gap(ours, theirs),
        )
    ]


def _gap(ours: Tensor, theirs: Tensor) -> float:
    return float((ours.double() - theirs.double()).abs().max())


def markdown(found: list[Row]) -> str:
    """The table as the document shows it."""
    lines = ["| measure | against | how | largest difference |", "|---|---|---|---|"]
    lines += [f"| `{row.measure}` | {row.other} | {row.how} | {row.gap:.1e} |" for row in found]
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown(rows()))
