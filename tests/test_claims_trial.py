"""A plan, a draw and a trial: fresh images, values by hand, resumed after a kill."""

import json
from dataclasses import replace

import pytest
import torch
from captum.attr import Saliency
from torch import nn

from lookright.attacks import FGSM, PGD
from lookright.claims import Plan, claim
from lookright.claims.plan import draw
from lookright.claims.trial import Trial, try_batches
from lookright.data import Shortcut
from lookright.data.dataset import part_of
from lookright.errors import UserError
from lookright.explainers import Captum, InputGradient, SmoothGrad
from lookright.metrics import stability_cosine, stability_topk
from lookright.models.trial import trial_images
from lookright.perturbations import Attacked, Corrupted, OtherDomain, SwappedBackground
from lookright.spec import build
from tiny import Blobs, tiny_classifier

DATA = Blobs()


def plan(**options):
    given = {"domain": "other", "perturbation": Attacked(FGSM(0.3)), "n": 20}
    return Plan(**given | {"explainer": InputGradient()} | options)


def claimed(save, models=None, data=DATA, lemmas=False, batch_size=8, **options):
    models = models or {"net": tiny_classifier(data=data)}
    return claim(
        models,
        data,
        plan(**options),
        save=save,
        lemmas=lemmas,
        batch_size=batch_size,
        progress=False,
    )


def test_the_draw_is_fresh_and_follows_the_seed():
    drawn = draw(DATA, plan(), ["train"])
    assert len(set(drawn.where)) == 20
    assert sorted((*drawn.where, *drawn.others)) == list(range(72))
    assert drawn == draw(DATA, plan(), ["train"])
    assert drawn.where != draw(DATA, plan(seed=1), ["train"]).where
    assert draw(DATA, plan(n=5), ["train"]).where == drawn.where[:5]


def test_images_that_were_trained_on_are_never_drawn():
    drawn = draw(DATA, plan(domain="train", n=4), ["train"])
    keys = DATA.keys("train")
    assert {part_of(keys[at]) for at in (*drawn.where, *drawn.others)} == {"test"}
    same_scenes = draw(Shortcut(), plan(domain="reversed", n=50), ["train"])
    keys = Shortcut().keys("reversed")
    assert {part_of(keys[at]) for at in same_scenes.where} == {"test"}
    with pytest.raises(UserError, match=r"has 1\d images that can be drawn \(not trained on"):
        draw(DATA, plan(domain="train", n=40), ["train"])
    with pytest.raises(UserError, match=r"has 72 images that can be drawn \(all of it.*n = 73"):
        draw(DATA, plan(n=73), ["train"])


def test_every_image_of_the_domain_is_as_likely_to_be_drawn():
    counts = torch.zeros(72)
    for seed in range(400):
        counts[list(draw(DATA, plan(seed=seed, n=18), []).where)] += 1
    assert (counts - 100).abs().max() < 35  # a standard deviation is 8.7


class Brightest(nn.Module):
    """The channel with the most light in it."""

    def forward(self, x):
        return 9 * x.square().mean((2, 3))


def test_values_are_those_computed_by_hand():
    model, trial, attack = Brightest(), Trial(), FGSM(0.07)
    of = plan(perturbation=Attacked(attack))
    drawn = draw(DATA, of, [])
    assert list(try_batches(model, DATA, of, drawn, trial, 8)) == [8, 16, 20]
    x = DATA.samples("other", drawn.where).images
    y = model(x).argmax(1)
    attacked = attack(model, x, y)
    explain = InputGradient()
    after, before = (explain(model, each, y)[1] for each in (attacked, x))
    kept, similarity = trial.tensors()
    assert torch.equal(kept, model(attacked).argmax(1) == y)
    assert 0 < kept.sum() < 20
    torch.testing.assert_close(similarity.float(), stability_cosine(before, after))
    by_top = Trial()
    list(try_batches(model, DATA, replace(of, similarity="topk"), drawn, by_top, 20))
    torch.testing.assert_close(by_top.tensors()[1].float(), stability_topk(before, after))


def test_claims_count_what_was_kept(tmp_path):
    found = claimed(tmp_path)
    record = json.loads((tmp_path / "claims.json").read_text())["records"][0]
    kept = torch.tensor(record["trials"]["net"]["kept"])
    similar = torch.tensor(record["trials"]["net"]["similarity"]) >= 0.8
    counts = [int(kept.sum()), int(similar.sum()), int((kept & similar).sum())]
    assert [each.kept for each in found.claims] == counts
    assert {each.n for each in found.claims} == {20}
    assert record["claims"][0]["sentence"] == found.claims[0].sentence
    assert "images of Blobs's domain other keep" in found.claims[0].sentence
    assert "under FGSM (0.3, L-inf)" in found.claims[0].sentence
    assert set(record["images"]) < set(DATA.keys("other"))
    assert found.comparisons == ()


def test_a_killed_claim_goes_on_where_it_was(tmp_path, monkeypatch):
    options = {"perturbation": Attacked(PGD(0.05, 2))}
    whole = claimed(tmp_path / "whole", **options)
    seen, attack = [], PGD.__call__

    def killed(self, model, x, y, generator=None):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(len(x))
        return attack(self, model, x, y, generator)

    monkeypatch.setattr(PGD, "__call__", killed)
    with pytest.raises(KeyboardInterrupt):
        claimed(tmp_path / "killed", **options)
    seen[:] = [0]
    assert claimed(tmp_path / "killed", **options) == whole
    assert seen == [0, 4]
    one, other = ((tmp_path / name / "claims.json").read_bytes() for name in ("whole", "killed"))
    assert one == other
    seen[:] = [0, 0]
    assert claimed(tmp_path / "killed", **options) == whole


class Small(nn.Module):
    """A memory of so many images."""

    def __init__(self, model, holds):
        super().__init__()
        self.model, self.holds = model, holds

    def forward(self, x):
        if len(x) > self.holds:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return self.model(x)


@pytest.mark.filterwarnings("always::UserWarning")
def test_memory_that_runs_out_halves_the_batch(tmp_path):
    model, data = tiny_classifier(data=Shortcut()).eval(), Shortcut()
    options = {"domain": "train", "perturbation": SwappedBackground(), "lemmas": True}
    whole = claimed(tmp_path / "whole", {"net": model}, data, batch_size=20, **options)
    with pytest.warns(UserWarning, match="is too small for a batch of") as warned:
        halved = claimed(
            tmp_path / "halved", {"net": Small(model, 6)}, data, batch_size=20, **options
        )
    said = [str(each.message) for each in warned]
    assert [text.partition(";")[0].split()[-2] for text in said] == ["20", "10", "20", "10"]
    assert halved.claims == whole.claims
    for one, other in zip(halved.lemmas["net"], whole.lemmas["net"], strict=True):
        assert (one.left, one.right) == pytest.approx((other.left, other.right), rel=1e-4)


@pytest.mark.parametrize("batch_size", [1, 7])
def test_claims_do_not_depend_on_how_many_images_are_tried_at_once(tmp_path, batch_size):
    def trials(folder, batch_size):
        attack = Attacked(PGD(0.02, 2))
        claimed(tmp_path / folder, batch_size=batch_size, perturbation=attack)
        (record,) = json.loads((tmp_path / folder / "claims.json").read_text())["records"]
        return record["trials"]["net"]["similarity"]

    whole = trials("whole", 20)
    assert max(whole) < 0.9999
    assert trials("parts", batch_size) == pytest.approx(whole, abs=1e-5)


def test_other_images_of_the_same_names_are_tried_anew(tmp_path):
    class Dark(Blobs):
        def __init__(self):
            super().__init__()
            self.light = 0.1

        def samples(self, domain, indices):
            batch = super().samples(domain, indices)
            return replace(batch, images=batch.images * self.light)

    found = claimed(tmp_path)
    with pytest.warns(UserWarning, match="holds 1 other plans"):
        dark = claimed(tmp_path, data=Dark())
    assert dark.claims != found.claims
    assert len(json.loads((tmp_path / "claims.json").read_text())["records"]) == 2


def test_another_plan_is_added_and_said_to_share_its_images(tmp_path):
    claimed(tmp_path)
    with pytest.warns(UserWarning, match="holds 1 other plans with some of these images"):
        claimed(tmp_path, tau=0.5)
    records = json.loads((tmp_path / "claims.json").read_text())["records"]
    assert [record["plan"]["init_args"]["tau"] for record in records] == [0.8, 0.5]
    with pytest.warns(UserWarning, match="holds 2 other plans"):
        claimed(tmp_path, models={"net": tiny_classifier(seed=1)})


def test_two_models_share_a_family_and_the_images(tmp_path):
    models = {"one": tiny_classifier(), "two": tiny_classifier(seed=1)}
    found = claimed(tmp_path, models)
    assert {each.family for each in (*found.claims, *found.comparisons)} == {6}
    record = json.loads((tmp_path / "claims.json").read_text())["records"][0]
    one, two = (torch.tensor(record["trials"][name]["kept"]) for name in models)
    first = found.comparisons[0]
    assert (first.first, first.second) == ("one", "two")
    assert first.only_first == int((one & ~two).sum())
    assert first.only_second == int((two & ~one).sum())
    assert claimed(tmp_path / "more", models, family=30).claims[0].family == 30


class Eyeless(nn.Module):
    """Sees nothing: the same logits for every image."""

    def forward(self, x):
        return x.mean((2, 3)) * 0 + torch.tensor([0.0, 1.0, 2.0])


class Blind(nn.Module):
    """Looks at the object alone: Shortcut's digits are brighter than 0.8, and nothing else is."""

    def forward(self, x):
        ink = (x.mean(1, keepdim=True) - 0.8).relu().flatten(1)
        return torch.stack([ink[:, at::10].sum(1) for at in range(10)], 1)


def test_a_model_that_looks_at_the_object_alone_is_not_moved_by_backgrounds(tmp_path):
    found = claimed(
        tmp_path,
        {"blind": Blind(), "net": tiny_classifier(data=Shortcut())},
        Shortcut(),
        domain="train",
        perturbation=SwappedBackground(),
        lemmas=True,
    )
    assert found.claims[0].kept == 20
    blind, net = found.lemmas["blind"], found.lemmas["net"]
    assert blind[0].right == 0
    assert net[0].right > 0
    assert all(each.held for each in (*blind, *net))
    assert found.lemmas["both"][0].statement.startswith("blind is less sensitive")
    assert found.lemmas["both"][0].held
    record = json.loads((tmp_path / "claims.json").read_text())["records"][0]
    assert record["lemmas"]["net"][0]["sentence"] == net[0].sentence


def test_lemmas_stay_when_they_are_not_asked_for_again(tmp_path):
    def lemmas(asked):
        claimed(
            tmp_path,
            {"blind": Blind()},
            Shortcut(),
            domain="train",
            perturbation=SwappedBackground(),
            lemmas=asked,
        )
        (record,) = json.loads((tmp_path / "claims.json").read_text())["records"]
        return record["lemmas"]

    assert lemmas(False) == {}
    found = lemmas(True)
    assert found["blind"]
    assert lemmas(False) == found


def test_fewer_bounds_than_are_made_are_no_family_and_no_image_is_tried(tmp_path):
    class Untried(nn.Module):
        def forward(self, x):
            raise AssertionError

    for models, family in ((1, 0), (1, 2), (2, 4), (2, 5)):
        named = {f"net {number}": Untried() for number in range(models)}
        with pytest.raises(UserError, match=f"and {3 * models} are made here, but got {family}"):
            claimed(tmp_path, named, family=family)


def test_the_plan_is_on_disk_before_an_image_is_tried(tmp_path):
    class Curious(nn.Module):
        def forward(self, x):
            if (trial_images(x.shape[-1]) == x[:1]).flatten(1).all(1).any():
                return torch.zeros(len(x), 3)
            (record,) = json.loads((tmp_path / "claims.json").read_text())["records"]
            assert record["plan"]["init_args"]["n"] == 20
            assert record["trials"] == {"net": {"kept": [], "similarity": []}}
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        claimed(tmp_path, {"net": Curious()})
    claimed(tmp_path, tau=0.5)  # no second look, as there was no first: no warning


class Breaks(nn.Module):
    """NaN where an image is dark, and always the same class elsewhere."""

    def forward(self, x):
        light = x.mean((1, 2, 3))[:, None]
        return torch.where(light < self.dark, torch.nan, light * torch.tensor([3.0, 2.0, 1.0]))


@pytest.mark.parametrize("dark", [0.2, 1.0])
def test_an_answer_of_nan_is_not_kept(tmp_path, dark):
    model = Breaks()
    model.dark = dark
    assert claimed(tmp_path, {"net": model}, perturbation=Darkened()).claims[0].kept == 0


class Darkened(Corrupted):
    def __call__(self, model, drawn, y, generator=None):
        return drawn.batch.images * 0.1


class Nothing(Corrupted):
    def __call__(self, model, drawn, y, generator=None):
        return drawn.batch.images


def test_an_explainers_own_noise_is_no_change_and_the_same_again(tmp_path):
    def similarity(folder, batch_size=8):
        options = {"explainer": SmoothGrad(4, 0.5), "perturbation": Nothing()}
        torch.rand(batch_size)
        before = torch.get_rng_state()
        claimed(tmp_path / folder, {"net": model}, batch_size=batch_size, **options)
        assert torch.equal(torch.get_rng_state(), before)
        (record,) = json.loads((tmp_path / folder / "claims.json").read_text())["records"]
        return record["trials"]["net"]["similarity"]

    model = tiny_classifier()
    first = similarity("a")
    assert first == pytest.approx([1] * 20, abs=1e-5)
    assert similarity("b") == first


def test_a_model_without_an_explanation_keeps_none(tmp_path):
    found = claimed(tmp_path, {"eyeless": Eyeless()})
    assert [each.kept for each in found.claims] == [20, 0, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n is a number of images"),
        ({"delta": 1.0}, "between 0 and 1"),
        ({"tau": 0.0}, "above 0 and at most 1"),
        ({"similarity": "cos"}, "Expected a similarity out of cosine"),
    ],
)
def test_a_plan_out_of_range_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        plan(**options)


def test_what_cannot_be_claimed_is_refused(tmp_path):
    with pytest.raises(UserError, match="an attack is not"):
        claimed(tmp_path, lemmas=True)
    with pytest.raises(UserError, match="needs masks"):
        claimed(tmp_path, perturbation=Corrupted(), lemmas=True)
    with pytest.raises(UserError, match="draws all there are"):
        claimed(
            tmp_path,
            data=Shortcut(),
            perturbation=OtherDomain("noisy"),
            domain="train",
            n=1797,
            lemmas=True,
        )
    three = {name: tiny_classifier() for name in "abc"}
    with pytest.raises(UserError, match="got 3"):
        claimed(tmp_path, three)
    with pytest.raises(UserError, match="The classes of net are red, green, blue, those of Shor"):
        claimed(tmp_path, {"net": tiny_classifier()}, Shortcut(), domain="train")
    with pytest.raises(UserError, match="Expected a domain of Blobs"):
        claimed(tmp_path, domain="nowhere")
    (tmp_path / "claims.json").write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        claimed(tmp_path)


def test_without_a_domain_the_first_that_was_trained_on_is_drawn_from():
    assert draw(DATA, Plan(n=4), []).domain == "train"
    assert draw(DATA, Plan(n=4), ["other"]).domain == "other"
    found = draw(DATA, Plan(n=4), ["train"])
    assert found == draw(DATA, Plan("train", n=4), ["train"])


def test_nothing_is_kept_where_no_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = tiny_classifier()
    found = claim(model, DATA, plan(), progress=False)
    assert found == claimed(tmp_path / "kept", {"model": model})
    assert [each.name for each in tmp_path.iterdir()] == ["kept"]


def test_the_sentences_say_what_the_images_are_drawn_from():
    found = claim(tiny_classifier(), DATA, plan(), distribution="my photos", progress=False)
    assert "of the images of my photos keep" in found.claims[0].sentence


def test_the_plan_on_disk_can_be_built_again(tmp_path):
    claimed(tmp_path, tau=0.7)
    (record,) = json.loads((tmp_path / "claims.json").read_text())["records"]
    assert build(record["plan"]) == plan(tau=0.7)
    assert record["domain"] == "other"


def test_an_explainer_that_cannot_be_told_from_another_is_refused(tmp_path):
    nameless = Captum(lambda model: Saliency(model), abs=False)
    with pytest.raises(UserError, match="cannot be imported by name"):
        claimed(tmp_path, explainer=nameless)
    assert claimed(None, explainer=nameless).claims[0].n == 20
