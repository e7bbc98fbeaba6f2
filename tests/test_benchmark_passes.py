"""Passes through the network: as many as each method's formula has, whatever the machine."""

import pytest
import torch
from torch import nn

from cases import METHODS, batch
from lookright.attacks import PGD
from lookright.batch import Batch
from lookright.benchmark.passes import evaluation_passes, step_passes
from lookright.evaluation import Answers, Attacks, Explanations, Protocol
from lookright.guides import LearnedMask
from lookright.methods import AT, AWP, ERM
from models_for_tests import Smooth, Tiny, same_state, state_of, used

FORMULAS = {
    "erm": (1, 1),
    "at": (2 + 1, 2 + 1),  # two steps of PGD
    "trades": (1 + 2 + 2, 2 + 2),  # the attack needs f(x), and so does the loss
    "mart": (2 + 2, 2 + 2),
    "fast-at": (1 + 1, 1 + 1),
    "free-at": (1, 1),
    "egat": (2 + 2, 2 + 2 * 2),  # x' and x; Grad-CAM's gradients, and those of the loss
    "egat-no-explanation": (2 + 2, 2 + 2),
    "egat-mixup": (2 + 2.5, 2 + 2 * 2.5),  # a mixture for each two images
    "egat-learned": (2 + 2 + 2, 2 + 2 * 2 + 2),  # L_mask: what is kept, and what is removed
    "align": (1.5 + 2, 2 * 1.5 + 2),
    "dre": (1.5, 2 * 1.5),
    "mask-alignment-l1": (1, 2),
    "rrr": (1, 2),
    "sgt": (1 + 2, 1 + 2),
    "awp-at": (2 + 2, 2 + 2),  # one attack, and the gradient of the weights
    "irm": (1, 1),
}
"""Forward and backward passes for an image."""


def pairs() -> Batch:
    """Two images of each class."""
    return batch(6)


@pytest.mark.parametrize("name", FORMULAS)
def test_passes_are_those_of_the_formula(name):
    found = step_passes(METHODS[name](Smooth()), pairs())
    assert (found.forward, found.backward) == FORMULAS[name]


def linear() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(432, 8), nn.ReLU(), nn.Linear(8, 3))


@pytest.mark.parametrize("steps", [1, 4])
def test_work_is_counted_to_the_multiplication(steps):
    one = 432 * 8 + 8 * 3
    loss = one + one + 8 * 3  # forwards, to the weights, and to the input of the last layer
    assert step_passes(ERM(linear()), pairs()).work == loss / one
    attack = 2 * one * steps  # forwards, and to the image
    found = step_passes(AT(linear(), PGD(steps=steps)), pairs())
    assert found.work == (attack + loss) / one
    assert step_passes(AWP(AT(linear(), PGD(steps=steps))), pairs()).work == pytest.approx(
        (attack + 2 * loss) / one
    )


def test_an_evaluated_image_passes_once_for_its_answer_and_more_often_for_the_rest():
    def passes(*stages):
        return evaluation_passes(Smooth(), pairs(), Protocol(stages=stages, only=True))

    answers = passes(Answers())
    assert (answers.forward, answers.backward) == (1, 1)  # with Grad-CAM, whatever is asked
    few, many = (passes(Attacks(steps=steps)) for steps in (2, 6))
    assert many.forward - few.forward == many.backward - few.backward > 0
    assert (many.forward - few.forward) % 4 == 0
    assert passes(Explanations()).forward > 1


def test_counting_leaves_method_model_and_chance_as_they_were():
    model = used(Tiny())
    method = METHODS["egat-learned"](model)
    assert isinstance(method.guide, LearnedMask)
    before, chance = state_of(method), torch.get_rng_state()
    step_passes(method, pairs())
    evaluation_passes(model, pairs(), Protocol(stages=(Answers(),), only=True))
    assert same_state(before, state_of(method))
    assert torch.equal(chance, torch.get_rng_state())
