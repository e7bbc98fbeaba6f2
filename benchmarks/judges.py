"""What each attack leaves right beside PGD, and its time as a share of PGD's, on trained models.

Under PGD of 20 steps alone two methods can look alike that a stronger attack tells apart
(docs/results/pacs.md). Here the same test images of each run go through every attack.
"""

import time
from statistics import mean

import torch
from torch import Generator, Tensor, nn

from lookright.attacks import APGD, PGD, Attack, AutoAttack, Ball
from lookright.attacks.objectives import Margin
from lookright.batch import Batch
from lookright.metrics import correct
from lookright.training import Run
from of_runs import images_of, parser_of_runs

FIRST = "PGD, 20 steps"
JUDGES: dict[str, Attack] = {
    FIRST: PGD(steps=20),
    "the same, another start": PGD(steps=20),
    "PGD, 50 steps": PGD(steps=50),
    "PGD on the margin, 20 steps": PGD(steps=20, objective=Margin()),
    "APGD on the margin, 20 steps": APGD(steps=20, loss="margin"),
    "targeted APGD, 10 steps": APGD(steps=10, loss="dlr-targeted"),
    "targeted APGD, 30 steps": APGD(steps=30, loss="dlr-targeted"),
}
SLOW: dict[str, Attack] = {"AutoAttack": AutoAttack()}
Judged = tuple[Tensor, float]


def judged(model: nn.Module, batch: Batch, ball: Ball, attack: Attack, seed: int) -> Judged:
    """Which images (B,) are right under the attack, and its processor time in seconds."""
    start = time.process_time()
    generator = Generator().manual_seed(seed)
    attacked = attack.within(ball)(model, batch.images, batch.labels, generator)
    took = time.process_time() - start
    with torch.no_grad():
        return correct(model(attacked), batch.labels), took


def main() -> None:
    parser = parser_of_runs(__doc__, 200)
    parser.add_argument("--autoattack", action="store_true", help="as well, which takes long")
    given = parser.parse_args()
    judges = JUDGES | (SLOW if given.autoattack else {})
    rows: dict[str, list[Judged]] = {name: [] for name in judges}
    for folder in given.runs:
        run = Run(folder)
        data, where = images_of(run, given, "test")
        drawn = torch.randperm(len(where), generator=Generator().manual_seed(0))[: given.limit]
        batch = data.samples(given.domain, [where[at] for at in drawn.tolist()])
        ball, model = Ball(eps=given.eps / 255), run.model().eval()
        for seed, (name, attack) in enumerate(judges.items()):
            rows[name].append(judged(model, batch, ball, attack, seed))
    print("| attack, beside the first | right, % | time / the first's |\n|---|---|---|")
    for name, found in rows.items():
        left = (
            100 * (a & b).float().mean() for (a, _), (b, _) in zip(rows[FIRST], found, strict=True)
        )
        share = mean(took / of for (_, of), (_, took) in zip(rows[FIRST], found, strict=True))
        print(f"| {name} | {', '.join(f'{each:.1f}' for each in left)} | {share:.1f} |")


if __name__ == "__main__":
    main()
