"""Benchmarks with planted figures, without any training."""

from itertools import product

import numpy as np

from lookright.evaluation.result import DomainResult, Result
from lookright.evaluation.table import write_table
from lookright.metrics import Estimate
from lookright.training import Run

DOMAINS = ("art", "cartoon", "photo", "sketch")
SKILL = {"ERM": 0.70, "AT": 0.66, "EGAT": 0.76, "ALIGN": 0.70}
"""Planted accuracies out of distribution; in distribution they are 0.2 higher."""

SCORES = ("localisation_mass", "stability_cosine", "comprehensiveness_mean", "sufficiency_mean")


def estimate(value, n=1):
    return Estimate(value, value, value, n)


def single_source(domains=DOMAINS):
    return [(domain,) for domain in domains]


def leave_one_out(domains=DOMAINS):
    return [tuple(other for other in domains if other != left) for left in domains]


def trained(root, name, train, seed, domains=DOMAINS, images=200, skill=None, spread=0.01):
    """A run with its result: per-image values whose means are the result's measures.

    An image's difficulty is the same for every method and seed; the skill of a seed lies `spread`
    times a normal number from the method's.
    """
    own = np.random.default_rng([sum(map(ord, name)), seed or 0, len(train), *map(len, train)])
    folder = root / f"{len(list(root.glob('*')))}-{seed}"
    level = (SKILL.get(name, 0.7) if skill is None else skill) + spread * own.normal()
    tables, found = {}, {}
    for place, domain in enumerate(domains):
        inside = domain in train
        hard = np.random.default_rng([place, inside]).random(images)
        value = min(level + 0.2 * inside, 0.99)
        right = (hard + 0.05 * own.normal(size=images)).argsort().argsort() < value * images
        robust = right & (hard < 0.6 * value)
        scores = {key: value - 0.3 * (hard - 0.5) for key in SCORES}
        tables[domain] = {
            "image": np.array([f"{domain}/{inside}/{i}.png" for i in range(images)]),
            "label": np.arange(images) % 5,
            "accuracy": right,
            "accuracy_adversarial": robust,
            **scores,
        }
        measured = {
            key: estimate(float(of.mean()), images)
            for key, of in tables[domain].items()
            if key not in ("image", "label")
        }
        measured |= {
            "auc": estimate(min(value + 0.05, 1.0), images),
            "degenerate_maps": estimate(0.02, images),
        }
        found[domain] = DomainResult(images, inside, measured, samples=f"{domain} {inside}")
    result = Result(
        folder / "results" / "0", name, seed, "", tuple("abcde"), tuple(train), "", {}, {}, found
    )
    result.folder.mkdir(parents=True)
    write_table(result.folder, tables)
    run = Run(folder)
    run.write([{"epoch": e, "step": e, "seconds": 10.0 + e} for e in (1, 2)], [])
    return run, result


def grid(root, methods=tuple(SKILL), trains=None, seeds=(0, 1, 2), skip=(), **options):
    """Every method on all training domains with all seeds; skip: (method, train, seed) left out."""
    trains = single_source() if trains is None else trains
    return [
        trained(root, method, train, seed, **options)
        for method, train, seed in product(methods, trains, seeds)
        if (method, train, seed) not in skip
    ]
