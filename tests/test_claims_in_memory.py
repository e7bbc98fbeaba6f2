"""Claims of images in memory: tensors, a loader, a data set."""

from dataclasses import replace

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from lookright.attacks import PGD
from lookright.claims import Plan, claim
from lookright.errors import UserError
from lookright.explainers import InputGradient
from lookright.perturbations import Attacked
from tiny import Blobs, tiny_classifier

PLAN = Plan(None, Attacked(PGD(0.02, 2)), n=40, explainer=InputGradient())
IMAGES = Blobs().samples("other", range(40)).images
LABELS = Blobs().samples("other", range(40)).labels


def test_tensors_a_loader_a_data_set_and_a_tuple_give_the_same_claims():
    model, plan = tiny_classifier(), PLAN
    dataset = TensorDataset(IMAGES, LABELS)
    found = [
        claim(model, plan=plan, images=IMAGES, labels=LABELS, progress=False),
        claim(model, (IMAGES, LABELS), plan, progress=False),
        claim(model, dataset, plan, progress=False),
        claim(model, DataLoader(dataset, batch_size=7), plan, progress=False),
    ]
    sentences = [[each.sentence for each in one.claims] for one in found]
    assert {each.n for one in found for each in one.claims} == {40}
    assert sentences[0] == sentences[1] == sentences[2]
    assert "images of this distribution keep their prediction under PGD" in sentences[0][0]
    with torch.no_grad():
        predicted = model(IMAGES).argmax(1)
    still = replace(plan, perturbation=Attacked(PGD(0, 1)))
    certain = claim(model, plan=still, images=IMAGES, labels=predicted, progress=False)
    assert certain.claims[0].kept == 40


def test_a_device_that_is_not_there_is_refused_and_the_model_comes_back():
    model = tiny_classifier()
    before = [parameter.data_ptr() for parameter in model.parameters()]
    with pytest.raises(UserError, match="Expected a device of this machine"):
        claim(model, (IMAGES, LABELS), PLAN, device="cuda:77", progress=False)
    claim(model, (IMAGES, LABELS), PLAN, device="cpu", progress=False)
    assert [parameter.data_ptr() for parameter in model.parameters()] == before
