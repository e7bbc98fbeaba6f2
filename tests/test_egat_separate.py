"""EGAT with passes of their own for attacked and clean images."""

import copy
import warnings

import pytest
import torch
import torch.nn.functional as F

from cases import batch
from lookright.attacks import PGD, Attack
from lookright.batch import Batch
from lookright.explainers import GradCAM, InputGradient, IntegratedGradients, SmoothGrad
from lookright.guides import HumanMask, MeanTeacher, MixedExplanation
from lookright.methods import EGAT
from models_for_tests import Smooth, Tiny
from test_methods_adversarial import Waves

ATTACK = PGD(steps=2, random_start=False)
OPTIONS = {
    "default": {},
    "off": {"stability": 0.0, "answer": 1.0},
    "mixup": {"mixup": 1.0},
    "mixup alone": {"mixup": 1.0, "stability": 0.0},
    "mixed": {"guide": MixedExplanation(), "mixup": 1.0},
    "human": {"guide": HumanMask()},
    "teacher": {"guide": MeanTeacher(warm_up=0.0), "answer": 1.0},
    "teacher and mixup": {"guide": MeanTeacher(warm_up=0.0), "answer": 1.0, "mixup": 1.0},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_without_batchnorm_the_terms_are_those_of_one_pass(options):
    """Smooth has no BatchNorm, so that images do not meet."""
    torch.manual_seed(0)
    model, data, found = Smooth(), batch(), []
    for separate in (False, True):
        torch.manual_seed(1)
        options = {**options, "guide": copy.deepcopy(options.get("guide"))}
        found.append(EGAT(model, ATTACK, separate=separate, **options)(data))
    joint, apart = found
    assert [*joint] == [*apart]
    for name, term in joint.items():
        torch.testing.assert_close(apart[name], term, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "explainer", [GradCAM(relu=False), InputGradient(), SmoothGrad(2), IntegratedGradients(2)]
)
def test_batchnorm_keeps_the_statistics_of_attacked_images_alone(explainer):
    torch.manual_seed(0)
    model, data = Tiny().train(), batch()
    attacked = ATTACK(model, data.images, data.labels)
    alone = copy.deepcopy(model)
    alone(attacked)
    EGAT(model, ATTACK, explainer)(data)
    torch.testing.assert_close(model.norm.running_mean, alone.norm.running_mean)
    torch.testing.assert_close(model.norm.running_var, alone.norm.running_var)
    assert model.norm.num_batches_tracked == 1
    assert model.norm.track_running_stats
    assert model.norm.training


def test_each_kind_of_image_is_normalised_by_its_own_batch():
    model, labels = Waves().train(), batch().labels
    x = batch().images.double()
    attacked = ATTACK(model, x, labels)
    by_hand, joint = copy.deepcopy(model), copy.deepcopy(model)
    options = {"clean": 1.0, "stability": 0.0}
    terms = EGAT(model, ATTACK, **options)(Batch(x, labels))
    for name, images in (("adversarial", attacked), ("clean", x)):
        torch.testing.assert_close(terms[name], F.cross_entropy(by_hand(images), labels))
    together = EGAT(joint, ATTACK, separate=False, **options)(Batch(x, labels))
    assert not torch.allclose(together["clean"], terms["clean"])


class Unchanged(Attack):
    def __call__(self, model, x, y, generator=None):
        return x.clone()


@pytest.mark.parametrize("separate", [True, False], ids=["apart", "together"])
@pytest.mark.parametrize("guide", [None, MeanTeacher(warm_up=0.0)], ids=["itself", "teacher"])
def test_the_two_maps_are_of_the_same_noise(separate, guide):
    torch.manual_seed(0)
    model, data = Smooth(), batch()
    method = EGAT(model, Unchanged(), SmoothGrad(4), guide=copy.deepcopy(guide), separate=separate)
    first, again = (float(method(data)["explanation"].detach()) for _ in range(2))
    assert first == pytest.approx(0, abs=1e-5)
    assert again == pytest.approx(0, abs=1e-5)


def test_dropout_is_the_same_for_both_maps():
    torch.manual_seed(0)
    dropped = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, 2, 1), torch.nn.Tanh(), torch.nn.Dropout(0.5),
        torch.nn.Conv2d(8, 4, 3, 2, 1), torch.nn.Flatten(), torch.nn.LazyLinear(3),
    ).train()  # fmt: skip
    data = batch()
    dropped(data.images)
    method = EGAT(dropped, Unchanged(), GradCAM("1", relu=False))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert float(method(data)["explanation"].detach()) == pytest.approx(0, abs=1e-5)
    assert not torch.equal(dropped(data.images), dropped(data.images))
