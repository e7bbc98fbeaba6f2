"""Trained runs and their own images, for benchmarks that measure them."""

import argparse
from argparse import Namespace
from pathlib import Path

from lookright.data import ImageData
from lookright.training import Run


def parser_of_runs(description: str | None, limit: int) -> argparse.ArgumentParser:
    """The options that such a benchmark has; limit: images of each run, unless it is given."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of trainings")
    parser.add_argument("--data", type=Path, help="where the images lie now, if elsewhere")
    parser.add_argument("--domain", required=True)
    parser.add_argument("--eps", type=float, default=4, help="in units of 1/255")
    parser.add_argument("--limit", type=int, default=limit)
    return parser


def images_of(run: Run, given: Namespace, part: str) -> tuple[ImageData, list[int]]:
    """The data as the run was trained on it, and where the domain's images of this part are."""
    data = run.data(root=given.data) if given.data else run.data()
    return data, [at for _, at in data.split(given.domain, part).where]
