"""Compares every explanation measure with Quantus and captum, number by number.

    python benchmarks/agreement.py                              # the table of docs/metrics.md
    python benchmarks/agreement.py --write tests/quantus.json   # Quantus's numbers, for the tests

Both need Quantus, the first also captum. NumPy's frozen generator makes the images and the network,
so that they are the same under every version of torch; the randomised weights are drawn by torch.
"""

import argparse
import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lookright import metrics
from lookright.chance import image_chance
from lookright.explainers import InputGradient
from lookright.metrics import FILLS, SHARES, GaussianNoise, PixelPerturbation, Squares
from lookright.metrics.infidelity import Perturbed
from lookright.models import SmallResNet

SIZE, COUNT, STEPS, SAMPLES, RADIUS = 20, 6, 20, 5, 0.05
PIXELS = SIZE**2
HOW = {
    "deletion": "every third point, the clean one before them, mean instead of sum",
    "insertion": "the same from the fill to the image",
    "comprehensiveness": "read off its curve of 100 steps",
    "sufficiency": "read off its curve of 100 steps from the fill",
    "infidelity": "ours made to pile squares up, I = x - x', no scale",
    "max": "the same draws",
    "localisation_mass": "as it is",
    "localisation_iou": "r / (2 - r)",
    "pointing": "as it is",
    "randomisation": "its random weights, all layers",
}
METRICS = {
    "infidelity": "Infidelity",
    "max": "MaxSensitivity",
    "localisation_mass": "RelevanceMassAccuracy",
    "localisation_iou": "RelevanceRankAccuracy",
    "pointing": "PointingGame",
    "randomisation": "MPRT",
}


@dataclass(frozen=True)
class Row:
    """One comparison: how, and both libraries' score of every image.

    same: whether the definitions agree, so that the numbers must too.
    """

    measure: str
    other: str
    how: str
    ours: Tensor
    theirs: Tensor
    same: bool = True

    @property
    def gap(self) -> float:
        """The largest difference of any image's score."""
        return float((self.ours.double() - self.theirs.double()).abs().max())


class Scene:
    """A network with planted weights, and planted images, maps and masks; the same everywhere."""

    def __init__(self) -> None:
        draw = np.random.RandomState(0)

        def uniform(*shape: int) -> Tensor:
            return torch.tensor(draw.random_sample(shape), dtype=torch.float32)

        self.model = SmallResNet(5, 8).eval().requires_grad_(False)
        for module in self.model.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                fan_in = module.weight[0].numel()
                module.weight.copy_((2 * uniform(*module.weight.shape) - 1) * (3 / fan_in) ** 0.5)
        self.model.head.weight.mul_(9)
        self.model.head.bias.zero_()
        self.images = uniform(COUNT, 3, SIZE, SIZE)
        self.saliency = uniform(COUNT, SIZE, SIZE) / PIXELS
        self.explainer = InputGradient()
        with torch.no_grad():
            logits, self.explained = self.explainer(self.model, self.images)
        self.target = logits.argmax(1)
        self.masks = torch.zeros(COUNT, 1, SIZE, SIZE)
        for index, mask in enumerate(self.masks):
            mask[0, index : index + 9, 3:13] = 1

    @property
    def given(self) -> tuple[nn.Module, Tensor, Tensor]:
        return self.model, self.images, self.saliency

    def randomised(self) -> nn.Module:
        """Randomise like Quantus: from the last layer to the first, each with the same seed."""
        model = deepcopy(self.model)
        with torch.random.fork_rng(devices=[]):
            for module in reversed(list(model.modules())):
                if hasattr(module, "reset_parameters"):
                    torch.manual_seed(43)
                    module.reset_parameters()
        return model


@dataclass(frozen=True)
class Piling(PixelPerturbation):
    """Quantus's perturbation: squares turn black one after another and stay black; I = x - x'."""

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


def ours(scene: Scene) -> dict[str, Tensor]:
    """The scores that have a counterpart in Quantus."""
    found = {}
    for name, fill in FILLS.items():
        faithful = metrics.faithfulness(*scene.given, fill, target=scene.target)
        found |= {
            f"deletion_{name}": metrics.deletion(*scene.given, fill, STEPS, scene.target),
            f"insertion_{name}": metrics.insertion(*scene.given, fill, STEPS, scene.target),
            f"comprehensiveness_{name}": faithful.comprehensiveness,
            f"sufficiency_{name}": faithful.sufficiency,
        }
    explained = scene.images, scene.explained, scene.explainer, scene.target
    return found | {
        "infidelity": metrics.infidelity(*scene.given, Piling(4), scene.target, normalised=False),
        "max_sensitivity": _max_sensitivity(scene),
        "localisation_mass": metrics.localisation_mass(scene.saliency, scene.masks),
        "localisation_iou": metrics.localisation_iou(scene.saliency, scene.masks),
        "pointing_game": metrics.pointing_game(scene.saliency, scene.masks),
        "randomisation_spearman": metrics.randomisation_spearman(scene.randomised(), *explained),
    }


def _max_sensitivity(scene: Scene) -> Tensor:
    return metrics.max_sensitivity(
        scene.model, scene.images, scene.explainer, scene.target, RADIUS, SAMPLES
    )


def _draws(x: Tensor) -> list[Tensor]:
    """Our max-sensitivity."""
    chances = (image_chance(x, x[0].numel(), 70 + n).view_as(x) for n in range(SAMPLES))
    return [(x + RADIUS * (2 * chance - 1)).clamp(0, 1) for chance in chances]


def by_quantus(scene: Scene) -> dict[str, Tensor]:
    """The same by Quantus."""
    import quantus

    quiet = {"disable_warnings": True}
    given = {
        "model": scene.model,
        "x_batch": scene.images.numpy(),
        "y_batch": scene.target.numpy(),
        "a_batch": scene.saliency[:, None].numpy(),
    }
    explained = given | {"a_batch": scene.explained[:, None].numpy()}

    def flipped(start: Tensor, end: Tensor, steps: int) -> Tensor:
        """(B, steps + 1): its curve from `start` to `end`; its flips are of single channels.

        So a third of its points are whole pixels, and its first point comes after the first flips.
        """

        def becomes(arr: np.ndarray, indices: np.ndarray, **_: object) -> np.ndarray:
            changed, values = arr.copy(), end.flatten(1).numpy()
            np.put_along_axis(changed, indices, np.take_along_axis(values, indices, 1), 1)
            return changed

        metric = quantus.PixelFlipping(
            features_in_step=PIXELS // steps, perturb_func=becomes, **quiet
        )
        curve = metric(**(given | {"x_batch": start.numpy()}), softmax=True)
        first = metrics.removal.clean(scene.model, start, scene.target)[1]
        return torch.cat([first[:, None], torch.tensor(np.array(curve))[:, 2::3]], 1)

    def explain(model: nn.Module, inputs: np.ndarray, targets: np.ndarray, **_: object):
        """Our explainer behind the interface that Quantus expects."""
        maps = scene.explainer(model, torch.as_tensor(inputs), torch.as_tensor(targets))[1]
        return maps.detach()[:, None].numpy()

    found, at = {}, [round(100 * share) for share in SHARES]
    for name, fill in FILLS.items():
        ends = scene.images, fill(scene.images)
        fine, keeps = flipped(*ends, 100), flipped(*reversed(ends), 100)
        found |= {
            f"deletion_{name}": torch.trapezoid(flipped(*ends, STEPS), dx=1 / STEPS),
            f"insertion_{name}": torch.trapezoid(flipped(*reversed(ends), STEPS), dx=1 / STEPS),
            f"comprehensiveness_{name}": fine[:, 0] - fine[:, at].mean(1),
            f"sufficiency_{name}": fine[:, 0] - keeps[:, at].mean(1),
        }
    infidelity = quantus.Infidelity(
        perturb_patch_sizes=[SIZE // 4], n_perturb_samples=1, perturb_baseline=0.0, **quiet
    )
    waiting = iter(_draws(scene.images))
    sensitivity = quantus.MaxSensitivity(
        nr_samples=SAMPLES,
        perturb_func=lambda arr, **_: next(waiting).flatten(1).numpy(),
        **quiet,
    )
    masked = given | {"s_batch": scene.masks.numpy()}
    again = quantus.MPRT(return_last_correlation=True, skip_layers=True, **quiet)
    rank = _scores(quantus.RelevanceRankAccuracy(**quiet)(**masked))
    return found | {
        "infidelity": _scores(infidelity(**given, softmax=True)),
        "max_sensitivity": _scores(sensitivity(**explained, explain_func=explain)),
        "localisation_mass": _scores(quantus.RelevanceMassAccuracy(**quiet)(**masked)),
        "localisation_iou": rank / (2 - rank),
        "pointing_game": _scores(quantus.PointingGame(**quiet)(**masked)),
        "randomisation_spearman": _scores(again(**explained, explain_func=explain)),
    }


def _scores(found: object) -> Tensor:
    return torch.tensor(np.array(found, dtype=float))


def quantus_rows(scene: Scene) -> Iterator[Row]:
    """Every score beside Quantus's, and infidelity as it is defined here."""
    theirs = by_quantus(scene)
    for measure, score in ours(scene).items():
        key = next(key for key in HOW if measure.startswith(key))
        other = f"Quantus {METRICS.get(key, 'PixelFlipping')}"
        yield Row(measure, other, HOW[key], score, theirs[measure])
    alone = metrics.infidelity(
        *scene.given, Squares(FILLS["black"], 4), scene.target, normalised=False
    )
    how = "one square at a time, no scale"
    yield Row("infidelity", "Quantus Infidelity", how, alone, theirs["infidelity"], same=False)


def captum_rows(scene: Scene) -> Iterator[Row]:
    """Infidelity and max-sensitivity beside captum's."""
    import captum.metrics

    perturbations = {
        "GaussianNoise(0.1)": GaussianNoise(0.1, SAMPLES),
        **{f"Squares({name})": Squares(fill, 4) for name, fill in FILLS.items()},
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
        score = metrics.infidelity(*scene.given, perturbation, scene.target)
        yield Row("infidelity", "captum infidelity", f"{name}, normalize=True", score, theirs)

    def explain(inputs: tuple[Tensor, ...] | Tensor, target: Tensor):
        if isinstance(inputs, tuple):
            return (explain(inputs[0], target),)
        return scene.explainer(scene.model, inputs, target)[1].detach()

    stacked = torch.stack(_draws(scene.images), 1).flatten(0, 1)
    theirs = captum.metrics.sensitivity_max(
        explain, scene.images, lambda _: stacked, RADIUS, SAMPLES, target=scene.target
    )
    how = "the same draws"
    yield Row("max_sensitivity", "captum sensitivity_max", how, _max_sensitivity(scene), theirs)


def markdown(found: list[Row]) -> str:
    """The table as the document shows it."""
    lines = ["| measure | against | how | largest difference |", "|---|---|---|---|"]
    lines += [f"| `{row.measure}` | {row.other} | {row.how} | {row.gap:.1e} |" for row in found]
    return "\n".join(lines)


def golden(scene: Scene) -> str:
    """Quantus's version and its scores as JSON, a line each."""
    lines = {"quantus": version("quantus")}
    for measure, score in by_quantus(scene).items():
        lines[measure] = [float(f"{value:.8g}") for value in score.tolist()]
    return json.dumps(lines).replace('], "', '],\n "').replace(', "', ',\n "', 1) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", type=Path, help="file for Quantus's numbers, instead")
    given = parser.parse_args()
    scene = Scene()
    if given.write:
        given.write.write_text(golden(scene), encoding="utf-8")
    else:
        print(markdown([*quantus_rows(scene), *captum_rows(scene)]))


if __name__ == "__main__":
    main()
