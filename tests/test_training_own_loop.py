"""The example of a method in one's own loop is short, and runs."""

import runpy
from pathlib import Path

import pytest
import torch

from lookright.attacks import PGD
from lookright.batch import Batch
from lookright.methods import EGAT
from lookright.methods.method import Method
from models_for_tests import SIZE, Smooth
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


def test_a_compiled_network_has_the_same_losses_step_by_step():
    x, y = torch.rand(6, 3, SIZE, SIZE), torch.arange(6) % 3

    def losses(compiled: bool) -> list[float]:
        torch.manual_seed(0)
        torch.compiler.reset()
        net = Smooth()
        method = EGAT(torch.compile(net, backend="aot_eager") if compiled else net, PGD(steps=2))
        optimizer, found = torch.optim.SGD(net.parameters(), lr=0.1), []
        for _ in range(3):
            loss = torch.stack([*method(Batch(x, y)).values()]).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        return found

    plain = losses(False)
    assert len(set(plain)) == 3
    assert losses(True) == pytest.approx(plain, rel=1e-4)
