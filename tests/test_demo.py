"""The demo in miniature: everything is there, a second call goes on, a stop loses nothing."""

import re
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from PIL import Image

from lookright import cli
from lookright.attacks import PGD
from lookright.data import Shortcut
from lookright.errors import UserError
from lookright.evaluation import Attacks, Protocol
from lookright.evaluation.result import read_examples
from lookright.guides import HumanMask
from lookright.models import SmallResNet
from lookright.spec import spec_of
from lookright.training import Run
from lookright.verbs import demo as module
from lookright.verbs.demo import demo
from tiny import newest

ROWS = {
    "erm": "ERM",
    "at": "AT",
    "egat-term-off": "EGAT, term off",
    "egat": "EGAT",
    "egat-masks": "EGAT, masks",
    "align": "ALIGN",
    "egat-align-mask": "EGAT, ALIGN mask",
}
QUICK = Protocol(stages=(Attacks(2, 1, (0.1,)),), limit=4, examples=2)


@pytest.fixture(scope="module", autouse=True)
def _small():
    """A narrow network, few digits and few steps of attack."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SmallResNet.__init__, "__defaults__", (4,))
        keys = Shortcut.keys
        patch.setattr(Shortcut, "keys", lambda self, domain: keys(self, domain)[:90])
        patch.setattr(module, "_QUICK", replace(module._QUICK, protocol=QUICK))
        yield


@pytest.fixture(scope="module")
def shown(tmp_path_factory, _small):
    output = tmp_path_factory.mktemp("demo")
    demo(output, epochs=1, masks=True, align=True)
    return output


def place(output: Path, row: str, seed: int = 0) -> Path:
    (found,) = output.glob(f"{row}-train-{seed}-*")
    return found


def test_every_method_is_trained_judged_and_on_the_page(shown):
    folders = {path for path in shown.iterdir() if path.is_dir()}
    assert folders == {place(shown, row) for row in ROWS}
    page = (shown / "report.html").read_text()
    for row, name in ROWS.items():
        run = Run(place(shown, row))
        result = newest(run.folder)
        assert run.finished
        assert result.name == name
        assert result.about
        assert name in page
        assert result.about.split(":")[0].split("'")[0] in page
        assert list(result.domains) == ["train", "reversed"]
        assert result.domains["train"].in_distribution
        assert result.config["command"] == "lookright demo --seeds 1 --epochs 1 --masks --align"
        assert {"accuracy_adversarial", "localisation_mass"} <= result.domains[
            "train"
        ].measures.keys()
        assert len(read_examples(result, "reversed")) == 2


def test_the_rows_differ_as_they_say(shown):
    methods = {row: Run(place(shown, row)).method() for row in ROWS}
    classes = [type(method).__name__ for method in methods.values()]
    assert classes == ["ERM", "AT", "EGAT", "EGAT", "EGAT", "ALIGN", "EGAT"]
    assert methods["egat-term-off"].stability == 0
    assert methods["egat"].stability > 0
    assert isinstance(methods["egat-masks"].guide, HumanMask)
    assert spec_of(methods["align"].guide) == spec_of(methods["egat-align-mask"].guide)
    masked = {row for row in ROWS if Run(place(shown, row)).masker() is not None}
    assert masked == {"align", "egat-align-mask"}
    for row in ROWS:
        measures = newest(place(shown, row)).domains["train"].measures
        assert ("mask_mass" in measures) == (row in masked)


@pytest.mark.parametrize("options", ["", "--masks", "--align", "--masks --align"])
def test_the_options_add_rows_to_the_four_that_are_always_there(tmp_path, monkeypatch, options):
    asked = []

    def stop(title, jobs, *given):
        asked.extend(job.training.name for job in jobs)
        raise UserError("enough")

    monkeypatch.setattr(module, "compare", stop)
    with pytest.raises(SystemExit):
        cli.main(["demo", "--output", str(tmp_path), *options.split()])
    names = list(ROWS.values())
    more = names[4:5] * ("--masks" in options.split()) + names[5:] * ("--align" in options.split())
    assert asked == names[:4] + more


def written(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_a_second_call_does_nothing_twice(shown, monkeypatch, capsys):
    monkeypatch.setattr("lookright.evaluation.evaluator.Evaluator.see", None)
    monkeypatch.setattr("lightning.Trainer.fit", None)
    before = written(shown)
    demo(shown, epochs=1, masks=True, align=True)
    after = written(shown)
    page = shown / "report.html"
    assert {path for path in after if after[path] != before.get(path)} == {page}
    printed = capsys.readouterr()
    assert all(f"  {name} " in printed.out for name in ROWS.values())
    assert "report.html" in printed.out
    assert "demo" in printed.err


def only_the_first(count, monkeypatch):
    entries = module._entries
    monkeypatch.setattr(module, "_entries", lambda *given: islice(entries(*given), count))


def test_the_first_picture_is_there_before_anything_is_evaluated(tmp_path, monkeypatch, capsys):
    def stop(*given, **more):
        raise UserError("enough")

    monkeypatch.setattr("lookright.jobs.training.evaluate", stop)
    with pytest.raises(UserError, match="enough"):
        demo(tmp_path, epochs=1)
    with Image.open(tmp_path / "first-look.png") as picture:
        assert min(picture.size) > 500
    assert re.search(
        r"Where plain training looks, at a \d .*first-look.png", capsys.readouterr().out
    )


@pytest.mark.parametrize("thorough", [False, True])
def test_thorough_is_the_long_one(tmp_path, monkeypatch, thorough):
    asked = {}

    def stop(title, jobs, output, *given):
        job = jobs[3]
        asked.update(protocol=job.protocol, output=output, command=job.command)
        asked["attack"] = job.training.built().attack
        raise UserError("enough")

    monkeypatch.setattr(module, "compare", stop)
    with pytest.raises(UserError, match="enough"):
        demo(thorough=thorough)
    assert asked["command"].endswith("--thorough") == thorough
    protocol, attack = asked["protocol"], asked["attack"]
    assert (asked["output"] == Path("lookright-demo")) != thorough
    if thorough:
        assert protocol == Protocol()
        assert attack == PGD()
    else:
        assert (protocol.limit, attack.steps) < (Protocol().limit or 256, PGD().steps)


def test_seeds_are_runs_of_one_row(tmp_path, capsys, monkeypatch):
    only_the_first(1, monkeypatch)
    demo(tmp_path, epochs=1)
    demo(tmp_path, seeds=2, epochs=1)
    folders = [place(tmp_path, "erm", seed) for seed in (0, 1)]
    pages = {tmp_path / "first-look.png", tmp_path / "report.html"}
    assert set(tmp_path.iterdir()) == {*folders, *pages}
    assert [newest(folder).seed for folder in folders] == [0, 1]
    one, other = (Run(folder).best.read_bytes() for folder in folders)
    assert one != other
    out = capsys.readouterr().out
    assert out.count("  ERM") == 2 + 2
    assert "± " in out


def test_ctrl_c_keeps_what_is_done_and_the_same_command_goes_on(tmp_path, capsys, monkeypatch):
    def interrupted(*given):
        raise KeyboardInterrupt

    only_the_first(2, monkeypatch)
    line = ["demo", "--output", str(tmp_path), "--epochs", "1"]
    with monkeypatch.context() as patch:
        patch.setattr("lookright.methods.AT.forward", interrupted)
        with pytest.raises(SystemExit) as stop:
            cli.main(line)
    assert stop.value.code == 130
    assert "the same command continues it" in capsys.readouterr().err
    done = newest(place(tmp_path, "erm"))
    cli.main(line)
    assert newest(place(tmp_path, "erm")) == done
    assert (tmp_path / "report.html").exists()


def test_no_seeds_are_refused(tmp_path):
    with pytest.raises(UserError, match="1 or more; got 0"):
        demo(tmp_path / "demo", seeds=0)
    assert not (tmp_path / "demo").exists()
