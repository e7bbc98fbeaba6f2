"""How near the change of the margin under attack comes to its bound by the class maps.

The lines of docs/theory.md (A steady explanation and a steady answer), on the validation images of
trained models whose map is followed by its mean and one linear layer: for the predicted class y of
each image and every other class r, the change of f_y - f_r under PGD, and the mean change of the
map M_y - M_r. An answer is certain where the second is below the margin for every r.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from lookright.attacks import PGD
from lookright.explainers import GradCAM
from lookright.training import Run
from of_runs import images_of, parser_of_runs

HEADS = ("model", "n", "change", "bound", "quotient", "largest", "kept, %", "certain, %")


def class_maps(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """The logits (B, K) and the maps in units of the logit (B, K, h w)."""
    logits, found = model(x).detach(), []
    for k in range(logits.shape[1]):
        _, maps = GradCAM(relu=False)(model, x, torch.full((len(x),), k))
        found.append(maps.detach().flatten(1) * maps[0].numel())
    return logits, torch.stack(found, 1)


def compared(model: nn.Module, x: Tensor, attacked: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(B, K - 1) the change of each margin of the predicted class, its bound, and the margin."""
    (clean, before), (other, after) = class_maps(model, x), class_maps(model, attacked)
    y = clean.argmax(1)
    each = torch.arange(len(x))
    rivals = torch.ones_like(clean).scatter(1, y[:, None], 0).bool()

    def less(values: Tensor) -> Tensor:
        """Those of y less those of each rival."""
        return (values[each, y][:, None] - values)[rivals].unflatten(0, (len(x), -1))

    change = (less(other) - less(clean)).abs()
    return change, (less(after) - less(before)).abs().mean(-1), less(clean)


def row(run: Run, images: Tensor, labels: Tensor, eps: float) -> Iterator[str]:
    """The cells of HEADS."""
    model = run.model().eval()
    attacked = PGD(eps, steps=20)(model, images, labels, torch.Generator().manual_seed(0))
    change, bound, margin = compared(model, images, attacked)
    kept = model(attacked).argmax(1) == model(images).argmax(1)
    quotient = change / bound
    yield run.folder.name
    yield str(len(images))
    yield from (f"{float(of):.2f}" for of in (change.mean(), bound.mean(), quotient.mean()))
    yield f"{float(quotient.max()):.3f}"
    yield f"{100 * float(kept.float().mean()):.1f}"
    yield f"{100 * float((bound < margin).all(1).float().mean()):.1f}"


def main() -> None:
    given = parser_of_runs(__doc__, 128).parse_args()
    print(f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}")
    for folder in given.runs:
        run = Run(folder)
        data, where = images_of(run, given, "validation")
        batch = data.samples(given.domain, where[: given.limit])
        cells = row(run, batch.images, batch.labels, given.eps / 255)
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
