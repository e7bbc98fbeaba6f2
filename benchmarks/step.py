"""A training step of EGAT against adversarial training (10 PGD steps) and plain training."""

import copy
from collections.abc import Callable

import torch
from torch import nn

from lookright.attacks import PGD
from lookright.batch import Batch
from lookright.explainers import GradCAM
from lookright.methods.at import AT
from lookright.methods.egat import EGAT
from lookright.methods.erm import ERM
from lookright.methods.method import Method
from lookright.models import build_model
from timing import Options, Table, compare, options, report

ATTACK = PGD(steps=10)
METHODS: dict[str, Callable[[nn.Module], Method]] = {
    "AT": lambda model: AT(model, ATTACK),
    "EGAT": lambda model: EGAT(model, ATTACK),
    "EGAT, the last map": lambda model: EGAT(
        model, ATTACK, explainer=GradCAM(relu=False, centred=True)
    ),
    "EGAT, explanation off": lambda model: EGAT(model, ATTACK, stability=0.0),
    "ERM": ERM,
}


def tables(given: Options) -> list[Table]:
    """A small network and a real one."""
    torch.manual_seed(0)
    return [
        _table("small_resnet", 32, 64, given),
        _table("efficientnet_lite0", 64, 32, given),
    ]


def _table(name: str, size: int, batch: int, given: Options) -> Table:
    model = build_model(name, [str(k) for k in range(10)], size).to(given.device)
    labels = torch.arange(batch, device=given.device) % 10
    data = Batch(torch.rand(batch, 3, size, size, device=given.device), labels)

    def step(make: Callable[[nn.Module], Method]) -> Callable[[], None]:
        method = make(copy.deepcopy(model)).train()
        optimizer = torch.optim.SGD(method.parameters(), 1e-3, momentum=0.9)

        def run() -> None:
            optimizer.zero_grad()
            torch.stack(list(method(data).values())).sum().backward()
            optimizer.step()

        return run

    contenders = {title: step(make) for title, make in METHODS.items()}
    title = f"Training step, {name}, {size} px, batch {batch}"
    notes = ["The paper reports EGAT at 1.16 times adversarial training."]
    return compare(title, contenders, given.rounds, given.device, notes)


if __name__ == "__main__":
    given = options(__file__, __doc__)
    report(tables(given), given)
