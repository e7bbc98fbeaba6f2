"""What a step and an evaluation cost: measured on whole steps, and nothing is left behind."""

import time

import pytest
import torch
from torch import nn

from cases import METHODS, batch
from lookright.attacks import PGD
from lookright.benchmark import cost
from lookright.benchmark.cost import evaluation_cost, step_cost
from lookright.errors import UserError
from lookright.evaluation import Answers, Explanations, Protocol
from lookright.methods.at import AT
from lookright.methods.erm import ERM
from models_for_tests import Smooth, Tiny, same_state, state_of, used

MEBIBYTE = 2**20
PROTOCOL = Protocol(stages=(Answers(), Explanations()), only=True)


class Slow(nn.Module):
    """Each forward pass takes 50 ms, the first one a second more, and 64 MiB for a moment."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.asked = model, 0

    def forward(self, x):
        self.asked += 1
        torch.ones(64 * MEBIBYTE, dtype=torch.uint8)
        time.sleep(0.05 if self.asked > 1 else 1.05)
        return self.model(x)


@pytest.mark.parametrize("make", METHODS.values(), ids=METHODS)
def test_a_step_leaves_method_and_chance_as_they_were(make):
    method = make(used(Tiny()))
    method.progress = 0.25
    before, chance, extra = state_of(method), torch.get_rng_state(), method.state_dict()
    found = step_cost(method, batch(), repeats=1)
    assert found.seconds > 0
    assert same_state(before, state_of(method))
    assert same_state(extra, method.state_dict())
    assert torch.equal(chance, torch.get_rng_state())
    assert method.progress == 0.25
    assert not method.tried


def test_an_evaluation_leaves_model_and_chance_as_they_were():
    model = used(Tiny())
    before, chance = state_of(model), torch.get_rng_state()
    assert evaluation_cost(model, batch(), PROTOCOL).seconds > 0
    assert same_state(before, state_of(model))
    assert torch.equal(chance, torch.get_rng_state())


@pytest.mark.parametrize("of", ["step", "evaluation"])
def test_time_is_that_of_one_batch_without_the_first_and_memory_that_of_its_peak(of):
    model = Slow(Smooth())
    method = ERM(model)
    method.tried = True  # the trial would take the first pass
    found = (
        step_cost(method, batch(), repeats=2)
        if of == "step"
        else evaluation_cost(model, batch(), Protocol(stages=(Answers(),), only=True))
    )
    assert 0.05 <= found.seconds < 1
    if found.bytes is not None:
        assert 60 * MEBIBYTE < found.bytes < 200 * MEBIBYTE


def test_the_attack_and_the_optimiser_are_part_of_a_step():
    weights = nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 12, 40_000), nn.Linear(40_000, 3))
    size = sum(each.nbytes for each in weights.parameters())
    found = step_cost(ERM(weights), batch(), repeats=1)
    if found.bytes is not None:  # the copy, its gradients and two moments of AdamW
        assert 3.5 * size < found.bytes < 8 * size
    attacked = step_cost(AT(Slow(Smooth()), PGD(steps=3)), batch(), repeats=1)
    assert attacked.seconds >= 0.2


def test_memory_that_cannot_be_known_is_none(monkeypatch):
    monkeypatch.setattr(cost, "_peak_forgotten", lambda: False)
    assert step_cost(ERM(Smooth()), batch(), repeats=1).bytes is None
    assert evaluation_cost(Smooth(), batch(), PROTOCOL).bytes is None


def test_at_least_one_repeat():
    with pytest.raises(UserError, match="repeats must be 1 or more, got 0"):
        step_cost(ERM(Smooth()), batch(), repeats=0)
