"""A training step of every method against ERM and AT; the table of docs/methods.md is written anew.

Processor time is compared on a CPU, where other jobs disturb it least, and wall time on a GPU.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from lookright import methods
from lookright.batch import Batch
from lookright.guides import LearnedMask
from lookright.methods import AT, AWP, EGAT, FreeAT, GradientPenalty, Method
from lookright.models import build_model
from timing import Options, Spread, Table, Timing, machine, measure, options, ratio, report, write

PAGE = Path(__file__).parent.parent / "docs" / "methods.md"
SIZE, BATCH = 32, 64
FAMILIES = {
    "plain": ("ERM",),
    "adversarial": ("AT", "TRADES", "MART", "FreeAT", "FastAT", "AWP", "GradientPenalty"),
    "explanation and adversarial": ("EGAT",),
    "explanation": ("ALIGN", "SGT", "DRE"),
    "explanation by masks": ("RRR", "MaskAlignment"),
    "domains": ("Mixup", "IRM", "GroupDRO", "VREx", "CORAL"),
    "features": ("RSC",),
}
FAMILY = {name: family for family, names in FAMILIES.items() for name in names}
OTHERWISE_MADE: dict[str, Callable[[nn.Module], Method]] = {
    "AWP": lambda model: AWP(AT(model)),
    "GradientPenalty": lambda model: GradientPenalty(AT(model)),
    "FreeAT, a batch with its 8 replays": FreeAT,
    "EGAT, guided by LearnedMask": lambda model: EGAT(model, guide=LearnedMask()),
}


@dataclass(frozen=True)
class Cost(Timing):
    """A method's timing, its ratios to AT too, and what the method needs."""

    at: Spread
    cpu_at: Spread
    needs: str


@dataclass(frozen=True)
class Costs(Table):
    """What each method costs; `by_wall`: which time is shown."""

    timings: list[Cost]  # type: ignore[assignment]
    by_wall: bool

    def markdown(self) -> str:
        """The table as docs/methods.md shows it."""
        lines = [
            "| method | family | needs | step, ms | / ERM | / AT |",
            "|---|---|---|---|---|---|",
        ]
        for row in self.timings:
            name, comma, rest = row.name.partition(",")
            time, erm, at = (
                (row.wall, row.ratio, row.at)
                if self.by_wall
                else (row.cpu, row.cpu_ratio, row.cpu_at)
            )
            cells = (
                f"[{name}](#{name.lower()}){comma}{rest}",
                FAMILY[name],
                row.needs,
                f"{time.median:.0f}",
                f"{erm.median:.2f} ({erm.low:.2f} to {erm.high:.2f})",
                f"{at.median:.2f}",
            )
            lines.append(f"| {' | '.join(cells)} |")
        shown = "wall" if self.by_wall else "processor"
        spread = f"{self.title}: {shown} time, median of {self.rounds} interleaved rounds"
        return "\n".join([*lines, "", f"{spread} (first to third quartile).", *self.notes])


def tables(given: Options) -> list[Costs]:
    """Every exported method with its defaults, and what else is worth knowing."""
    torch.manual_seed(0)
    model = build_model("small_resnet", [str(k) for k in range(10)], SIZE).to(given.device)
    data = _batch(given.device)
    names = [*FAMILY, *(name for name in OTHERWISE_MADE if name not in FAMILY)]
    names.sort(key=lambda name: [*FAMILY].index(name.partition(",")[0]))
    made = {
        name: OTHERWISE_MADE.get(name, getattr(methods, name, None))(copy.deepcopy(model)).train()
        for name in names
    }
    contenders = {name: _step(method, data, "replays" in name) for name, method in made.items()}
    wall, cpu = measure(contenders, given.rounds, given.device)
    rows = [
        Cost(
            name,
            Spread.of(wall[name]),
            Spread.of(cpu[name]),
            ratio(wall[name], wall["ERM"]),
            ratio(cpu[name], cpu["ERM"]),
            ratio(wall[name], wall["AT"]),
            ratio(cpu[name], cpu["AT"]),
            _needs(method),
        )
        for name, method in made.items()
    ]
    title = f"A training step of small_resnet, {SIZE} px, batch {BATCH}"
    notes = [f"`python benchmarks/cost.py --rounds {given.rounds}` on {machine(given.device)}."]
    return [Costs(title, given.rounds, rows, notes, given.device.type == "cuda")]


def _batch(device: torch.device) -> Batch:
    """Random images of ten classes and two domains, each with a mask and a guide."""
    number = torch.arange(BATCH, device=device)
    masks = torch.zeros(BATCH, 1, SIZE, SIZE, device=device)
    masks[..., 8:20, 10:22] = 1
    known = torch.ones_like(number).bool()
    images = torch.rand(BATCH, 3, SIZE, SIZE, device=device)
    return Batch(images, number % 10, number % 2, masks, known, masks, known)


def _step(method: Method, data: Batch, whole: bool) -> Callable[[], None]:
    """One step; where `whole`, all that are taken on a batch."""
    optimizer = torch.optim.SGD(method.parameters(), 1e-3, momentum=0.9)

    def run() -> None:
        for _ in range(method.replays if whole else 1):
            optimizer.zero_grad()
            torch.stack([*method(data).values()]).sum().backward()
            optimizer.step()

    return run


def _needs(method: Method) -> str:
    if isinstance(method, AWP):
        return "a method with an attack"
    if isinstance(method, GradientPenalty):
        return "a method"
    needs = {
        "two domains": method.needs_domains,
        "masks": bool(method.guide and method.guide.needs_masks),
    }
    return ", ".join(name for name, needed in needs.items() if needed) or "nothing"


if __name__ == "__main__":
    given = options(__file__, __doc__)
    costs = tables(given)
    report(costs, given)
    write(PAGE, [table.markdown() for table in costs])
