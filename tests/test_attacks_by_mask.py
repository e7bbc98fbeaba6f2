"""The budget shaped by the mask: how far pixels may move on the object, beside it, and when."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

from cases import batch, learned_mask
from lookright.attacks import APGD, FGSM, L2, PGD, Attack, Ball, ByMask, LInf
from lookright.attacks.by_mask import _Weighted
from lookright.batch import Batch
from lookright.data import Shortcut
from lookright.errors import UserError
from lookright.evaluation import Protocol
from lookright.evaluation.stages.attacks import Attacks
from lookright.methods import AT, EGAT, MART, TRADES
from lookright.methods.awp import AWP
from lookright.models import build_model
from lookright.perturbations import Attacked
from lookright.spec import build
from lookright.training import fit
from lookright.training.guiding import check_guided
from lookright.verbs.explain import explain
from models_for_tests import Smooth, Tiny

ON, BESIDE = 8 / 255, 40 / 255
EVERY = {
    "pgd": PGD(steps=6),
    "clean start": PGD(steps=6, random_start=False),
    "restarts": PGD(steps=3, restarts=2),
    "fgsm": FGSM(),
}
every_attack = pytest.mark.parametrize("attack", EVERY.values(), ids=EVERY)


def moved(attack: Attack, of: Batch) -> Tensor:
    """How far each pixel has moved at most, (B, H, W)."""
    z = attack(Smooth(), of.images, of.labels, Generator().manual_seed(0))
    assert 0 <= z.min() <= z.max() <= 1
    return (z - of.images).abs().amax(1)


def masked() -> Batch:
    found = batch()
    grey = found.images * 0.4 + 0.3  # far from black and white, so that nothing is cut off
    return replace(found, images=grey, has_mask=torch.ones(len(found), dtype=torch.bool))


@every_attack
def test_the_radius_is_eps_on_the_object_and_another_beside_it(attack):
    found = masked()
    far = moved(ByMask(attack, BESIDE).on(found, 1.0), found)
    on = found.masks[:, 0] > 0
    assert far[on].max() <= ON + 1e-6
    assert far[~on].max() <= BESIDE + 1e-6
    assert far[on].max() > 0.9 * ON
    assert far[~on].max() > 0.9 * BESIDE


@settings(max_examples=20, database=None)
@given(
    level=st.floats(0, 1),
    beside=st.sampled_from([0.0, 1 / 255, 8 / 255, 1.0]),
    progress=st.floats(0, 1),
    growth=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_between_the_two_it_follows_soft_masks_and_the_share_of_training(
    level, beside, progress, growth
):
    found = masked()
    soft = torch.full_like(found.masks, level)
    soft[:, :, 0, 0] = 1  # a mask that is empty is none
    found = replace(found, masks=soft)
    grown = 1 if growth == 0 else min(1, progress / growth)
    radius = ON + grown * (1 - level) * (beside - ON)
    far = moved(ByMask(FGSM(), beside, growth).on(found, progress), found)
    assert far[:, 1:].max() <= radius + 1e-6
    assert far[:, 1:].max() >= min(radius, 0.3) - 1e-6


@every_attack
def test_with_one_radius_it_is_the_attack_itself(attack):
    found = masked()
    same = ByMask(attack, ON).on(found, 1.0)
    of = Smooth(), found.images, found.labels
    ours = same(*of, Generator().manual_seed(3))
    theirs = attack(*of, Generator().manual_seed(3))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_what_is_unknown_is_attacked_within_eps():
    found = masked()
    found = replace(
        found,
        masks=found.masks * (torch.arange(len(found)) != 2)[:, None, None, None],
        has_mask=torch.arange(len(found)) != 1,
        ignored=torch.zeros_like(found.masks, dtype=torch.bool).index_fill(
            2, torch.tensor([0]), True
        ),
    )
    far = moved(ByMask(PGD(steps=6), BESIDE).on(found, 1.0), found)
    assert far[[1, 2]].max() <= ON + 1e-6
    assert far[:, 0].max() <= ON + 1e-6
    assert far[3, 1:].max() > 0.9 * BESIDE


def test_masks_may_have_another_size_and_precision_than_the_images():
    found = masked()
    coarse = torch.zeros(len(found), 1, 4, 4, dtype=torch.bool)
    coarse[..., :2] = True
    ignored = torch.zeros_like(coarse).index_fill(2, torch.tensor([0]), True)
    found = replace(found, images=found.images.double(), masks=coarse, ignored=ignored)
    attack = ByMask(FGSM(), BESIDE).on(found)
    z = attack(Smooth().double(), found.images, found.labels)
    assert z.dtype == torch.float64
    far, side = (z - found.images).abs().amax(1), found.images.shape[-1]
    assert far[..., : side // 4].max() <= ON + 1e-6
    assert far[:, : side // 8].max() <= ON + 1e-6
    assert far[:, side // 2 :, -side // 4 :].min() > 0.9 * BESIDE


def test_a_random_start_is_inside():
    weights = torch.rand(3, 1, 8, 8)
    x = torch.full((3, 3, 8, 8), 0.5)
    start = Ball(_Weighted(weights), 0.1).start(x, Generator().manual_seed(0))
    share = (start - x).abs() / (0.1 * weights)
    assert 0.9 < share.max() <= 1 + 1e-4


def test_a_guide_that_gives_explanations_leaves_the_masks_to_the_annotation():
    found = masked()
    far = (EGAT(Smooth(), ByMask(FGSM(), BESIDE)).attacked(found) - found.images).abs().amax(1)
    on = found.masks[:, 0] > 0
    assert far[on].max() <= ON + 1e-6
    assert far[~on].min() > 0.9 * BESIDE


@pytest.mark.parametrize("wrap", [lambda method: method, AWP], ids=["alone", "awp"])
@pytest.mark.parametrize(("stability", "attack"), [(1.0, PGD), (0.0, ByMask), (0.0, PGD)])
def test_a_learned_mask_is_trained_where_it_is_used(wrap, stability, attack):
    learned = learned_mask()
    method = wrap(EGAT(Tiny(), attack(), guide=learned, stability=stability))
    for progress in (0.0, learned.warm_up):
        method.progress = progress
        used = progress >= learned.warm_up and (stability > 0 or attack is ByMask)
        assert ("masker" in method(masked())) == used


def test_outside_of_training_it_is_the_attack_itself():
    found, attack = masked(), PGD(steps=2)
    mine = ByMask(attack, BESIDE)
    assert mine.ball == attack.ball
    assert mine.within(Ball(LInf(), 0.1)) == ByMask(replace(attack, eps=0.1), BESIDE)
    assert moved(mine, found).max() <= ON + 1e-6


def test_the_masks_are_those_of_the_guide_from_its_warm_up_on():
    found, attack = replace(masked(), masks=None), ByMask(PGD(steps=6), BESIDE, growth=0.0)
    learned = learned_mask()
    method = EGAT(Smooth(), attack, guide=learned)
    method.progress = learned.warm_up - 0.01
    assert (method.attacked(found) - found.images).abs().max() <= ON + 1e-6
    method.progress = learned.warm_up
    far = (method.attacked(found) - found.images).abs().amax(1)
    masks = learned.masks(found.images).detach()[:, 0]
    radius = ON * masks + BESIDE * (1 - masks)
    assert (far <= radius + 1e-6).all()
    assert (far > 0.9 * radius).float().mean() > 0.5


@pytest.mark.parametrize("method", [AT, TRADES, MART, EGAT, lambda *of: AWP(AT(*of))])
def test_methods_train_on_it(method):
    found, model = masked(), Tiny()

    def losses(attack: Attack) -> Tensor:
        torch.manual_seed(0)
        return torch.stack([*method(deepcopy(model), attack)(found).values()])

    wide, narrow = ByMask(PGD(steps=3), BESIDE), ByMask(PGD(steps=3), ON)
    assert not torch.allclose(losses(wide), losses(narrow))
    torch.testing.assert_close(losses(narrow), losses(PGD(steps=3)))


def test_methods_grow_it_as_they_progress():
    found = masked()
    method = AT(Smooth(), ByMask(PGD(steps=3), BESIDE))
    seen = []
    for progress in (0.0, 0.25, 0.5):
        method.progress = progress
        torch.manual_seed(0)
        seen.append((method.attacked(found) - found.images).abs().max())
    assert seen[0] <= ON + 1e-6 < seen[1] < seen[2] <= BESIDE + 1e-6


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ByMask(PGD(norm=L2())), "PGD or FGSM in L-inf, got PGD in L2"),
        (lambda: ByMask(APGD()), "PGD or FGSM in L-inf, got APGD"),
        (lambda: ByMask("pgd"), "PGD or FGSM in L-inf, got str"),
        (lambda: ByMask(PGD(targeted=True)), "PGD is targeted.*leave targeted out"),
        (lambda: ByMask(beside=20), "^beside is in pixel units.*Did you mean 20/255"),
        (lambda: ByMask(growth=-1), "growth is a share of training, 0 or more, got -1"),
        (lambda: ByMask(PGD(eps=0)), "needs an eps above 0"),
        (lambda: ByMask().on(replace(batch(), masks=None)), "ByMask needs images with masks"),
    ],
)
def test_one_clear_line(make, said):
    with pytest.raises(UserError, match=said):
        make()


def explained(run):
    explain("runs/none", [run], attack=ByMask())


def validated(run):
    data = Shortcut()
    method = AT(build_model("small_resnet", data.classes, 32))
    fit(method, data, ["train"], run, validation_attack=ByMask())


JUDGED = {
    "evaluation": lambda run: Protocol(stages=(Attacks(attacks=(ByMask(),)),)),
    "claim": lambda run: Attacked(ByMask()),
    "picture": explained,
    "validation": validated,
}


@pytest.mark.parametrize("judge", JUDGED.values(), ids=JUDGED)
def test_no_model_is_judged_under_it(judge, tmp_path):
    with pytest.raises(UserError, match=r"ByMask is for training.*within one radius, such as PGD"):
        judge(tmp_path / "run")


def test_a_training_without_masks_is_refused_before_it_begins(tmp_path):
    class Bare(Shortcut):
        def masked(self, domain):
            return [False] * len(self.keys(domain))

    data = Bare()
    model = build_model("small_resnet", data.classes, 32)
    for method in (AT(model, ByMask()), EGAT(model, ByMask())):
        said = f"{type(method).__name__} attacked by ByMask needs masks, and none of the"
        with pytest.raises(UserError, match=said):
            fit(method, data, ["train"], tmp_path / "run", epochs=1)
    learned = EGAT(model, ByMask(), guide=learned_mask())
    assert check_guided(learned, data.split(["train"], "train")) is None


@pytest.mark.parametrize(
    ("options", "attack"),
    [
        ({"eps": 4 / 255}, PGD(4 / 255)),
        ({"steps": 3}, PGD(steps=3)),
        ({"class_path": "FGSM", "init_args": {"eps": 4 / 255}}, FGSM(4 / 255)),
    ],
)
def test_options_alone_are_those_of_its_default(options, attack):
    built = build({"class_path": "lookright.attacks.ByMask", "init_args": {"attack": options}})
    assert built == ByMask(attack)
