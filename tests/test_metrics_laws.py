"""The laws every per-sample measure of a map keeps, whatever it measures."""

from dataclasses import dataclass, fields, replace

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from lookright.explainers import InputGradient
from lookright.metrics import (
    GaussianNoise,
    degenerate,
    deletion,
    faithfulness,
    infidelity,
    insertion,
    localisation_iou,
    localisation_mass,
    localisation_soft_iou,
    manipulated_centre,
    manipulated_kept,
    manipulated_target,
    manipulated_topk,
    mask_iou,
    mask_mass,
    mask_soft_iou,
    max_sensitivity,
    pointing_game,
    randomisation_spearman,
    stability_cosine,
    stability_spearman,
    stability_topk,
)
from lookright.metrics.stability import answer_cosine

COUNT, GRID, SIZE = 4, 5, 10


@dataclass(frozen=True)
class Inputs:
    """Everything a measure may need, of one batch."""

    saliency: torch.Tensor
    other: torch.Tensor
    images: torch.Tensor
    masks: torch.Tensor
    learned: torch.Tensor

    def map(self, function):
        return Inputs(*(function(getattr(self, field.name)) for field in fields(self)))


def inputs(count=COUNT):
    torch.manual_seed(5)
    return Inputs(
        torch.rand(count, GRID, GRID),
        torch.rand(count, GRID, GRID),
        torch.rand(count, 3, SIZE, SIZE),
        (torch.rand(count, 1, SIZE, SIZE) > 0.6).float(),
        torch.rand(count, 1, SIZE, SIZE),
    )


def model(images):
    torch.manual_seed(6)
    with torch.inference_mode(False):
        network = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.Softplus(), nn.Flatten(), nn.Linear(4 * (SIZE - 2) ** 2, 3)
        )
        return network.to(images)


def classes(x):
    return torch.zeros(len(x.images), dtype=torch.long, device=x.images.device)


MEASURES = {
    "comprehensiveness": (
        lambda x: faithfulness(model(x.images), x.images, x.saliency).comprehensiveness,
        (-1, 1),
    ),
    "sufficiency": (
        lambda x: faithfulness(model(x.images), x.images, x.saliency).sufficiency,
        (-1, 1),
    ),
    "deletion": (
        lambda x: deletion(model(x.images), x.images, x.saliency, steps=8, max_images=200),
        (0, 1),
    ),
    "insertion": (
        lambda x: insertion(model(x.images), x.images, x.saliency, steps=8, max_images=200),
        (0, 1),
    ),
    "infidelity-squares": (
        lambda x: infidelity(model(x.images), x.images, x.saliency, max_images=1000),
        (0, 1),
    ),
    "infidelity-noise": (
        lambda x: infidelity(
            model(x.images), x.images, x.saliency, GaussianNoise(0.1, 4), max_images=1000
        ),
        (0, 1),
    ),
    "max_sensitivity": (
        lambda x: max_sensitivity(model(x.images), x.images, InputGradient(), samples=3),
        (0, 10),
    ),
    "randomisation_spearman": (
        lambda x: randomisation_spearman(
            model(x.images), x.images, x.learned[:, 0], InputGradient(), classes(x)
        ),
        (-1, 1),
    ),
    "localisation_mass": (lambda x: localisation_mass(x.saliency, x.masks), (0, 1)),
    "localisation_iou": (lambda x: localisation_iou(x.saliency, x.masks), (0, 1)),
    "localisation_soft_iou": (lambda x: localisation_soft_iou(x.saliency, x.masks), (0, 1)),
    "pointing_game": (lambda x: pointing_game(x.saliency, x.masks), (0, 1)),
    "mask_mass": (lambda x: mask_mass(x.learned, x.masks), (0, 1)),
    "mask_iou": (lambda x: mask_iou(x.learned, x.masks), (0, 1)),
    "mask_soft_iou": (lambda x: mask_soft_iou(x.learned, x.masks), (0, 1)),
    "stability_cosine": (lambda x: stability_cosine(x.saliency, x.other), (0, 1)),
    "answer_cosine": (lambda x: answer_cosine(x.saliency, x.other), (0, 1)),
    "stability_spearman": (lambda x: stability_spearman(x.saliency, x.other), (-1, 1)),
    "stability_topk": (lambda x: stability_topk(x.saliency, x.other, 0.3), (0, 1)),
    "manipulated_topk": (lambda x: manipulated_topk(x.saliency, x.other, 0.3), (0, 1)),
    "manipulated_centre": (lambda x: manipulated_centre(x.saliency, x.other), (0, 1)),
    "manipulated_target": (lambda x: manipulated_target(x.saliency, x.other), (-1, 1)),
    "manipulated_kept": (
        lambda x: manipulated_kept(x.saliency, x.other, x.masks[:, 0, 0, 0] > 0.5),
        (0, 1),
    ),
    "degenerate_maps": (lambda x: degenerate(x.saliency), (0, 1)),
}
every_measure = pytest.mark.parametrize(("measure", "bounds"), MEASURES.values(), ids=MEASURES)


def with_silent_maps(x):
    saliency, learned = x.saliency.clone(), x.learned.clone()
    saliency[0], saliency[1], saliency[2, 1, 1] = 0, 0.5, torch.nan
    learned[0], learned[1] = 0, 0.5
    return replace(x, saliency=saliency, learned=learned)


@every_measure
def test_one_finite_score_in_range_for_each_sample(measure, bounds):
    for x in (inputs(), with_silent_maps(inputs())):
        score = measure(x).double()
        assert score.shape == (COUNT,)
        assert score.isfinite().all()
        assert ((score >= bounds[0]) & (score <= bounds[1])).all()


@every_measure
def test_a_silent_map_leaves_the_others_alone(measure, bounds):
    assert torch.equal(measure(with_silent_maps(inputs()))[3], measure(inputs())[3])


@every_measure
def test_scale_of_each_map_does_not_matter(measure, bounds):
    x = inputs()
    scales = 2.0 ** torch.tensor([-60, -3, 2, 60])[:, None, None]
    scaled = replace(x, saliency=x.saliency * scales, other=x.other / scales)
    assert torch.allclose(measure(scaled).double(), measure(x).double(), atol=1e-6)


@every_measure
def test_a_sample_scores_alone_as_in_its_batch_in_any_order(measure, bounds):
    x = inputs()
    score = measure(x).double()
    alone = torch.cat([measure(x.map(lambda t, i=i: t[i : i + 1])) for i in range(COUNT)])
    assert torch.allclose(alone.double(), score, atol=1e-6)
    order = torch.tensor([2, 0, 3, 1])
    assert torch.allclose(measure(x.map(lambda t: t[order])).double(), score[order], atol=1e-6)


@every_measure
def test_single_and_double_precision_agree(measure, bounds):
    x = inputs()
    double = measure(x.map(torch.Tensor.double))
    assert double.dtype in (torch.float64, torch.bool)
    assert torch.allclose(measure(x).double(), double.double(), atol=1e-5)


@every_measure
def test_layout_history_and_grad_mode_do_not_matter(measure, bounds):
    x = inputs()
    score = measure(x)
    strided = x.map(lambda t: t.transpose(-2, -1).contiguous().transpose(-2, -1))
    assert not strided.saliency.is_contiguous()
    assert torch.allclose(measure(strided).double(), score.double(), atol=1e-6)
    expanded = x.map(lambda t: t[:1].expand_as(t))
    assert torch.allclose(measure(expanded).double(), score[:1].double(), atol=1e-6)
    with torch.no_grad():
        assert torch.equal(measure(x), score)
    with torch.inference_mode():
        assert torch.equal(measure(inputs()), score)
    tracked = x.map(lambda t: t.clone().requires_grad_())
    assert torch.equal(measure(tracked).detach(), score)


@every_measure
def test_an_empty_batch_has_no_scores(measure, bounds):
    assert measure(inputs().map(lambda t: t[:0])).shape == (0,)


@every_measure
def test_inputs_stay_as_they_are(measure, bounds):
    x = with_silent_maps(inputs())
    copy = x.map(torch.clone)
    measure(x)
    for field in fields(x):
        one, other = getattr(x, field.name), getattr(copy, field.name)
        torch.testing.assert_close(one, other, equal_nan=True)


@every_measure
def test_everything_stays_on_the_device_without_waiting_for_it(measure, bounds):
    score = measure(inputs().map(lambda t: t.to("meta")))
    assert score.device.type == "meta"
    assert score.shape == (COUNT,)


class Operations(TorchDispatchMode):
    """Counts the operations sent to the device."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        return func(*args, **(kwargs or {}))


@every_measure
def test_no_loop_over_samples(measure, bounds):
    counts = []
    for count in (2, 12):
        x = inputs(count)
        with Operations() as operations:
            measure(x)
        counts.append(operations.count)
    assert counts[0] == counts[1]
