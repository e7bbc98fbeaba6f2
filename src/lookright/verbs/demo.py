"""`lookright demo`: the whole story on built-in data, in minutes on a laptop."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from lookright.attacks import PGD, Attack
from lookright.console import say, show
from lookright.data import Shortcut
from lookright.data.listing import FIRST_LOOK
from lookright.evaluation import Attacks, Diagnostics, Explanations, Protocol
from lookright.explainers import GradCAM
from lookright.guides import HumanMask, LearnedMask
from lookright.jobs.grid import Entry, Grid, compare, counted, small_options
from lookright.jobs.look import look
from lookright.methods import ALIGN, AT, EGAT, ERM
from lookright.modes import frozen
from lookright.report import method_table, write_page
from lookright.training import Run


@dataclass(frozen=True)
class _Scale:
    """How much is done: the attack in training, passes over the images, and the evaluation."""

    attack: Attack
    epochs: int
    batch_size: int
    validations: int
    domains: Sequence[str]
    protocol: Protocol


_QUICK = _Scale(
    attack=PGD(steps=3),
    epochs=12,
    batch_size=32,
    validations=2,
    domains=("train", "reversed"),
    protocol=Protocol(
        stages=(
            Attacks(steps=10, restarts=1, curve=(4 / 255, 16 / 255)),
            Diagnostics(images=64),
            Explanations(fills=("mean",), removal_steps=4),
        ),
        limit=128,
    ),
)
"""What each choice saves and changes is in docs/results/shortcut.md."""

_THOROUGH = _Scale(PGD(), 20, 64, 5, ("train", "reversed", "recoloured"), Protocol())


def _entries(attack: Attack, masks: bool, align: bool) -> Iterator[Entry]:
    yield Entry("ERM", "Plain training: cross-entropy on the images as they are.", ERM)
    yield Entry(
        "AT",
        "Adversarial training: cross-entropy on attacked images.",
        partial(AT, attack=attack),
    )
    yield Entry(
        "EGAT, term off",
        "EGAT's step without its explanation term: cross-entropy on clean and attacked images.",
        partial(EGAT, attack=attack, stability=0.0),
    )
    yield Entry(
        "EGAT",
        "Explanation-guided adversarial training: the explanation is held still under attack too.",
        partial(EGAT, attack=attack),
    )
    if masks:
        yield Entry(
            "EGAT, masks",
            "EGAT whose explanation under attack is held on the annotated mask of the digit.",
            partial(EGAT, attack=attack, guide=HumanMask()),
        )
    if align:
        yield Entry(
            "ALIGN",
            "The explanation is held on a mask that a second network learns beside the classifier.",
            ALIGN,
        )
        yield Entry(
            "EGAT, ALIGN mask",
            "EGAT whose explanation under attack is held on the mask that ALIGN's masker learns.",
            partial(EGAT, attack=attack, guide=LearnedMask()),
        )


def demo(
    output: Path | None = None,
    seeds: int = 1,
    epochs: int | None = None,
    masks: bool = False,
    align: bool = False,
    thorough: bool = False,
    workers: int = 1,
) -> None:
    """Train ERM, AT and EGAT on digits whose background gives the class away, and compare them.

    A first picture of where plain training looks is there within a minute. If the demo is stopped,
    start it again: it continues where it was.

    Args:
        output: folder of the runs, their results, first-look.png and report.html; by default
            lookright-demo, or lookright-demo-thorough.
        seeds: how many times everything is trained, with seeds 0, 1, ...
        epochs: passes over the training images; by default 12, or 20 with --thorough.
        masks: also train EGAT guided by the annotated masks.
        align: also train ALIGN, which learns its masks, and EGAT guided by ALIGN's masker.
        thorough: train longer and against more steps of the attack, and evaluate all test images,
            in one more domain, with the standard protocol of `lookright evaluate`.
        workers: trainings and evaluations at the same time, each in a process of its own.
    """
    scale = _THOROUGH if thorough else _QUICK
    output = output or Path("lookright-demo-thorough" if thorough else "lookright-demo")
    epochs = scale.epochs if epochs is None else epochs
    data = Shortcut()
    picture = output / FIRST_LOOK

    def first_look(run: Run) -> None:
        if not picture.exists():
            say(_first_look(run, data, picture))

    grid = Grid(
        data,
        scale.domains,
        small_options(epochs, scale.batch_size, scale.validations),
        scale.protocol,
        command=lambda seed: (
            f"lookright demo --seeds {seed + 1} --epochs {epochs}"
            + " --masks" * masks
            + " --align" * align
            + " --thorough" * thorough
        ),
    )
    jobs = grid.jobs([*_entries(scale.attack, masks, align)], [["train"]], counted(seeds))
    judged = compare("demo", jobs, output, workers, first_look)
    results = [result for _, result in judged]
    show(method_table(results))
    page = write_page([result.folder for result in results], output / "report.html")
    say(f"The page with curves and pictures: {page}")


def _first_look(run: Run, data: Shortcut, target: Path) -> str:
    """A picture of the first test digit that the run's model gets wrong where the colours are
    reversed, or of the first at all."""
    model = run.model()
    test = data.samples("reversed", [at for _, at in data.split("reversed", "test").where])
    with frozen(model), torch.no_grad():
        wrong = model(test.images).argmax(1) != test.labels
    at = int(wrong.int().argmax())
    label = int(test.labels[at])
    title = f"A {model.classes[label]} on the colour of another digit"
    clean, _ = look(target, model, test.images[at], GradCAM(), PGD(), label=label, title=title)
    return (
        f"Where plain training looks, at a {model.classes[label]} that it calls {clean}: {target}"
    )
