"""Perturbations: each changes what it says and nothing else, image by image."""

import pytest
import torch

from lookright.attacks import APGD, FGSM, L2, PGD, ExplanationAttack, Margin, WorstCase
from lookright.batch import Batch
from lookright.corruptions import corrupt
from lookright.data import ImageData, Shortcut
from lookright.errors import UserError
from lookright.perturbations import (
    Attacked,
    Corrupted,
    Drawn,
    OtherDomain,
    Perturbation,
    SwappedBackground,
    background,
)
from tiny import Blobs, tiny_classifier

DATA = Shortcut()
WHERE, OTHERS = (3, 14, 15, 92, 65), tuple(range(100, 160))


def drawn(where=WHERE, data: ImageData = DATA, domain="train", others=OTHERS):
    return Drawn(data, domain, where, others, data.samples(domain, where))


PERTURBATIONS: dict[str, Perturbation] = {
    "attacked": Attacked(PGD(steps=2, random_start=False)),
    "corrupted": Corrupted("gaussian_noise", 5),
    "background": SwappedBackground(),
    "domain": OtherDomain("noisy"),
}
every_perturbation = pytest.mark.parametrize("name", PERTURBATIONS)


@every_perturbation
def test_images_change_and_stay_images(name):
    model, sample = tiny_classifier(data=DATA), drawn()
    changed = PERTURBATIONS[name](model, sample, sample.batch.labels)
    assert changed.shape == sample.batch.images.shape
    assert changed.dtype == torch.float32
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert (changed != sample.batch.images).flatten(1).any(1).all()


@every_perturbation
def test_an_image_is_changed_alike_whatever_is_drawn_with_it(name):
    model, sample = tiny_classifier(data=DATA).eval(), drawn()
    together = PERTURBATIONS[name](model, sample, sample.batch.labels)
    for at in range(len(WHERE)):
        alone = drawn(WHERE[at : at + 1])
        found = PERTURBATIONS[name](model, alone, alone.batch.labels)
        torch.testing.assert_close(found, together[at : at + 1], atol=1e-6, rtol=0)


def test_the_object_stays_pixel_for_pixel_on_another_background():
    sample = drawn()
    changed = SwappedBackground()(tiny_classifier(data=DATA), sample, sample.batch.labels)
    on_object = (sample.batch.masks == 1).expand_as(changed)
    assert torch.equal(changed[on_object], sample.batch.images[on_object])
    outside = changed[~on_object], sample.batch.images[~on_object]
    assert (outside[0] != outside[1]).float().mean() > 0.9


def test_the_background_is_that_of_one_of_the_others_without_its_object():
    sample = drawn()
    others = DATA.samples("train", OTHERS)
    assert others.masks is not None
    grounds = background(others.images, others.masks)
    changed = SwappedBackground()(tiny_classifier(data=DATA), sample, sample.batch.labels)
    off = sample.batch.masks[:, None] == 0
    distance = ((changed[:, None] - grounds[None]) * off).abs().amax((2, 3, 4))
    assert (distance.min(1).values == 0).all()
    assert len(distance.argmin(1).unique()) > 1


def test_the_pairing_follows_the_seed():
    sample, model = drawn(), tiny_classifier(data=DATA)
    one, again, other = (
        SwappedBackground(seed)(model, sample, sample.batch.labels) for seed in (0, 0, 1)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_backgrounds_are_drawn_from_all_others_alike():
    sample = drawn(tuple(range(400)), others=tuple(range(400, 404)))
    images, others = sample.batch.images, DATA.samples("train", sample.others)
    assert others.masks is not None
    changed = SwappedBackground()(tiny_classifier(data=DATA), sample, sample.batch.labels)
    off = sample.batch.masks == 0
    counts = [
        int(((changed - ground) * off).abs().amax((1, 2, 3)).eq(0).sum())
        for ground in background(others.images, others.masks)
    ]
    assert sum(counts) == len(images)
    assert all(70 < count < 130 for count in counts)  # 100 with a standard deviation of 8.7


def test_the_object_is_filled_by_what_is_next_to_it():
    images = torch.zeros(1, 3, 16, 16)
    images[..., 8:] = 1.0
    images[:, :, 4:7, 2:6] = 0.5
    masks = torch.zeros(1, 1, 16, 16)
    masks[:, :, 4:7, 2:6] = 1
    expected = torch.zeros(1, 3, 16, 16)
    expected[..., 8:] = 1.0
    assert torch.equal(background(images, masks), expected)
    assert torch.equal(background(images, torch.zeros_like(masks)), images)
    assert torch.equal(background(images, torch.ones_like(masks)), torch.zeros_like(images))
    soft = masks / 2
    assert torch.equal(background(images, soft), expected)


def test_a_wide_object_is_filled_to_its_middle():
    images = torch.rand(2, 3, 33, 33)
    masks = torch.zeros(2, 1, 33, 33)
    masks[..., 1:32, 1:32] = 1
    filled = background(images, masks)
    inside = filled[..., 16, 16]
    assert ((inside > 0.2) & (inside < 0.8)).all()
    assert torch.equal(filled[..., 0, :], images[..., 0, :])


def test_another_domain_shows_the_same_scene():
    sample = drawn()
    changed = OtherDomain("reversed")(tiny_classifier(data=DATA), sample, sample.batch.labels)
    assert torch.equal(changed, DATA.samples("reversed", WHERE).images)


def test_a_corruption_is_that_of_its_name():
    sample = drawn()
    changed = Corrupted("contrast", 4)(tiny_classifier(data=DATA), sample, sample.batch.labels)
    assert torch.equal(changed, corrupt(sample.batch.images, "contrast", 4))


def test_an_attack_is_aimed_at_the_class_it_is_told():
    sample, model = drawn(), tiny_classifier(data=DATA)
    y = torch.tensor([9, 8, 7, 6, 5])
    expected = FGSM()(model, sample.batch.images, y)
    assert torch.equal(Attacked(FGSM())(model, sample, y), expected)


@pytest.mark.parametrize(
    ("perturbation", "words"),
    [
        (Attacked(), "PGD (8/255, L-inf, 20 steps, 2 restarts)"),
        (Attacked(PGD(0.5, 10, norm=L2(), restarts=3)), "PGD (0.5, L2, 10 steps, 3 restarts)"),
        (Attacked(FGSM(0.013)), "FGSM (0.013, L-inf)"),
        (Attacked(APGD(loss="dlr")), "APGD (8/255, L-inf, 100 steps, dlr loss)"),
        (Attacked(PGD(objective=Margin())), "PGD (8/255, L-inf, 10 steps, Margin)"),
        (Attacked(ExplanationAttack()), "ExplanationAttack (8/255, L-inf, 50 steps, TopK)"),
        (Attacked(WorstCase((PGD(), FGSM()))), "WorstCase (PGD, FGSM, 8/255, L-inf)"),
        (Corrupted("fog", 2), "fog at severity 2"),
        (SwappedBackground(), "a change of background"),
        (OtherDomain("sketch"), "a change of domain to sketch"),
    ],
)
def test_words(perturbation, words):
    assert perturbation.words == words


def test_a_target_would_be_the_prediction_itself():
    for attack in (PGD(targeted=True), FGSM(targeted=True)):
        with pytest.raises(UserError, match=r"is targeted, .* leave targeted out"):
            Attacked(attack)


def test_what_the_data_must_have():
    assert SwappedBackground().possible(DATA, "train") == list(range(1797))
    assert len(OtherDomain("random").possible(DATA, "train")) == 1797
    assert len(Attacked().possible(Blobs(), "train")) == 72
    with pytest.raises(UserError, match=r"needs masks .* Blobs has none in domain 'train'"):
        SwappedBackground().possible(Blobs(), "train")
    with pytest.raises(UserError, match="'train' and 'other' of Blobs share none"):
        OtherDomain("other").possible(Blobs(), "train")
    with pytest.raises(UserError, match="another domain than 'train'"):
        OtherDomain("train").possible(DATA, "train")
    with pytest.raises(UserError, match="Did you mean 'reversed'"):
        OtherDomain("reverse").possible(DATA, "train")
    with pytest.raises(UserError, match=r"Unknown corruption 'foggy'.*Did you mean 'fog'"):
        Corrupted("foggy")
    with pytest.raises(UserError, match=r"Severity 1\.0; expected a whole number"):
        Corrupted("fog", 1.0)
    with pytest.raises(UserError, match=r"Severity 0; expected .* from 1 to 5"):
        Corrupted("fog", 0)
    sample = drawn(others=())
    with pytest.raises(UserError, match="draw fewer images"):
        SwappedBackground()(tiny_classifier(data=DATA), sample, sample.batch.labels)


def test_only_images_with_a_mask_change_their_background():
    class HalfMasked(Blobs):
        has_masks = True

        def masked(self, domain):
            return [index % 2 == 0 for index in range(self.n)]

    assert SwappedBackground().possible(HalfMasked(10), "train") == [0, 2, 4, 6, 8]


def test_a_missing_mask_is_a_mistake_said_clearly():
    images = torch.rand(2, 3, 8, 8)
    sample = Drawn(Blobs(), "train", (0, 1), (2, 3), Batch(images, torch.tensor([0, 1])))
    with pytest.raises(UserError, match="none with a mask"):
        SwappedBackground()(tiny_classifier(), sample, sample.batch.labels)
