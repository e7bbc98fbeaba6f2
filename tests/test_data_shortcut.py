"""Shortcut: what each domain's background says, the masks, and determinism."""

import pytest
import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F

from lookright.data import Shortcut, load_data
from lookright.errors import UserError

N = 1797


@pytest.fixture(scope="module")
def data() -> Shortcut:
    return Shortcut(image_size=32, strength=0.8, seed=0)


def everything(data, domain):
    return data.samples(domain, range(N))


@pytest.mark.parametrize("domain", Shortcut.domains)
def test_a_domain_is_a_valid_batch_of_readable_digits(data, domain):
    batch = everything(data, domain)
    assert batch.images.shape == (N, 3, 32, 32)
    assert batch.masks.shape == (N, 1, 32, 32)
    assert batch.images.dtype == batch.masks.dtype == torch.float32
    assert 0 <= batch.images.min() < batch.images.max() <= 1
    assert set(batch.masks.unique().tolist()) == {0.0, 1.0}
    assert batch.has_mask.all()
    assert batch.labels.bincount().min() > 150
    assert (batch.domains == data.domains.index(domain)).all()
    light = batch.images.mean(1, keepdim=True)
    on = (light * batch.masks).sum((1, 2, 3)) / batch.masks.sum((1, 2, 3))
    off = (light * (1 - batch.masks)).sum((1, 2, 3)) / (1 - batch.masks).sum((1, 2, 3))
    assert (on - off).min() > 0.12


def test_objects_cover_about_a_sixth(data):
    area = everything(data, "train").masks.mean((1, 2, 3))
    assert 0.12 < area.mean() < 0.18
    assert area.min() > 0.04


def agreement(data, domain, shift):
    labels = torch.from_numpy(load_digits().target)
    return (data.hues(domain) == (labels + shift) % 10).float().mean().item()


@pytest.mark.parametrize(
    ("domain", "own", "opposite"),
    [
        ("train", 0.82, 0.02),
        ("reversed", 0.02, 0.82),
        ("random", 0.1, 0.1),
        ("recoloured", 0.0, 0.0),
        ("noisy", 0.82, 0.02),
    ],
)
def test_the_hue_says_what_the_domain_promises(data, domain, own, opposite):
    assert agreement(data, domain, 0) == pytest.approx(own, abs=0.03)
    assert agreement(data, domain, 5) == pytest.approx(opposite, abs=0.03)


@pytest.mark.parametrize(("strength", "expected"), [(0.0, 0.1), (0.5, 0.55), (1.0, 1.0)])
def test_strength_sets_how_often_the_hue_is_right(strength, expected):
    assert agreement(Shortcut(strength=strength), "train", 0) == pytest.approx(expected, abs=0.03)


def ground_colour(data, domain):
    """(N, 3) mean background colour, its brightness taken out."""
    batch = everything(data, domain)
    ground = (batch.images * (1 - batch.masks)).sum((2, 3)) / (1 - batch.masks).sum((2, 3))
    return ground - ground.mean(1, keepdim=True)


def test_the_pixels_carry_the_hue(data):
    colour, hue = ground_colour(data, "random"), data.hues("random")
    centres = torch.stack([colour[hue == k].mean(0) for k in range(10)])
    assert (torch.cdist(colour, centres).argmin(1) == hue).float().mean() > 0.9


def test_only_the_background_tells_the_class_beside_the_shape(data):
    batch = everything(data, "train")
    inside = -F.max_pool2d(-batch.masks, 3, 1, 1)
    ink = (batch.images * inside).sum((2, 3)) / inside.sum((2, 3))
    for k in range(10):
        assert (ink[batch.labels == k].mean(0) - ink.mean(0)).abs().max() < 0.02


def test_domains_show_the_same_scenes(data):
    train, reversed_, noisy = (everything(data, d) for d in ("train", "reversed", "noisy"))
    same_hue = data.hues("train") == data.hues("reversed")
    assert 0 < same_hue.sum() < N
    assert torch.equal(train.images[same_hue], reversed_.images[same_hue])
    assert not torch.equal(train.images, reversed_.images)
    assert torch.equal(train.masks, noisy.masks)
    assert (train.images - noisy.images).abs().mean() > 0.05


def test_a_digit_is_in_the_same_part_of_every_domain(data):
    for part in ("train", "validation", "test"):
        kept = {tuple(i for _, i in data.split(domain, part).where) for domain in data.domains}
        assert len(kept) == 1


def test_the_same_seed_draws_the_same_in_any_order(data):
    again = Shortcut(image_size=32, strength=0.8, seed=0)
    for domain in ("noisy", "train"):
        assert torch.equal(
            again.samples(domain, [5, 900, 3]).images,
            everything(data, domain).images[[5, 900, 3]],
        )
    assert not torch.equal(Shortcut(seed=1).hues("train"), data.hues("train"))


def test_larger_images_show_the_same_scene_finer(data):
    large = Shortcut(image_size=48).samples("train", range(40))
    small = data.samples("train", range(40))
    shrunk = F.interpolate(large.images, (32, 32), mode="bilinear", antialias=True)
    assert (shrunk - small.images).abs().mean() < 0.03
    assert large.masks.mean() == pytest.approx(small.masks.mean().item(), abs=0.01)


def test_it_is_loaded_by_name_in_any_case():
    data = load_data("sHortcut", image_size=40, seed=3, strength=0.5)
    assert isinstance(data, Shortcut)
    assert (data.image_size, data.seed, data.strength) == (40, 3, 0.5)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"image_size": 31}, "of 32 to 8192"),
        ({"strength": 1.5}, "from 0 to 1"),
        ({"strength": float("nan")}, "from 0 to 1"),
        ({"masks": "somewhere"}, "has its own"),
        ({"tool_masks": "somewhere"}, "no tool masks for Shortcut.*HumanMask"),
    ],
)
def test_wrong_arguments_are_one_line(wrong, says):
    with pytest.raises(UserError, match=says):
        load_data("Shortcut", **wrong)
