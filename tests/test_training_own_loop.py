"""The example of a method in one's own loop is short, and runs."""

import runpy
from pathlib import Path

from lookright.methods.method import Method
from tiny import Blobs

EXAMPLE = Path(__file__).parents[1] / "examples" / "own_loop.py"


def test_the_example_is_15_lines_of_code():
    lines = [line for line in EXAMPLE.read_text(encoding="utf-8").splitlines() if line.strip()]
    assert len(lines) - 1 <= 15  # beside the docstring


def test_the_example_runs(monkeypatch, capsys):
    monkeypatch.setattr("lookright.data.Shortcut", lambda image_size: Blobs(32))
    made: list[Method] = []
    begin = Method.__init__

    def remember(self, model):
        made.append(self)
        begin(self, model)

    monkeypatch.setattr(Method, "__init__", remember)
    runpy.run_path(str(EXAMPLE))
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed] == ["0", "1", "2"]
    assert all(name in printed[-1] for name in ("adversarial", "clean", "explanation"))
    assert all(p.grad is not None for p in made[0].parameters())
