"""How a training step and an evaluated image grow, and from that what full benchmarks take.

    python benchmarks/growth.py                              # about six minutes on two cores
    python benchmarks/growth.py --document docs/scaling.md   # and write the page's tables anew
    python benchmarks/growth.py --device cuda --network torchvision/resnet50 --size 224 --batch 32
    python benchmarks/growth.py --tiny                       # a minute, to see that it works

One thing is changed at a time: image size, batch, classes, steps of the attack, and the network.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn

from lookright import methods
from lookright.attacks import PGD
from lookright.batch import Batch
from lookright.benchmark.cost import Cost, evaluation_cost, step_cost
from lookright.benchmark.passes import Passes, evaluation_passes, step_passes
from lookright.evaluation import Attacks, Protocol
from lookright.methods import ALIGN, AT, AWP, EGAT, ERM, Method
from lookright.models import Classifier, build_model
from lookright.progress import progress_bar
from projection import Assumed, Projected, project, projection_table
from timing import machine, write

METHODS: Mapping[str, Callable[[nn.Module, int], Method]] = {
    "ERM": lambda model, steps: ERM(model),
    "AT": lambda model, steps: AT(model, PGD(steps=steps)),
    "EGAT": lambda model, steps: EGAT(model, PGD(steps=steps)),
    "ALIGN": lambda model, steps: ALIGN(model),
}
"""Those that are timed; "evaluated" is an image through the standard protocol."""

COUNTED: Mapping[str, Callable[[nn.Module], Method]] = {
    **{
        name: getattr(methods, name)
        for name in (
            *("ERM", "Mixup", "IRM", "GroupDRO", "VREx", "CORAL", "RSC"),
            *("AT", "TRADES", "MART", "FreeAT", "FastAT"),
            *("EGAT", "ALIGN", "SGT", "DRE", "RRR", "MaskAlignment"),
        )
    },
    "AT-AWP": lambda model: AWP(AT(model)),
}
"""Every method with its defaults, whose passes are counted."""

PAIRED = 8
"""Images in the batch of which passes are counted: two of each of two classes in two domains."""


@dataclass(frozen=True)
class Setting:
    """What is timed: the network, and how large its work is."""

    network: str
    size: int
    batch: int
    classes: int
    steps: int


@dataclass(frozen=True)
class Point:
    """The cost of a method's step, or of an evaluated image, in one setting."""

    what: str
    varied: str
    setting: Setting
    cost: Cost


TITLES = {
    "size": "image size, px",
    "batch": "images in a batch",
    "classes": "classes",
    "steps": "steps of the attack",
    "network": "network",
}


def varied(base: Setting, tiny: bool) -> Mapping[str, Sequence[Setting]]:
    """The settings of each series, in which one thing differs from the base."""
    s, b = base.size, base.batch
    values: Mapping[str, Sequence[int | str]] = {
        "size": (s // 2, s) if tiny else (s // 2, s, 3 * s // 2, 2 * s),
        "batch": (b, 2 * b) if tiny else (b // 4, b // 2, b, 2 * b),
        "classes": (2, base.classes) if tiny else (2, 10, 100, 1000),
        "steps": (1, base.steps) if tiny else (1, 5, 10, 20),
        "network": (base.network,)
        if tiny
        else ("small_resnet", *(f"torchvision/resnet{depth}" for depth in (18, 34, 50))),
    }
    return {
        name: [replace(base, **{name: value}) for value in series]  # type: ignore[arg-type]
        for name, series in values.items()
    }


def measured(base: Setting, given: argparse.Namespace) -> list[Point]:
    """Every series; what two series share is measured once."""
    known: dict[tuple[str, Setting], Cost] = {}
    points = []
    series = varied(base, given.tiny)
    for settings in series.values():  # the allocator gives memory back less and less as it serves
        one("EGAT", settings[-1], given)  # larger work, so the largest of a series goes first
    total = sum(map(len, series.values())) * (1 + len(METHODS))
    with progress_bar() as bar:
        task = bar.add_task("measuring", total=total, note="")
        for name, settings in series.items():
            for setting in settings:
                for what in (*METHODS, "evaluated"):
                    bar.update(task, note=f"{what}, {name} {getattr(setting, name)}", advance=1)
                    if (what, setting) not in known:
                        known[what, setting] = one(what, setting, given)
                    points.append(Point(what, name, setting, known[what, setting]))
    return points


def one(what: str, setting: Setting, given: argparse.Namespace) -> Cost:
    """The cost of a step of the whole batch, or of the evaluation of one image."""
    model = network(setting, given.device)
    if what != "evaluated":
        return step_cost(METHODS[what](model, setting.steps), images(setting), given.rounds)
    few = replace(setting, batch=min(setting.batch, given.evaluated))
    found = evaluation_cost(model, images(few), protocol(setting.steps, given.tiny))
    return replace(found, seconds=found.seconds / few.batch)


def network(setting: Setting, device: str) -> Classifier:
    torch.manual_seed(0)
    names = [str(number) for number in range(setting.classes)]
    return build_model(setting.network, names, setting.size).to(device)


def images(setting: Setting) -> Batch:
    """Random images of two domains, two of a class after another, each with a mask."""
    torch.manual_seed(0)
    n, size = setting.batch, setting.size
    number = torch.arange(n)
    masks = torch.zeros(n, 1, size, size)
    masks[..., size // 4 : size // 2, size // 4 : size // 2] = 1
    known = torch.ones(n, dtype=torch.bool)
    labels = number // 4 % setting.classes
    return Batch(torch.rand(n, 3, size, size), labels, number % 2, masks, known, masks, known)


def protocol(steps: int, tiny: bool) -> Protocol:
    """The standard protocol, its main attack of so many steps; the attack alone if `tiny`."""
    return Protocol(stages=(Attacks(steps=steps),), only=tiny)


def counted(setting: Setting, tiny: bool) -> dict[str, Passes]:
    """The passes of a step of every method, and those of an evaluated image."""
    setting = replace(setting, batch=PAIRED)
    names = ("ERM", "AT", "EGAT", "ALIGN") if tiny else tuple(COUNTED)
    found = {}
    for name in names:
        print(f"counting the passes of {name}", file=sys.stderr)
        found[name] = step_passes(COUNTED[name](network(setting, "cpu")), images(setting))
    few = replace(setting, batch=2)
    print("counting the passes of an evaluated image", file=sys.stderr)
    found["evaluated image"] = evaluation_passes(
        network(few, "cpu"), images(few), protocol(20, tiny)
    )
    return found


def picture(points: Sequence[Point], path: Path) -> None:
    """Time and memory of every series."""
    figure = Figure((15, 6), layout="constrained")
    axes = figure.subplots(2, len(TITLES), squeeze=False)
    for column, (name, title) in enumerate(TITLES.items()):
        mine = [point for point in points if point.varied == name]
        _lines(axes[0][column], mine, name, lambda cost: cost.seconds)
        _lines(axes[1][column], mine, name, lambda cost: (cost.bytes or 0) / 2**20)
        axes[1][column].set_xlabel(title)
    axes[0][0].set_ylabel("seconds for a step,\nor for an evaluated image")
    axes[1][0].set_ylabel("MiB, the model's weights included")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    figure.savefig(path, dpi=110)


def _lines(axes: Axes, points: Sequence[Point], name: str, value: Callable[[Cost], float]) -> None:
    for number, what in enumerate((*METHODS, "evaluated")):
        mine = [point for point in points if point.what == what]
        shown = [getattr(point.setting, name) for point in mine]
        names = [str(each).rpartition("/")[2] for each in shown]
        at = names if name in ("network", "classes") else shown
        axes.plot(at, [value(point.cost) for point in mine], "o-", color=f"C{number}", label=what)
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    axes.tick_params(axis="x", rotation=30 if name == "network" else 0)


def growth_table(points: Sequence[Point]) -> str:
    """Time and memory of every point, as the document shows them."""
    head = ["| | " + " | ".join((*METHODS, "evaluated image")) + " |"]
    head.append("|---" * (2 + len(METHODS)) + "|")
    lines = []
    for name, title in TITLES.items():
        mine = [point for point in points if point.varied == name]
        for value in dict.fromkeys(getattr(point.setting, name) for point in mine):
            cells = [_cell(each) for each in mine if getattr(each.setting, name) == value]
            lines.append(f"| {title}: {str(value).rpartition('/')[2]} | {' | '.join(cells)} |")
    return "\n".join([*head, *lines])


def _cell(point: Point) -> str:
    size = "?" if point.cost.bytes is None else f"{point.cost.bytes / 2**20:.0f} MiB"
    return f"{point.cost.seconds:.3g} s, {size}"


def passes_table(found: Mapping[str, Passes]) -> str:
    """The counted passes, as the document shows them."""
    lines = ["| | forward | backward | work, in forward passes |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {each.forward:.4g} | {each.backward:.4g} | {each.work:.3g} |"
        for name, each in found.items()
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, count, project, and write the JSON, the picture and the document."""
    given = options()
    base = Setting(given.network, given.size, given.batch, given.classes, given.attack_steps)
    points = measured(base, given)
    found = counted(replace(base, network=given.counted), given.tiny)
    assumed = Assumed(utilisation=given.utilisation)
    projected: list[Projected] = project(found, assumed)
    written = {
        "machine": machine(torch.device(given.device)),
        "base": asdict(base),
        "points": [asdict(point) for point in points],
        "passes": {name: asdict(each) for name, each in found.items()},
        "assumed": asdict(assumed),
        "projected": [asdict(each) for each in projected],
    }
    given.out.write_text(json.dumps(written, indent=1))
    where = given.document or given.out
    picture(points, where.with_suffix(".png"))
    at = (
        f"Machine: {machine(torch.device(given.device))}. Where it is not varied: {base.network}, "
        f"{base.size} px, {base.batch} images, {base.classes} classes, {base.steps} steps of PGD."
    )
    counts = f"A step of each method with its defaults, {given.counted}, {base.size} px:"
    parts = [at, growth_table(points), counts, passes_table(found), projection_table(projected)]
    print("\n\n".join(parts))
    if given.document:
        shown = f"![Time and memory of each series]({where.with_suffix('.png').name})"
        write(given.document, [at, shown, *parts[1:]])


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--network", default="torchvision/resnet18")
    parser.add_argument("--size", type=int, default=64, help="image size in pixels")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--attack-steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=2, help="repeats of each step")
    parser.add_argument("--evaluated", type=int, default=2, help="images evaluated at once")
    parser.add_argument("--counted", default="torchvision/resnet50", help="network of the passes")
    parser.add_argument("--utilisation", type=float, default=Assumed.utilisation)
    parser.add_argument("--tiny", action="store_true", help="a minute, to see that it works")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    parser.add_argument("--document", type=Path, help="the page whose tables are written anew")
    given = parser.parse_args()
    if given.tiny:
        given.network, given.counted = "small_resnet", "small_resnet"
        given.size, given.batch, given.attack_steps, given.rounds = 32, 8, 2, 1
    return given


if __name__ == "__main__":
    main()
