"""PGD, 10 steps in L-inf: lookright against torchattacks and foolbox, with equal results."""

from collections.abc import Callable

import foolbox
import torch
import torchattacks  # type: ignore[import-untyped]
from torch import Tensor, nn
from torchvision.models import resnet18

from lookright.attacks import PGD
from lookright.models import build_model
from timing import Options, Table, compare, options, report

EPS, STEPS = 8 / 255, 10
STEP_SIZE = 2 / 255


def tables(given: Options) -> list[Table]:
    """Both networks, every tool."""
    torch.manual_seed(0)
    return [
        _table("torchvision's ResNet-18, 64 px, batch 32", resnet18(num_classes=10), 64, 32, given),
        _table(
            "small_resnet, 32 px, batch 64",
            build_model("small_resnet", [str(k) for k in range(10)], 32),
            32,
            64,
            given,
        ),
    ]


def _table(title: str, model: nn.Module, size: int, batch: int, given: Options) -> Table:
    model = model.to(given.device).eval()
    x = torch.rand(batch, 3, size, size, device=given.device)
    with torch.no_grad():
        y = model(x).argmax(1)
    attacks = _attacks(model, x, y, EPS, STEP_SIZE)
    # At full strength every image falls; a twentieth of it leaves some, and is compared too.
    weak = _attacks(model, x, y, EPS / 20, STEP_SIZE / 20)
    ours = attacks["lookright"]()
    notes = ["No random start, so that results can be compared:"]
    for name in attacks:
        moved = (attacks[name]() - ours).abs()
        right = [_accuracy(model, run[name](), y) for run in (attacks, weak)]
        notes.append(
            f"{name}: largest difference of x' from ours {moved.max():.1e} (share of values that "
            f"differ {(moved > 1e-6).float().mean():.1e}), accuracy {right[0]:.3f} (at eps/20 "
            f"{right[1]:.3f})" + ("." if name == list(attacks)[-1] else ";")
        )
    return compare(f"PGD, {title}", attacks, given.rounds, given.device, notes)


def _attacks(
    model: nn.Module, x: Tensor, y: Tensor, eps: float, step_size: float
) -> dict[str, Callable[[], Tensor]]:
    ours = PGD(eps, STEPS, step_size, random_start=False)
    theirs = torchattacks.PGD(model, eps=eps, alpha=step_size, steps=STEPS, random_start=False)
    bounded = foolbox.PyTorchModel(model, bounds=(0, 1), device=x.device)
    linf = foolbox.attacks.LinfProjectedGradientDescentAttack(
        abs_stepsize=step_size, steps=STEPS, random_start=False
    )
    wrong = foolbox.criteria.Misclassification(y)
    return {
        "lookright": lambda: ours(model, x, y),
        "torchattacks": lambda: theirs(x, y),
        "foolbox": lambda: linf.run(bounded, x, wrong, epsilon=eps),
    }


def _accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    with torch.no_grad():
        return (model(x).argmax(1) == y).float().mean().item()


if __name__ == "__main__":
    given = options(__file__, __doc__)
    report(tables(given), given)
