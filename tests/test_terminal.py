"""What a terminal or a log gets: any encoding, any name, a pipe that is closed, Ctrl-C."""

import ast
import io
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.table import Table
from rich.text import Text

import lookright
from lookright import cli
from lookright.attacks import PGD
from lookright.console import Terminal, fail, say
from lookright.data import Shortcut
from lookright.evaluation import Attacks, Protocol
from lookright.models import SmallResNet
from lookright.progress import Telling, in_threads, progress_bar
from lookright.verbs import demo, study
from lookright.visible import visible

ACTING = {
    "colour": "\x1b[31mred",
    "title": "\x1b]0;owned\x07",
    "C1": "\x9b31mred",
    "back": "cat\b\b\bdog",
    "return": "cat\rdog",
    "delete": "cat\x7f",
    "null": "cat\0",
    "right to left": "cat\u202egnp.exe",
    "line separator": "cat\u2028dog",
    "not UTF-8": os.fsdecode(b"cat\xff"),
}
MARKUP = ("[bold]cat[/bold]", "[/]", r"a\[red]", "<script>alert(1)</script>", "{{ 7 * 7 }}", "%s")
HARMLESS = ("cat", ":fire:", "chat noir", "猫 ±", "👩\u200d🔬", "two\nlines", r"\x1b[31m")
SMALL = "--image_size 32 --epochs 1 --batch_size 16"
QUICK = (
    "--protocol.limit 2 --protocol.stages.attacks.steps 1 --protocol.stages.attacks.restarts 1 "
    "--protocol.stages.attacks.curve [0.1] --protocol.stages.explanations.removal_steps 1"
)
CAT, DOG, PHOTO, SKETCH = "žába", "\x1b[31mpės", "photo ±", "sketch\x1b]0;owned\x07"


def acts(text: str) -> bool:
    return re.search("[\0-\b\x0b-\x1f\x7f-\x9f\u2028\u202e\ud800-\udfff]", text) is not None


@pytest.mark.parametrize("name", ACTING.values(), ids=ACTING)
def test_a_name_that_acts_is_shown_and_does_not_act(name, capsys):
    assert acts(name)
    shown = visible(name)
    assert not acts(shown)
    assert "\\" in shown
    assert visible(shown) == shown
    table = Table(name)
    table.add_row(Text(name))
    table.add_row(name.replace("[", r"\["))
    terminal = Terminal(file=io.StringIO(), color_system=None, force_terminal=True)
    terminal.print(table, Text(name), name, markup=False)
    terminal.log(Text(name))
    with progress_bar() as bar:
        bar.add_task(name, total=1, note=name)
    say(name)
    for code in (1, 2):
        with pytest.raises(SystemExit):
            fail(name, code)
    printed = capsys.readouterr()
    for text in (terminal.file.getvalue(), printed.out, printed.err):
        assert text
        assert not acts(text)


@pytest.mark.parametrize("name", [*HARMLESS, *MARKUP])
def test_any_other_name_is_shown_as_it_is(name, capsys, monkeypatch):
    assert visible(name) == name
    with pytest.raises(SystemExit):
        fail(f"No {name} here.", 1)
    assert capsys.readouterr().err == f"error: No {name} here.\n".replace("two\n", "two ")
    table = Table(name, title=name, caption=name)
    table.add_row(name)
    terminal = Terminal(file=io.StringIO(), width=80)
    terminal.print(table, name)
    assert terminal.file.getvalue().count(name.split("\n")[0]) == 5
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert in_threads(str, [1], name) == ["1"]
    assert name.split("\n")[0] in capsys.readouterr().err


def test_all_text_goes_to_the_terminal_through_one_module():
    source = Path(lookright.__file__).parent
    ways = {"print", "Console", "sys.stdout.write", "sys.stderr.write"}
    found = {
        path.name
        for path in source.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ways
    }
    assert found == {"console.py"}


class Log(io.TextIOWrapper):
    """A log in an encoding, which refuses what it cannot write, as a redirect has it."""

    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding, "strict", write_through=True)

    @property
    def text(self) -> str:
        return self.buffer.getvalue().decode(self.encoding)


@pytest.fixture(scope="module", autouse=True)
def _narrow():
    """Small networks are narrower still, Shortcut has a few digits, comparisons have one row."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SmallResNet.__init__, "__defaults__", (4,))
        keys = Shortcut.keys
        patch.setattr(Shortcut, "keys", lambda self, domain: keys(self, domain)[:60])
        entries, quick = demo._entries, Protocol(stages=(Attacks(1, 1, ()),), limit=2)
        patch.setattr(demo, "_entries", lambda *given: islice(entries(*given), 1))
        patch.setattr(demo, "_QUICK", replace(demo._QUICK, protocol=quick))
        patch.setattr(study, "_entries", lambda *given: islice(entries(PGD(), False, False), 1))
        patch.setattr(study, "Protocol", lambda **given: quick)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory, _narrow):
    """Images in folders whose names act or are not ASCII, and a run trained on them."""
    root = tmp_path_factory.mktemp("made")
    random = np.random.default_rng(0)
    for domain in (PHOTO, SKETCH):
        for label, name in enumerate((CAT, DOG)):
            folder = root / "pets é" / domain / name
            folder.mkdir(parents=True)
            for index in range(9):
                pixels = random.integers(0, 150, (18, 20, 3), dtype=np.uint8)
                pixels[..., 0] += 100 * label
                Image.fromarray(pixels).save(folder / f"{index}\x1b[2J ü.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        line = f"train --method erm --test_domain {SKETCH} {SMALL} --run rün".split()
        cli.main([*line, "--data", "pets é"])
        cli.main(f"evaluate rün {QUICK}".split())
    return root


WORK = {
    "help": ["--help"],
    "help of a verb": ["train", "--help"],
    "options": ["train", "--print_config", "--data", "pets é"],
    "train": ["train", *["--method", "erm", "--run", "zwölf", "--overwrite"], *SMALL.split()],
    "evaluate": ["evaluate", "rün", *QUICK.split(), "--overwrite"],
    "report": ["report", "rün", "--page", "sëite.html"],
    "claim": ["claim", "rün", "--n", "2", "--domain", SKETCH],
    "explain": ["explain", "rün", f"pets é/{SKETCH}/{DOG}/0\x1b[2J ü.png", "--attack", "fgsm"],
    "demo": ["demo", "--epochs", "1", "--output", "dëmo"],
    "study": ["study", "masks", "--epochs", "1", "--output", "stüdy"],
}
MISTAKES = {
    "verb": ["träin"],
    "option": ["train", "--épochs", "1"],
    "run": ["report", "nïrgends"],
    "file": ["explain", "rün", "nïrgends\x1b[2J.png"],
    "class": ["explain", "rün", "x.png", "--label", "犬\r"],
    "member": ["train", "--method", "ëgat\n\x1b[2J"],
}


@pytest.mark.parametrize(
    ("line", "encoding"),
    [
        *((line, "ascii") for line in WORK.values()),
        *((line, of) for line in MISTAKES.values() for of in ("ascii", "latin-1", "utf-8")),
    ],
)
def test_every_verb_writes_to_a_log_of_any_encoding(made, monkeypatch, line, encoding):
    monkeypatch.chdir(made)
    monkeypatch.setattr(sys, "stdout", Log(encoding))
    monkeypatch.setattr(sys, "stderr", Log(encoding))
    code = 0
    try:
        cli.main(line)
    except SystemExit as stop:
        code = stop.code
    out, err = sys.stdout.text, sys.stderr.text
    assert code == (line in MISTAKES.values()), err
    assert not acts(out + err)
    assert len(err.splitlines()) == 1 if code else out


def started(*line: str, here: Path, stdout: int, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "lookright", *line],
        cwd=here,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(lookright.__file__).parents[1]), **environment},
        text=True,
    )


@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize("line", [WORK["help"], WORK["help of a verb"], WORK["report"]])
def test_a_reader_that_goes_away_ends_it_quietly(made, line, buffered):
    reader, writer = os.pipe()
    os.close(reader)
    begun = started(*line, here=made, stdout=writer, PYTHONUNBUFFERED=buffered)
    os.close(writer)
    _, err = begun.communicate(timeout=60)
    assert (begun.returncode, err) == (141, "")


@pytest.mark.parametrize("seconds", [0.25, 0.5, 0.75, 1.0, 1.5, 3.0])
def test_ctrl_c_while_libraries_are_loaded_is_one_line(made, seconds):
    begun = started("demo", "--output", "stopped", here=made, stdout=subprocess.PIPE)
    time.sleep(seconds)
    begun.send_signal(signal.SIGINT)
    _, err = begun.communicate(timeout=60)
    assert begun.returncode == 130
    errors = [line for line in err.splitlines() if not line.startswith("epoch")]
    assert errors[-1].startswith("error: Stopped")
    assert "Traceback" not in err


def test_a_bar_that_nobody_sees_tells_now_and_then(capsys, monkeypatch):
    monkeypatch.setattr(Telling, "every", 0.0)
    with progress_bar(Telling) as bar:
        task = bar.add_task("evaluating EGAT", total=None, note="")
        bar.update(task, total=60, completed=20, note="photo: attacks")
    assert "evaluating EGAT: 20 of 60" in capsys.readouterr().err
    monkeypatch.setattr(Telling, "every", 60.0)
    with progress_bar(Telling) as bar:
        task = bar.add_task("evaluating EGAT", total=60, note="")
        bar.update(task, completed=20)
    assert "20 of 60" not in capsys.readouterr().err
