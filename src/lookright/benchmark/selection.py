"""Choosing hyper-parameters: which trainings are needed for it, and which trial is the best.

As in DomainBed (Gulrajani and Lopez-Paz, ICLR 2021), each seed and each set of training domains
chooses for itself.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from lookright.attacks import PGD
from lookright.benchmark.hypotheses import Expected, Hypothesis
from lookright.benchmark.plan import Benchmark, Selection
from lookright.benchmark.search import by_oracle
from lookright.jobs.grid import Entry, Grid
from lookright.jobs.training import Evaluation, Training
from lookright.jobs.validation import Validation


@dataclass(frozen=True)
class Row:
    """One evaluation of the table: a method, trained on some domains with a seed.

    trials: an entry for each setting of its hyper-parameters. others: the domains that are not
    trained on.
    """

    grid: Grid
    trials: Sequence[Entry]
    domains: tuple[str, ...]
    others: tuple[str, ...]
    seed: int
    selection: Selection

    @property
    def name(self) -> str:
        """As tables call it."""
        chosen = self.selection == "oracle" and len(self.trials) > 1
        return by_oracle(self.trials[0].name) if chosen else self.trials[0].name

    def training(self, trial: Entry) -> Training:
        """The training of a trial."""
        return self.grid.training(trial, self.domains, self.seed)

    def evaluation(self, trial: Entry) -> Evaluation:
        """The evaluation of a trial; with oracle, without the images that may have chosen it."""
        held = self.others if self.selection == "oracle" else ()
        return self.grid.evaluation(trial, self.training(trial), held, self.name)

    @property
    def rests(self) -> dict[str, tuple[str, ...]]:
        """By each training domain, the others, on which leave_one_out trains for a score on it."""
        return {out: tuple(each for each in self.domains if each != out) for out in self.domains}

    def scorings(self, trial: Entry) -> list[Validation]:
        """The jobs whose mean score says how good the trial is; all trials are scored alike."""
        options = [self.training(each).options for each in self.trials]
        given = (each.get("validation_attack") for each in options)
        attack = next(filter(None, given), PGD(steps=10).within(self.grid.protocol.ball))
        balance = any(each.get("balance_classes") for each in options)
        scored = partial(Validation, attack=attack, balance=balance, which=self.grid.which)
        if self.selection != "leave_one_out":
            on = self.others if self.selection == "oracle" else self.domains
            return [scored(self.training(trial), on)]
        return [
            scored(self.grid.training(trial, rest, self.seed), (out,))
            for out, rest in self.rests.items()
        ]

    def best(self, output: Path) -> Entry:
        """The trial with the highest score, the first of equal ones, once all are scored."""

        def score(trial: Entry) -> float:
            scorings = self.scorings(trial)
            scores = [each.score(each.place(output).folder) for each in scorings]
            return sum(scores) / len(scores)

        return max(self.trials, key=score)


def rows(benchmark: Benchmark, grid: Grid) -> list[Row]:
    """All rows: the first seed's first, so that a whole table is there early."""
    trials = {name: benchmark.entries(name) for name in benchmark.methods}
    return [
        Row(
            grid,
            trials[name],
            cell,
            tuple(domain for domain in grid.domains if domain not in cell),
            seed,
            benchmark.selection,
        )
        for seed in benchmark.all_seeds
        for cell in benchmark.cells(grid.data)
        for name in benchmark.methods
    ]


def expected(
    benchmark: Benchmark, grid: Grid, seeds: Sequence[int], hypothesis: Hypothesis
) -> Expected | None:
    """A hypothesis with the trainings that are to test it; None if a method is not in the file.

    Its methods are compared by a hash of the evaluations of both.
    """
    if not {hypothesis.method, hypothesis.better_than} <= set(benchmark.methods):
        return None
    once = rows(replace(benchmark, seeds=1), grid)
    cells = tuple(dict.fromkeys(row.domains for row in once))
    digests = [
        row.evaluation(trial).digest
        for name in (hypothesis.method, hypothesis.better_than)
        for row in once
        for trial in row.trials
        if trial.name == name
    ]
    compared = hashlib.sha256(" ".join(digests).encode()).hexdigest()[:12]
    return Expected(hypothesis, tuple(seeds), cells, compared)
