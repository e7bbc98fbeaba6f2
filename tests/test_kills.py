"""A kill between any two steps of writing leaves what was there before, or all of the new."""

import errno
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import torch

from lookright.attacks import PGD
from lookright.claims import Plan, claim
from lookright.errors import UserError
from lookright.evaluation import Attacks, Protocol, evaluate
from lookright.evaluation.places import results_in
from lookright.evaluation.result import read_result
from lookright.files import CHECKSUMS, checksums, content_hash, together, verified, write_atomically
from lookright.guides import ConvMasker, LearnedMask
from lookright.locks import locked, settled
from lookright.methods import ALIGN
from lookright.models import fingerprint, read_weights
from lookright.perturbations import Attacked
from lookright.report import write_page
from lookright.training import Run, fit
from tiny import Blobs, tiny_classifier

STEPS = ("replace", "rename", "unlink", "rmdir", "mkdir", "fsync")


LIGHT = Protocol(limit=6, stages=(Attacks(steps=1, restarts=1, curve=()),))


class Killed(BaseException):
    """The end of the process: no step is taken after it."""


@contextmanager
def killed_at(step: int) -> Iterator[list[int]]:
    """A process that is killed before that step (from 0) of writing; yields how many it took."""
    taken = [0]

    def counted(original):
        def act(*given, **options):
            if taken[0] >= step:
                raise Killed
            taken[0] += 1
            return original(*given, **options)

        return act

    with pytest.MonkeyPatch.context() as patch:
        for name in STEPS:
            patch.setattr(os, name, counted(getattr(os, name)))
        with suppress(Killed):
            yield taken


def told(folder: Path) -> dict[str, str]:
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return {name: (folder / name).read_text() for name in names if name not in (CHECKSUMS, ".lock")}


OLD = {"a": "old", "sub/b": "old", "gone": "old", "sub/gone/c": "old", "stays": "old"}
NEW = {"a": "new", "sub/b": "new", "more/d": "new", "job/done.json": "new", "stays": "old"}


def start(folder: Path) -> None:
    with locked(folder), together(folder) as new:
        for name, content in OLD.items():
            write_atomically(new / name, content.encode())


def replace(folder: Path) -> None:
    with locked(folder), together(folder, ["gone", "sub/gone"]) as new:
        for name in NEW.keys() - {"stays"}:
            write_atomically(new / name, b"new")


def test_files_written_together_are_all_old_or_all_new_wherever_a_kill_comes(tmp_path):
    start(tmp_path / "begun")
    shutil.copytree(tmp_path / "begun", tmp_path / "whole")
    with killed_at(10**6) as taken:
        replace(tmp_path / "whole")
    seen = []
    for step in range(taken[0] + 1):
        folder = shutil.copytree(tmp_path / "begun", tmp_path / str(step))
        with killed_at(step):
            replace(folder)
        if (folder / "job/done.json").exists():  # all others are in place
            assert told(folder) == NEW
        for again in (2, 9):  # killed once more while the next command finishes it
            with killed_at(again):
                settled(folder)
        found = told(settled(folder))
        seen.append({name: text for name, text in found.items() if not name.startswith(".")})
        assert seen[-1] in (OLD, NEW), step
        if seen[-1] == NEW:
            assert found == NEW
        for name in checksums(folder):
            verified(folder / name)
        assert checksums(folder).keys() == seen[-1].keys()
        replace(folder)
        assert told(folder) == NEW
    assert len(seen) > 30
    assert seen == sorted(seen, key=lambda each: each == NEW)
    assert OLD in seen[10:]


def method(seed: int):
    torch.manual_seed(seed)
    return ALIGN(tiny_classifier(seed), LearnedMask(ConvMasker(4, 16), warm_up=0.0))


def trained(folder: Path, seed: int, **options) -> Run:
    quick = {"epochs": 1, "seed": seed, "progress": False}
    return fit(method(seed), Blobs(), "train", folder, **(quick | options))


def test_weights_masker_and_config_are_of_one_run_wherever_a_kill_comes(tmp_path):
    def about(run: Run) -> tuple:
        made = run.method("last", run.model("last", tiny_classifier().network))
        return (
            run.config["settings"]["init_args"]["seed"],
            fingerprint(run.model("best", tiny_classifier().network)),
            fingerprint(made.model),
            fingerprint(made.guide.masker),
            sorted(read_weights(verified(run.resumable)).keys()),
            run.finished,
        )

    old, new = (about(trained(tmp_path / str(seed), seed)) for seed in (0, 1))
    assert old != new
    with killed_at(10**6) as taken:
        trained(shutil.copytree(tmp_path / "0", tmp_path / "whole"), 1, overwrite=True)
    found = []
    for step in range(2, taken[0], max(1, taken[0] // 6)):
        run = Run(shutil.copytree(tmp_path / "0", tmp_path / str(step + 2)))
        with killed_at(step):
            trained(run.folder, 1, overwrite=True)
        found.append(about(run))
        assert found[-1] in (old, new)
    assert {each[0] for each in found} == {0, 1}


def test_figures_pictures_and_table_are_of_one_model_wherever_a_kill_comes(tmp_path):
    names = ("result.json", "examples.npz", "images.csv.gz")

    def judged(folder: Path, seed: int) -> None:
        given = {"domains": ["other"], "protocol": LIGHT, "progress": False}
        evaluate(tiny_classifier(seed), Blobs(), folder, overwrite=True, **given)

    def about(folder: Path) -> tuple:
        result = read_result(folder)
        hashes = [content_hash(verified(folder / name)) for name in names[1:]]
        return result.config["judged"]["weights"], *hashes

    kinds = []
    for seed in (0, 1):
        judged(tmp_path / str(seed), seed)
        kinds.append(about(tmp_path / str(seed)))
    with killed_at(10**6) as taken:
        judged(shutil.copytree(tmp_path / "0", tmp_path / "whole"), 1)
    found = []
    for step in range(2, taken[0], max(1, taken[0] // 6)):
        folder = shutil.copytree(tmp_path / "0", tmp_path / str(step + 2))
        with killed_at(step):
            judged(folder, 1)
        found.append(about(folder))
        assert found[-1] in kinds
    assert {*found} == {*kinds}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A run with a masker, its result and its claims."""
    home = tmp_path_factory.mktemp("done")
    everything(home)
    return home


def everything(home: Path) -> None:
    """Every verb that writes, each going on where it was."""
    run = trained(home / "run", 0, resume=True)
    model = run.model("best", tiny_classifier().network)
    given = {"domains": ["other"], "protocol": LIGHT, "progress": False}
    evaluate(model, Blobs(), home=run.folder, **given)
    plan = Plan("train", Attacked(PGD(steps=1)), n=3)
    claim(model, Blobs(), plan, save=run.folder, progress=False)
    write_page(results_in(run.folder), home / "report.html")


WRITTEN_FILES = (
    *("config.json", "versions.json", "metrics.csv", "log.txt", "checksums.json", "seen.json.gz"),
    *("best.safetensors", "best-masker.safetensors", "last.safetensors", "last.ckpt"),
    *("000000.npz", "examples.npz", "images.csv.gz", "result.json", "claims.json", "report.html"),
)


NO_SPACE = [
    *((name, errno.ENOSPC) for name in WRITTEN_FILES),
    *(
        (name, number)
        for name in ("last.ckpt", "report.html")
        for number in (errno.EDQUOT, errno.EFBIG)
    ),
]


@pytest.mark.parametrize(("name", "number"), NO_SPACE)
def test_no_space_for_any_file_is_one_line_and_the_same_command_goes_on(
    tmp_path, monkeypatch, name, number
):
    replace, refused = os.replace, []

    def full(source, target):
        if Path(target).name == name:
            refused.append(target)
            raise OSError(number, os.strerror(number))
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(UserError, match=f"No space left on the disk while writing .*{name}"):
            everything(tmp_path)
    assert len(refused) == 1
    everything(tmp_path)
    assert (tmp_path / "report.html").is_file()
    assert not [*tmp_path.rglob("*.partial"), *tmp_path.rglob(".[!l]*")]


def test_a_limit_to_the_size_of_files_is_told_as_a_full_disk_is(tmp_path, done):
    sizes = sorted({path.stat().st_size for path in done.rglob("*") if path.is_file()})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size in sizes:
        home = tmp_path / str(size)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size - 1, hard))
            with pytest.raises(UserError, match="No space left on the disk while writing"):
                everything(home)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    everything(home)
