"""Files that come from elsewhere, such as a run or a result, run nothing when they are read."""

import json
import sys
from pathlib import Path

import pytest
import torch

from lookright.attacks import PGD, Attack
from lookright.errors import UserError
from lookright.evaluation import Protocol, evaluate
from lookright.evaluation.evaluated import evaluated
from lookright.methods import ERM
from lookright.report import read_result, write_page
from lookright.spec import build_read, spec_of
from lookright.training import Run, fit
from own_stage import Mirrored
from test_evaluation_evaluated import PLAN, PROTOCOL
from tiny import Blobs, tiny_classifier


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """A module that leaves a mark where it is imported, and the mark."""
    mark = tmp_path / "mark"
    (tmp_path / "hostile.py").write_text(f"open({str(mark)!r}, 'w')\nclass Evil: ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield mark
    sys.modules.pop("hostile", None)
    assert not mark.exists()


def calls(mark: Path) -> list[dict]:
    """Specs that would leave the mark if they were built."""
    named = ("pathlib.Path.touch", {"self": str(mark)}), ("os.mkdir", {"path": str(mark)})
    opened = ("tempfile.SpooledTemporaryFile", {}), ("subprocess.Popen", {"args": ["true"]})
    specs = [{"class_path": path, "init_args": of} for path, of in (*named, *opened)]
    module = [{"class_path": "hostile.Evil", "init_args": {}}, {"import": "hostile.Evil"}]
    return [*specs, *module]


def test_a_config_calls_and_imports_nothing(tmp_path, hostile):
    run = fit(ERM(tiny_classifier()), Blobs(), "train", tmp_path / "run", epochs=1, progress=False)
    path, whole = run.folder / "config.json", (run.folder / "config.json").read_text()
    for spec in calls(hostile):
        for place in ("optimizer", "augment", "validation_attack"):
            config = json.loads(whole)
            config["settings"]["init_args"][place] = spec
            path.write_text(json.dumps(config))
            with pytest.raises(UserError, match=r"A file names|There is no|Expected"):
                run.settings  # noqa: B018
            assert run.finished
        for part, read in (("method", Run.method), ("data", Run.data)):
            config = json.loads(whole)
            if part == "data":
                config["data"]["spec"] = {"class_path": "", "init_args": {}} | spec
            else:
                config[part] = {"class_path": "", "init_args": {}} | spec
            path.write_text(json.dumps(config))
            with pytest.raises(UserError):
                read(run)


def test_a_part_is_read_by_its_kind(hostile):
    assert build_read(spec_of(PGD(steps=3)), Attack) == PGD(steps=3)
    assert build_read(spec_of(Protocol(stages=(Mirrored(True),))), Protocol).stages == (
        Mirrored(True),
    )
    for spec in calls(hostile):
        with pytest.raises(UserError):
            build_read(spec, Attack)


def test_a_result_imports_nothing(tmp_path, hostile):
    torch.manual_seed(0)
    model, data = tiny_classifier(), Blobs()
    evaluate(model, data, tmp_path / "results" / "a", protocol=PROTOCOL, progress=False)
    path = tmp_path / "results" / "a" / "result.json"
    raw = json.loads(path.read_text())
    raw["settings"]["init_args"]["stages"].append({"class_path": "hostile.Evil", "init_args": {}})
    path.write_text(json.dumps(raw))
    (path.parent / "checksums.json").unlink()  # whoever sends it would have made them anew
    with pytest.warns(UserWarning, match="no section of the stage hostile.Evil.*import hostile"):
        write_page([path.parent], tmp_path / "page.html")
    assert read_result(path.parent).settings == raw["settings"]
    assert evaluated(tmp_path, model, data, "other", PLAN) is not None
