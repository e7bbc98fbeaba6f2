"""Accuracy under attack and its time: lookright beside torchattacks and foolbox, on one model."""

from collections.abc import Callable, Iterator
from pathlib import Path

import foolbox
import torch
import torchattacks  # type: ignore[import-untyped]
from torch import Generator, Tensor, nn

from lookright.attacks import (
    APGD,
    FGSM,
    L2,
    PGD,
    Attack,
    AutoAttack,
    CarliniWagner,
    LInf,
    Norm,
    Square,
    WorstCase,
)
from lookright.data import load_data
from lookright.methods.at import AT
from lookright.metrics import rate
from lookright.models import build_model
from timing import Options, Table, compare, machine, options, report, write

PAGE = Path(__file__).parent.parent / "docs" / "robustness.md"
EPOCHS, BATCH = 15, 64
SEEDS = (0, 1, 2)
STEPS = 20
FEW = 64
"""Number of images for attacks that are slow on a CPU."""
KINDS = ("PGD", "AutoAttack")
BALLS: tuple[tuple[Norm, float, str], ...] = (
    (LInf(), 8 / 255, "L-inf, eps 8/255"),
    (LInf(), 4 / 255, "L-inf, eps 4/255"),
    (L2(), 0.5, "L2, eps 0.5"),
)

Run = Callable[[Tensor, Tensor, int], Tensor]


def trained(device: torch.device) -> tuple[nn.Module, Tensor, Tensor]:
    """small_resnet after a little adversarial training on Shortcut, and the test images."""
    torch.manual_seed(0)
    data = load_data("shortcut", image_size=32)
    model = build_model("small_resnet", data.classes, 32)
    method = AT(model, PGD(steps=5)).to(device).train()

    def part(name: str) -> tuple[Tensor, Tensor]:
        where = [at for _, at in data.split("train", name).where]  # type: ignore[arg-type]
        found = data.samples("train", where).to(device)
        return found.images, found.labels

    batch = data.samples("train", [at for _, at in data.split("train", "train").where]).to(device)
    steps = len(batch) // BATCH
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, EPOCHS * steps)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(batch))[: steps * BATCH].split(BATCH):
            optimizer.zero_grad()
            torch.stack(list(method(batch.select(rows)).values())).sum().backward()
            optimizer.step()
            schedule.step()
    return model.eval(), *part("test")


class Contiguous(nn.Module):
    """A model whose input gradient is contiguous, as torchattacks' L2 attacks require."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        if x.requires_grad:
            x.register_hook(lambda gradient: gradient.contiguous())
        return self.model(x)


def ours(model: nn.Module, attack: Attack) -> Run:
    """An attack of lookright as a function of images, labels and a seed."""
    return lambda x, y, seed: attack(model, x, y, Generator(x.device).manual_seed(seed))


def contenders(model: nn.Module, norm: Norm, eps: float) -> dict[str, Run]:
    """Attacks of one ball, those of other libraries with the same settings."""
    linf = isinstance(norm, LInf)
    name, step = ("Linf", "L2")[not linf], 2.5 * eps / STEPS
    bounded = foolbox.PyTorchModel(model, bounds=(0, 1), device=next(model.parameters()).device)
    ball = foolbox.attacks.LinfPGD if linf else foolbox.attacks.L2PGD
    third = ball(abs_stepsize=step, steps=STEPS)
    pgd = (torchattacks.PGD if linf else torchattacks.PGDL2)(
        Contiguous(model).eval(), eps=eps, alpha=step, steps=STEPS, random_start=True
    )

    def seeded(attack: Callable[[Tensor, Tensor], Tensor]) -> Run:
        def run(x: Tensor, y: Tensor, seed: int) -> Tensor:
            torch.manual_seed(seed)
            return attack(x, y)

        return run

    def autoattack(x: Tensor, y: Tensor, seed: int) -> Tensor:
        attack = torchattacks.AutoAttack(model, name, eps, n_classes=10, seed=seed)
        with torch.random.fork_rng():
            return attack(x, y)

    found = {
        "PGD, lookright": ours(model, PGD(eps, STEPS, step, norm)),
        "PGD, torchattacks": seeded(pgd),
        "PGD, foolbox": seeded(
            lambda x, y: third.run(bounded, x, foolbox.criteria.Misclassification(y), epsilon=eps)
        ),
        "APGD, cross-entropy": ours(model, APGD(eps, norm=norm)),
        "APGD, DLR": ours(model, APGD(eps, norm=norm, loss="dlr")),
        "Square": ours(model, Square(eps, 1000, norm)),
    }
    if not linf:
        found["CW-L2"] = ours(model, CarliniWagner(eps, 200))
    found["AutoAttack, lookright"] = ours(model, AutoAttack(eps, norm))
    return found | {"AutoAttack, torchattacks": autoattack}


def agreement(model: nn.Module, x: Tensor, y: Tensor, norm: Norm, eps: float) -> Iterator[str]:
    """A row for each attack: its accuracy with each seed, and whether twins agree."""
    found: dict[str, list[Tensor]] = {}
    for name, run in contenders(model, norm, eps).items():
        pgd = name.startswith("PGD")
        n = len(x) if "PGD" in name else FEW
        for seed in SEEDS if pgd else SEEDS[:1]:
            z = run(x[:n], y[:n], seed).detach()
            assert not any(module.training for module in model.modules()), f"{name} left its mode"
            found.setdefault(name, []).append(right(model, z, y[:n]))
        first = rate(found[name][0])
        values = ", ".join(f"{rate(each).value:.3f}" for each in found[name])
        yield f"| {name} | {first.n} | {values} | {first.low:.3f} to {first.high:.3f} |"
    of = {kind: [each for name, each in found.items() if name.startswith(kind)] for kind in KINDS}
    ours, *others = of["PGD"]
    within = all(
        rate(one).low <= rate(other).value <= rate(one).high
        for one, twin in zip(ours, zip(*others, strict=True), strict=True)
        for other in twin
    )
    lowest = min(rate(each[:FEW]).value for pgd in of["PGD"] for each in pgd)
    below = all(rate(each[0]).value <= lowest for each in of["AutoAttack"])
    yield ""
    yield (
        f"PGD of the three libraries agrees within sampling error: {'yes' if within else 'no'}. "
        f"AutoAttack is at or below every PGD on its {FEW} images ({lowest:.3f} at least): "
        f"{'yes' if below else 'no'}."
    )


def right(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """(B,) bool."""
    with torch.no_grad():
        return model(x).argmax(1) == y


def timed(model: nn.Module, x: Tensor, y: Tensor, eps: float, given: Options) -> Table:
    """The worst case over FGSM, PGD twice and APGD, lookright against torchattacks."""
    step = 2.5 * eps / STEPS
    pgd = PGD(eps, STEPS, step)
    worst = WorstCase((FGSM(eps), pgd, pgd, APGD(eps)))
    theirs = torchattacks.MultiAttack(
        [
            torchattacks.FGSM(model, eps=eps),
            *(torchattacks.PGD(model, eps=eps, alpha=step, steps=STEPS) for _ in range(2)),
            torchattacks.APGD(model, eps=eps, steps=100),
        ]
    )
    runs = {"lookright": lambda: worst(model, x, y), "torchattacks": lambda: theirs(x, y)}
    left = [f"{name} {rate(right(model, run(), y)).value:.3f}" for name, run in runs.items()]
    settings = f"small_resnet, {len(x)} images, eps {round(255 * eps)}/255"
    title = f"Worst case of FGSM, PGD-{STEPS} twice and APGD-100, {settings}"
    return compare(title, runs, given.rounds, given.device, [f"Accuracy left: {', '.join(left)}."])


def main() -> None:
    """Train, attack, time; print, and write the tables into the page."""
    given = options(__file__, __doc__, rounds=5)
    model, x, y = trained(given.device)
    clean = rate(right(model, x, y))
    parts = [
        f"Machine: {machine(given.device)}. Accuracy without an attack {clean.value:.3f} "
        f"({clean.low:.3f} to {clean.high:.3f}), n = {clean.n}."
    ]
    for norm, eps, title in BALLS:
        head = [f"### {title}", "", "| attack | n | accuracy, by seed | 95% interval |"]
        head.append("|---|---|---|---|")
        parts.append("\n".join([*head, *agreement(model, x, y, norm, eps)]))
    tables = [timed(model, x[:FEW], y[:FEW], eps, given) for eps in (8 / 255, 24 / 255)]
    report(tables, given)
    write(PAGE, [*parts, *(table.markdown() for table in tables)])


if __name__ == "__main__":
    main()
