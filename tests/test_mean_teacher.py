"""The moving average of the model as a guide: its weights, maps and answers."""

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import SGD

from cases import batch
from lookright.attacks import PGD
from lookright.distances import Correlation
from lookright.errors import UserError
from lookright.explainers import GradCAM
from lookright.guides import MeanTeacher
from lookright.methods import AWP, EGAT, TRADES, MaskAlignment
from lookright.training import Run, fit
from models_for_tests import Smooth, Tiny, same_state, state_of
from test_training import QUICK, Hook
from test_training_mistakes import interrupt
from tiny import Blobs, tiny_classifier

ATTACK = PGD(steps=2, random_start=False)


def step(method: nn.Module, lr: float = 0.5) -> dict[str, Tensor]:
    losses = method(batch())
    optimizer = SGD(method.model.parameters(), lr)
    optimizer.zero_grad()
    torch.stack([*losses.values()]).sum().backward()
    optimizer.step()
    return losses


def test_its_weights_are_the_average_of_those_that_the_model_had():
    guide = MeanTeacher(decay=0.5, warm_up=0.0)
    method = EGAT(Tiny(), ATTACK, guide=guide)
    wanted, kept = None, [0.1, 2 / 11, 3 / 12, 4 / 13, 5 / 14, 6 / 15, 7 / 16, 8 / 17, 0.5, 0.5]
    for share in kept:
        own = [each.clone() for each in (*method.model.parameters(), *method.model.buffers())]
        step(method)
        wanted = own if wanted is None else wanted
        wanted = [
            share * mean + (1 - share) * each if each.is_floating_point() else each
            for mean, each in zip(wanted, own, strict=True)
        ]
    found = [*guide.average.parameters(), *guide.average.buffers()]
    for mean, each in zip(found, wanted, strict=True):
        torch.testing.assert_close(mean, each)
    first = next(method.model.parameters())
    assert not torch.allclose(found[0], first, atol=1e-3)


def test_the_target_and_the_answers_are_the_averages_and_neither_it_nor_they_get_gradients():
    guide = MeanTeacher(warm_up=0.0)
    method = EGAT(Smooth(), ATTACK, guide=guide, answer=3.0, stability=2.0)
    step(method)
    step(method)
    data, before = batch(), deepcopy(guide.average)
    attacked = method.attacked(data)
    losses = method(data)
    average = guide.average
    assert not same_state(state_of(before), state_of(average))
    explain = GradCAM(relu=False, centred=True)
    answers, target = explain(average, data.images, data.labels)
    logits, own = explain(method.model, attacked, data.labels)
    wanted = 2 * Correlation()(own, target).mean()
    torch.testing.assert_close(losses["explanation"], wanted)
    moved = F.kl_div(logits.log_softmax(1), answers.softmax(1), reduction="batchmean")
    torch.testing.assert_close(losses["answer"], 3 * moved)
    torch.stack([*losses.values()]).sum().backward()
    assert all(each.grad is None and not each.requires_grad for each in average.parameters())
    assert not average.training


def test_the_answer_of_a_model_without_a_teacher_is_the_term_of_trades():
    model, data = Smooth(), batch()
    ours = EGAT(model, ATTACK, stability=0.0, answer=6.0)(data)
    theirs = TRADES(model, ATTACK)(data)
    torch.testing.assert_close(ours["answer"], theirs["stability"])
    of_ours, of_theirs = (
        torch.autograd.grad(loss, model.first.weight)[0]
        for loss in (ours["answer"], theirs["stability"])
    )
    torch.testing.assert_close(of_ours, of_theirs)


def test_before_its_warm_up_it_neither_guides_nor_averages():
    guide = MeanTeacher(warm_up=0.5)
    method = EGAT(Smooth(), ATTACK, guide=guide, answer=1.0)
    method.progress = 0.49
    assert {*step(method)} == {"adversarial", "clean"}
    assert guide.steps == 0
    method.progress = 0.5
    assert {*step(method)} == {"adversarial", "clean", "explanation", "answer"}
    assert guide.steps == 1


def test_it_averages_once_a_step_and_never_the_weights_of_an_ascent():
    guide = MeanTeacher(warm_up=0.0, decay=0.0)
    method = AWP(EGAT(Tiny(), ATTACK, guide=guide), gamma=0.5)
    own = deepcopy(dict(method.model.named_parameters()))
    method(batch())
    assert guide.steps == 1
    for (
        name,
        mean,
    ) in guide.average.named_parameters():  # the first step copies nine tenths, of itself
        torch.testing.assert_close(mean, own[name])


def test_masks_are_not_needed_and_other_methods_are_taught_too():
    guide = MeanTeacher(warm_up=0.0)
    method = MaskAlignment(Smooth(), guide)
    for _ in range(3):
        step(method)
    data = batch()
    method.eval()
    explainer = GradCAM(relu=False, centred=True)
    target = explainer(guide.average, data.images, data.labels)[1]
    own = explainer(method.model, data.images, data.labels)[1]
    torch.testing.assert_close(method(data)["explanation"], Correlation()(own, target).mean())


def test_a_killed_training_goes_on_with_the_same_average(tmp_path):
    def train(run, **options) -> tuple[Run, MeanTeacher]:
        guide = MeanTeacher(warm_up=0.0)
        method = EGAT(tiny_classifier(0), ATTACK, guide=guide, answer=1.0)
        return fit(method, Blobs(), "train", run, **(QUICK | options)), guide

    whole, of_whole = train(tmp_path / "whole", epochs=3)
    with pytest.raises(UserError, match="Stopped"):
        train(tmp_path / "half", epochs=3, callbacks=[Hook(interrupt)])
    again, of_again = train(tmp_path / "half", epochs=3, resume=True)
    assert same_state(state_of(of_whole.average), state_of(of_again.average))
    assert of_whole.steps == of_again.steps > 0
    assert whole.history[-1]["train/loss"] == again.history[-1]["train/loss"]


@pytest.mark.parametrize("wrong", [{"decay": 1.0}, {"decay": -0.1}, {"warm_up": 1.0}])
def test_one_clear_line(wrong):
    with pytest.raises(UserError, match=f"{next(iter(wrong))} is a share in \\[0, 1\\), got"):
        MeanTeacher(**wrong)


def test_a_loop_of_ones_own_goes_on_with_the_same_average():
    def made() -> EGAT:
        torch.manual_seed(0)
        return EGAT(Smooth(), ATTACK, guide=MeanTeacher(warm_up=0.0), answer=1.0)

    whole, half = made(), made()
    for _ in range(4):
        expected = step(whole)
    for _ in range(3):
        step(half)
    again = made()
    again.load_state_dict(half.state_dict())
    found = step(again)
    assert again.guide.steps == whole.guide.steps == 4
    assert same_state(state_of(again.guide.average), state_of(whole.guide.average))
    for name, loss in expected.items():
        torch.testing.assert_close(found[name], loss)


def test_another_models_average_is_not_gone_on_with():
    guide = MeanTeacher(warm_up=0.0, decay=0.0)
    step(EGAT(Smooth(), ATTACK, guide=guide))
    other = EGAT(Smooth(), ATTACK, guide=guide)
    own = deepcopy(dict(other.model.named_parameters()))
    other(batch())
    assert guide.steps == 1
    for name, mean in guide.average.named_parameters():
        torch.testing.assert_close(mean, own[name])
