"""`lookright demo`: the whole story on built-in data, in minutes on a laptop."""

from pathlib import Path

from rich.console import Console

from lookright.data import Shortcut
from lookright.guides import HumanMask, LearnedMask
from lookright.jobs.grid import Entry, compare
from lookright.methods import ALIGN, AT, EGAT, ERM
from lookright.report import method_table, write_page

_ENTRIES = (
    Entry("ERM", "Plain training: cross-entropy on the images as they are.", ERM),
    Entry("AT", "Adversarial training: cross-entropy on attacked images.", AT),
    Entry(
        "EGAT, term off",
        "EGAT's step without its explanation term: cross-entropy on clean and attacked images.",
        lambda model: EGAT(model, stability=0.0),
    ),
    Entry(
        "EGAT",
        "Explanation-guided adversarial training: the explanation is held still under attack too.",
        EGAT,
    ),
)
_MASKED = (
    Entry(
        "EGAT, masks",
        "EGAT whose explanation under attack is held on the annotated mask of the digit.",
        lambda model: EGAT(model, guide=HumanMask()),
    ),
)
_LEARNED = (
    Entry(
        "ALIGN",
        "The explanation is held on a mask that a second network learns beside the classifier.",
        ALIGN,
    ),
    Entry(
        "EGAT, ALIGN mask",
        "EGAT whose explanation under attack is held on the mask that ALIGN's masker learns.",
        lambda model: EGAT(model, guide=LearnedMask()),
    ),
)


def demo(
    output: Path = Path("lookright-demo"),
    seeds: int = 1,
    epochs: int = 20,
    masks: bool = False,
    align: bool = False,
) -> None:
    """Train ERM, AT and EGAT on digits whose background gives the class away, and compare them.

    If it is stopped, start it again: it continues where it was.

    Args:
        output: folder of the runs, their results and report.html.
        seeds: how many times everything is trained, with seeds 0, 1, ...
        epochs: passes over the training images.
        masks: also train EGAT guided by the annotated masks.
        align: also train ALIGN, which learns its masks, and EGAT guided by ALIGN's masker.
    """
    entries = (*_ENTRIES, *(_MASKED if masks else ()), *(_LEARNED if align else ()))
    judged = compare(
        "demo",
        entries,
        Shortcut(),
        output,
        domains=("train", "reversed", "recoloured"),
        seeds=seeds,
        epochs=epochs,
        command=lambda count: f"lookright demo --seeds {count} --epochs {epochs}",
    )
    results = [result for _, result in judged]
    Console().print(method_table(results))
    page = write_page([result.folder for result in results], output / "report.html")
    print(f"The page with curves and pictures: {page}")
