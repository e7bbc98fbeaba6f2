"""The corruptions: laws of every member, values by hand, and agreement with imagecorruptions."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lookright.corruptions import CORRUPTIONS, EXTRA_CORRUPTIONS, corrupt, filters
from lookright.corruptions.blur import _taken_from
from lookright.corruptions.draws import normal, poisson
from lookright.corruptions.spatter import _distance, _edges
from lookright.corruptions.weather import ice
from lookright.errors import UserError

ALL = CORRUPTIONS | EXTRA_CORRUPTIONS
ORDERED = {name for name in ALL if name != "saturate"}  # which first takes colour, then adds it


@cache
def scenes(side: int, count: int = 3) -> Tensor:
    """(count, 3, side, side) in 8 bits: smooth colours, stripes, a black and a white corner."""
    generator = torch.Generator().manual_seed(side)
    coarse = torch.rand(count, 3, 7, 7, generator=generator)
    smooth = F.interpolate(coarse, (side, side), mode="bicubic", align_corners=True)
    place = torch.arange(side)
    stripes = ((place[:, None] + 2 * place) // max(1, side // 9) % 2).float()
    scene = (0.7 * smooth + 0.3 * stripes).clamp(0, 1)
    scene[..., : side // 6, : side // 6] = 0
    scene[..., -side // 6 :, -side // 6 :] = 1
    return (255 * scene).round() / 255


def distance(images: Tensor, name: str, severity: int) -> float:
    return (corrupt(images, name, severity) - images).abs().mean().item()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("side", [(12, 12), (32, 32), (64, 64), (97, 97), (128, 128), (40, 57)])
def test_of_every_size_the_same_comes_back_in_the_range_and_the_input_stays(name, side):
    images = F.interpolate(scenes(64, 2), side)
    before = images.clone()
    for severity in (1, 5):
        spoiled = corrupt(images, name, severity)
        assert spoiled.shape == images.shape
        assert spoiled.dtype == torch.float32
        assert spoiled.min() >= 0
        assert spoiled.max() <= 1
        assert spoiled.isfinite().all()
        assert not spoiled.requires_grad
    assert torch.equal(images, before)


@pytest.mark.parametrize("name", ALL)
def test_an_image_is_corrupted_alike_alone_in_a_batch_again_and_in_another_order(name):
    images = scenes(48)
    together = corrupt(images, name, 3)
    torch.testing.assert_close(corrupt(images, name, 3), together, rtol=0, atol=0)
    turned = corrupt(images.flip(0), name, 3).flip(0)
    torch.testing.assert_close(turned, together, rtol=0, atol=1e-5)
    alone = torch.cat([corrupt(image[None], name, 3) for image in images])
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_the_images_type_and_device_are_kept(name):
    images = scenes(32, 1)
    once = corrupt(images, name, 2)
    twice = corrupt(images.double().requires_grad_(), name, 2)
    assert twice.dtype == torch.float64
    torch.testing.assert_close(twice.float(), once, rtol=0, atol=1e-6)
    assert twice.device == images.device
    another_layout = corrupt(images.to(memory_format=torch.channels_last), name, 2)
    torch.testing.assert_close(another_layout, once, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", sorted(ORDERED))
def test_a_higher_severity_is_further_away(name):
    dim = 0.6 * scenes(128)  # frost adds light, which white cannot show
    distances = [distance(dim, name, severity) for severity in range(1, 6)]
    assert distances[0] > 0.002
    rises = [later > earlier for earlier, later in pairwise(distances)]
    # Not every step of ImageNet-C rises: glass_blur's second and fourth have fewer rounds.
    assert sum(rises) >= (2 if name == "glass_blur" else 3)
    assert distances[4] > 1.2 * distances[0]
    small = [distance(scenes(32), name, severity) for severity in (1, 5)]
    assert small[1] > small[0]


LENGTHS = ["defocus_blur", "glass_blur", "motion_blur", "gaussian_blur"]
LENGTHS += ["elastic_transform", "pixelate"]


@pytest.mark.parametrize("name", LENGTHS)
def test_lengths_follow_the_size_so_a_picture_is_spoiled_alike_in_every_resolution(name):
    found = {}
    for side in (32, 64, 224, 448):
        images = F.interpolate(scenes(224), (side, side), mode="bilinear", antialias=True)
        found[side] = distance(images, name, 5)
    assert all(0.5 < value / found[224] < 1.5 for value in found.values()), found


@pytest.mark.parametrize("name", sorted(set(ALL) - {"pixelate", "jpeg_compression"}))
def test_a_uniform_image_shows_what_touches_the_pixels_and_what_only_moves_them(name):
    grey = torch.full((1, 3, 32, 32), 0.4)
    still = {"blur", "elastic_transform", "contrast", "gaussian_blur"}
    moves_only = ALL[name].family in still or name in still
    assert (distance(grey, name, 4) < 1e-5) == moves_only


@pytest.mark.parametrize("name", ["gaussian_noise", "glass_blur", "motion_blur", "snow", "frost"])
def test_two_images_meet_different_chance(name):
    grey = scenes(32, 1)
    other = grey.clone()
    other[..., 0, 0] = 1 / 255
    difference = (corrupt(grey, name, 5) - corrupt(other, name, 5)).abs()
    assert difference[..., 8:, 8:].mean() > 0.005


@given(severity=st.integers(1, 5))
@settings(max_examples=5)
def test_brightness_contrast_and_saturation_by_hand(severity):
    colours = torch.tensor([[0.2, 0.4, 0.1], [0.0, 0.0, 0.0], [0.9, 0.3, 0.6], [0.5, 0.5, 0.5]])
    images = colours.T.reshape(1, 3, 2, 2)

    def result(name: str) -> Tensor:
        return corrupt(images, name, severity).flatten(2)[0].T

    value = colours.amax(1, keepdim=True)
    raised = (value + 0.1 * severity).clamp(max=1)
    expected = torch.where(value > 0, colours * raised / value, raised)
    torch.testing.assert_close(result("brightness"), expected)

    kept = (0.4, 0.3, 0.2, 0.1, 0.05)[severity - 1]
    mean = torch.tensor([0.4, 0.3, 0.3])
    torch.testing.assert_close(result("contrast"), kept * colours + (1 - kept) * mean)

    factor, added = ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2))[severity - 1]
    s = min(1, 0.75 * factor + added)  # of (0.2, 0.4, 0.1): value 0.4, hue a third past yellow
    torch.testing.assert_close(result("saturate")[0], 0.4 * (1 - s * torch.tensor([2 / 3, 0, 1])))
    grey = 0.5 * (1 - added * torch.tensor([0.0, 1, 1]))
    torch.testing.assert_close(result("saturate")[3], grey)


def test_the_noises_have_the_moments_that_they_are_named_for():
    grey = torch.full((4, 3, 128, 128), 102 / 255)
    for pixel, image in enumerate(grey):  # four images of their own
        image[0, 0, 0] = pixel / 255
    noise = normal(grey, "any", 3, 128, 128)
    for power, moment in ((1, 0), (2, 1), (3, 0), (4, 3)):
        assert noise.pow(power).mean().item() == pytest.approx(moment, abs=0.05)
    assert (noise[..., 1:] * noise[..., :-1]).mean().abs() < 0.01
    assert (noise[0] * noise[1]).mean().abs() < 0.02
    for severity, rate in ((1, 60), (3, 12), (5, 3)):
        counts = poisson(grey, "any", rate)
        assert torch.equal(counts, counts.round())
        assert counts.mean().item() == pytest.approx(0.4 * rate, rel=0.01)
        assert counts.var().item() == pytest.approx(0.4 * rate, rel=0.03)
        none = (counts == 0).float().mean().item()
        assert none == pytest.approx(np.exp(-0.4 * rate), abs=0.01)
        share = (0.03, 0, 0.09, 0, 0.27)[severity - 1]
        salted = corrupt(grey, "impulse_noise", severity)
        for extreme in (0, 1):
            found = (salted == extreme).float().mean().item()
            assert found == pytest.approx(share / 2, abs=0.003)
    speckled = corrupt(grey, "speckle_noise", 1) - grey
    assert speckled.std().item() == pytest.approx(0.4 * 0.15, rel=0.02)
    assert (corrupt(grey, "gaussian_noise", 1) - grey).std().item() == pytest.approx(0.08, rel=0.02)


def test_black_stays_black_and_white_white_where_light_is_counted():
    images = torch.tensor([0.0, 1.0]).repeat_interleave(3 * 64).view(2, 3, 8, 8)
    assert corrupt(images, "shot_noise", 5)[0].max() == 0
    assert poisson(images, "any", 60)[1].mean().item() == pytest.approx(60, rel=0.05)


def test_pixelate_makes_blocks_of_their_mean():
    images = scenes(224, 1)
    blocks = F.avg_pool2d(images, 4).repeat_interleave(4, 2).repeat_interleave(4, 3)
    torch.testing.assert_close(corrupt(images, "pixelate", 5), blocks)


def test_a_bright_point_is_spread_over_a_disc():
    images = torch.zeros(1, 3, 224, 224)
    images[..., 100, 100] = 1
    spread = corrupt(images, "defocus_blur", 3)[0, 0]
    assert spread.sum().item() == pytest.approx(1, abs=1e-4)
    assert spread[100, 100].item() == pytest.approx(1 / (np.pi * 6**2), rel=0.01)
    assert spread[100, 108].abs() < 1e-6
    second = (spread * (torch.arange(224) - 100.0).square()).sum().item()
    assert second == pytest.approx(6**2 / 4 + 1 / 6, rel=0.03)  # a disc's, and a pixel's


def test_glass_takes_pixels_as_the_loop_over_them_does():
    generator = torch.Generator().manual_seed(0)
    for h, w, reach in ((9, 11, 2), (14, 10, 3), (7, 7, 1)):
        down, right = torch.randint(-reach, reach, (2, 2, h, w), generator=generator)
        taken = _taken_from(down, right, reach)
        for image in range(2):
            values = np.arange(h * w).reshape(h, w)
            for i in range(h - reach, reach, -1):
                for j in range(w - reach, reach, -1):
                    values[i, j] = values[i + down[image, i, j], j + right[image, i, j]]
            assert np.array_equal(taken[image].numpy(), values)


def test_motion_smears_one_way_along_its_angle():
    images = torch.zeros(3, 1, 41, 41)
    images[..., 20, 20] = 1
    smeared = filters.motion(images, 5, 4, torch.tensor([0.0, 90.0, 45.0]))[:, 0]
    weight = np.exp(-((np.arange(11) / 4) ** 2) / 2)
    torch.testing.assert_close(
        smeared[0, 20, 10:21].flip(0), torch.tensor(weight / weight.sum()).float()
    )
    torch.testing.assert_close(smeared[1], smeared[0].T)
    assert smeared[2, 20 - 3, 20 - 3] > 0
    assert smeared[:, 21:, 21:].max() == 0


def test_clouds_repeat_at_the_borders_and_are_rougher_with_less_decay():
    chance = torch.rand(8, 64, 64, generator=torch.Generator().manual_seed(0))
    rough, smooth = (filters.plasma(chance, decay) for decay in (1.2, 2.0))
    for clouds in (rough, smooth):
        assert torch.equal(clouds.amin((1, 2)), torch.zeros(8))
        assert torch.equal(clouds.amax((1, 2)), torch.ones(8))
    step = smooth.diff(dim=2).abs().mean()
    assert step < 0.5 * rough.diff(dim=2).abs().mean()
    assert (smooth[..., 0] - smooth[..., -1]).abs().mean() < 3 * step


def test_ice_is_as_bright_as_the_photographs_that_it_stands_for():
    drawn = ice(scenes(128, 12))
    means = drawn.mean((1, 2, 3))
    assert means.min() > 0.42
    assert means.max() < 0.88
    assert 0.07 < drawn.mean(1).std((1, 2)).mean() < 0.15


CANNYS = """
...........
....###....
...#...#...
..#.....#..
..#......#.
...##....#.
.....#...#.
......####.
...........
"""


def test_the_edges_of_drops_are_those_of_opencvs_canny():
    level = torch.zeros(1, 9, 11)
    level[0, 2:6, 3:8] = level[0, 4:8, 6:10] = 180
    found = ["".join(".#"[edge] for edge in row) for row in _edges(level)[0].int().tolist()]
    assert found == CANNYS.split()


def test_the_distance_is_that_to_the_nearest_place_within_reach():
    there = torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(0)) < 0.01
    found = _distance(there, reach=6)
    place = torch.cartesian_prod(torch.arange(20.0), torch.arange(30.0))
    for one, distances in zip(there, found, strict=True):
        nearest = torch.cdist(place, place[one.flatten()]).amin(1).view(20, 30)
        torch.testing.assert_close(distances[nearest <= 6], nearest[nearest <= 6])
        assert distances[nearest > 6].min() > 6


@pytest.mark.parametrize(
    ("severity", "colour", "laid", "share"),
    [(3, (175, 238, 238), False, 0.04), (5, (63, 42, 20), True, 0.18)],
)
def test_drops_are_added_water_or_mud_in_place_of_the_image(severity, colour, laid, share):
    dark = torch.full((2, 3, 96, 128), 0.1)
    shown = torch.tensor(colour)[:, None, None] / 255
    drops = (corrupt(dark, "spatter", severity) - dark) / (shown - dark * laid)
    assert torch.allclose(drops.amin(1), drops.amax(1), atol=1e-5)
    assert drops.min() >= -1e-5
    assert drops.max() == pytest.approx(1 if laid else 0.5, abs=0.1)
    assert drops.mean() == pytest.approx(share, rel=0.2)


def test_a_name_or_a_severity_that_is_not_there_is_named():
    images = scenes(32, 1)
    with pytest.raises(UserError, match=r"Unknown corruption 'frosst'.*Did you mean 'frost'"):
        corrupt(images, "frosst", 1)
    for severity in (0, 6, 1.5):
        with pytest.raises(UserError, match="from 1 to 5"):
            corrupt(images, "fog", severity)  # type: ignore[arg-type]


def test_the_fifteen_stand_in_imagenet_c_order():
    assert " ".join(CORRUPTIONS) == (
        "gaussian_noise shot_noise impulse_noise defocus_blur glass_blur motion_blur zoom_blur "
        "snow frost fog brightness contrast elastic_transform pixelate jpeg_compression"
    )
    families = [member.family for member in CORRUPTIONS.values()]
    assert families == ["noise"] * 3 + ["blur"] * 4 + ["weather"] * 4 + ["digital"] * 4


@pytest.fixture(scope="module")
def reference():
    """The same corruption, image by image, by imagecorruptions."""
    reason = "imagecorruptions-imaug (or an imagecorruptions that imports) is not installed"
    theirs = pytest.importorskip("imagecorruptions", reason=reason, exc_type=ImportError)

    def result(images: Tensor, name: str, severity: int) -> Tensor:
        np.random.seed(0)
        pixels = (255 * images).round().byte().permute(0, 2, 3, 1).numpy()
        spoiled = [theirs.corrupt(image, severity, name) for image in pixels]
        return torch.tensor(np.stack(spoiled)).permute(0, 3, 1, 2) / 255

    return result


EXACT = {
    "brightness": 1 / 255,
    "contrast": 1 / 255,
    "zoom_blur": 1 / 255,
    "gaussian_blur": 1 / 255,
    "saturate": 1 / 255,
    "jpeg_compression": 0.0,
    "pixelate": 1 / 255,
    "defocus_blur": 0.03,
}
"""The largest difference: it cuts off to 8 bits, and its disc has a harder edge."""


@pytest.mark.parametrize("severity", [1, 3, 5])
@pytest.mark.parametrize("name", EXACT)
def test_what_knows_no_chance_equals_imagecorruptions(reference, name, severity):
    images = scenes(224, 2)
    ours, theirs = corrupt(images, name, severity), reference(images, name, severity)
    assert (ours - theirs).abs().max() <= EXACT[name] + 1e-4
    assert (ours - theirs).abs().mean() < 0.006


_SPREAD = {
    "motion_blur": (0.01, 0.02, 0.2),
    "frost": (0.12, 0.06, 0.3),
    "fog": (0.12, 0.06, 0.3),
}
"""Wider where an image's draw is one: its angle, its photograph, its few largest clouds."""


@pytest.mark.parametrize("name", sorted(set(ALL) - set(EXACT)))
def test_what_is_random_has_the_mean_deviation_and_distance_of_imagecorruptions(reference, name):
    severity = 3
    images = scenes(224, 2 if name == "glass_blur" else 6)
    ours, theirs = corrupt(images, name, severity), reference(images, name, severity)
    mean, deviation, further = _SPREAD.get(name, (0.01, 0.01, 0.06))
    assert (ours.mean() - theirs.mean()).abs() < mean
    assert (ours.std() - theirs.std()).abs() < deviation
    ratio = (ours - images).abs().mean() / (theirs - images).abs().mean()
    assert ratio.item() == pytest.approx(1, abs=further)


@pytest.mark.parametrize("severity", range(1, 6))
def test_spatter_equals_imagecorruptions_on_the_same_noise(reference, monkeypatch, severity):
    images = scenes(224, 3)
    noise = iter(normal(images, "spatter", 224, 224).double().numpy())
    monkeypatch.setattr(np.random, "normal", lambda size, loc, scale: loc + scale * next(noise))
    ours, theirs = corrupt(images, "spatter", severity), reference(images, "spatter", severity)
    assert (ours - theirs).abs().max() < (0.5 if severity < 4 else 1.01 / 255)
    assert (ours - theirs).abs().mean() < 0.002
    assert (ours - images).abs().mean() > 0.002
