"""What the diagnostics cost beside the attack in doubt, PGD with 20 steps in L-inf."""

import torch
from torch import Generator, Tensor

from lookright.attacks import PGD
from lookright.diagnostics import Diagnosis
from lookright.models import build_model
from timing import Options, Table, compare, options, report

SIZE, BATCH, EPS = 32, 64, 1e-5
"""A radius so small that an image withstands the attack where the model is right about it."""


def table(given: Options) -> Table:
    """The ratio to PGD where none, half or all of the images withstand it."""
    torch.manual_seed(0)
    model = build_model("small_resnet", [str(k) for k in range(10)], SIZE).to(given.device).eval()
    x = torch.rand(BATCH, 3, SIZE, SIZE, device=given.device)
    with torch.no_grad():
        predicted = model(x).argmax(1)
    attack, generator = PGD(EPS, 20), Generator(given.device)

    def diagnose(withstand: float, share: float = 1.0) -> dict[str, Tensor]:
        right = torch.arange(BATCH, device=given.device) < withstand * BATCH
        y = torch.where(right, predicted, (predicted + 1) % 10)
        return Diagnosis(EPS, share=share).see(model, x, y, x, generator.manual_seed(0))

    contenders = {
        "PGD-20": lambda: attack(model, x, predicted),
        "none withstand": lambda: diagnose(0),
        "half withstand": lambda: diagnose(0.5),
        "all withstand": lambda: diagnose(1),
        "all withstand, share=0.25": lambda: diagnose(1, 0.25),
    }
    title = f"Diagnostics, small_resnet, {SIZE} px, batch {BATCH}"
    return compare(title, contenders, given.rounds, given.device)


if __name__ == "__main__":
    given = options(__file__, __doc__, rounds=5)
    report([table(given)], given)
