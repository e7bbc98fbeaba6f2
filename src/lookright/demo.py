"""`lookright demo`: the whole story on built-in data, in minutes on a laptop."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress

from lookright.data import Shortcut
from lookright.errors import UserError
from lookright.evaluation import evaluate
from lookright.guides import HumanMask
from lookright.methods import AT, EGAT, ERM, Method
from lookright.models import Classifier, build_model
from lookright.progress import progress_bar
from lookright.report import method_table, write_page
from lookright.result import Result
from lookright.training import fit

_DOMAINS = ("train", "reversed", "recoloured")


@dataclass(frozen=True)
class _Entry:
    """A row of the demo's table."""

    name: str
    about: str
    method: Callable[[Classifier], Method]

    @property
    def folder(self) -> str:
        return self.name.lower().replace(",", "").replace(" ", "-")


_ENTRIES = (
    _Entry("ERM", "Plain training: cross-entropy on the images as they are.", ERM),
    _Entry("AT", "Adversarial training: cross-entropy on attacked images.", AT),
    _Entry(
        "EGAT, term off",
        "EGAT's step without its explanation term: cross-entropy on clean and attacked images.",
        lambda model: EGAT(model, stability=0.0),
    ),
    _Entry(
        "EGAT",
        "Explanation-guided adversarial training: the explanation is held still under attack too.",
        EGAT,
    ),
)
_MASKED = _Entry(
    "EGAT, masks",
    "EGAT whose explanation under attack is held on the annotated mask of the digit.",
    lambda model: EGAT(model, guide=HumanMask()),
)


def demo(
    output: Path = Path("lookright-demo"),
    seeds: int = 1,
    epochs: int = 20,
    masks: bool = False,
) -> None:
    """Train ERM, AT and EGAT on digits whose background gives the class away, and compare them.

    Started again after a stop, it goes on where it was.

    Args:
        output: folder of the runs, their results and report.html.
        seeds: how many times everything is trained, with seeds 0, 1, ...
        epochs: passes over the training images.
        masks: train EGAT with the annotated masks as its guide too.
    """
    if seeds < 1:
        raise UserError(f"seeds is a number of seeds, 1 or more; got {seeds}.")
    entries = (*_ENTRIES, _MASKED) if masks else _ENTRIES
    results = []
    with progress_bar() as bar, _stoppable():
        overall = bar.add_task("demo", total=2 * len(entries) * seeds, note="starting")
        for result in _results(entries, seeds, epochs, output, bar):
            if result:
                results.append(result)
            bar.update(overall, advance=1, note="")
    console = Console()
    console.print(method_table(results))
    page = write_page([result.folder for result in results], output / "report.html")
    console.print(f"The page with curves and pictures: {page}")


@contextmanager
def _stoppable() -> Iterator[None]:
    """Ctrl-C in a training is Ctrl-C in the demo, which needs no --resume to go on."""
    try:
        yield
    except UserError as error:
        if isinstance(error.__cause__, SystemExit):
            raise KeyboardInterrupt from None
        raise


def _results(
    entries: tuple[_Entry, ...], seeds: int, epochs: int, output: Path, bar: Progress
) -> Iterator[Result | None]:
    """None after each training, a result after each evaluation."""
    data = Shortcut()
    for seed in range(seeds):
        for entry in entries:
            torch.manual_seed(seed)
            model = build_model("small_resnet", data.classes, data.image_size)
            run = fit(
                entry.method(model),
                data,
                "train",
                output / f"{entry.folder}-{seed}",
                epochs=epochs,
                lr=1e-2,
                validate_every=max(1, epochs // 5),
                seed=seed,
                resume=True,
                progress=bar,
            )
            yield None
            yield evaluate(
                run.classifier(),
                data,
                run.folder / "result",
                domains=_DOMAINS,
                train_domains=("train",),
                name=entry.name,
                about=entry.about,
                seed=seed,
                config=run.config
                | {"command": f"lookright demo --seeds {seed + 1} --epochs {epochs}"},
                progress=bar,
            )
