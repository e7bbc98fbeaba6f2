"""The scorecard is the measures it is made of, with baselines, from fewer passes."""

import copy
from dataclasses import replace

import pytest
import torch

from lookright import metrics
from lookright.chance import image_chance
from lookright.errors import UserError
from lookright.explainers import GradCAM, InputGradient
from lookright.guides import CentrePrior
from lookright.metrics import MEASURES, Scorecard, Squares, baselines
from lookright.metrics.faithfulness import SUFFICIENCY
from lookright.metrics.scorecard import FAMILIES, curve_name
from models_for_tests import SIZE, Tiny, same_state, state_of, used

CARD = Scorecard(GradCAM(), steps=5, squares=3, samples=2)
NAMES = ("", "@random", "@centre")


def scene(count=5):
    torch.manual_seed(3)
    model = Tiny().eval()
    images = torch.rand(count, 3, SIZE, SIZE)
    with torch.no_grad():
        logits, saliency = GradCAM()(model, images)
    return model, images, saliency, logits.argmax(1)


def test_every_score_is_that_of_its_own_function():
    model, x, saliency, y = scene()
    scores = CARD(model, x, saliency, y)
    maps = {"": saliency, **{f"@{k}": v for k, v in baselines(x, saliency.shape[1:]).items()}}
    expected = {}
    for name, one in maps.items():
        for fill_name in CARD.fills:
            fill = metrics.FILLS[fill_name]
            faithful = metrics.faithfulness(model, x, one, fill, target=y)
            expected |= {
                f"comprehensiveness_{fill_name}{name}": faithful.comprehensiveness,
                f"sufficiency_{fill_name}{name}": faithful.sufficiency,
                f"deletion_{fill_name}{name}": metrics.deletion(model, x, one, fill, 5, y),
                f"insertion_{fill_name}{name}": metrics.insertion(model, x, one, fill, 5, y),
                f"infidelity_{fill_name}{name}": metrics.infidelity(
                    model, x, one, Squares(fill, 3), y
                ),
                f"deletion_curve_{fill_name}{name}": metrics.deletion_curve(
                    model, x, one, fill, 5, y
                ),
                f"insertion_curve_{fill_name}{name}": metrics.insertion_curve(
                    model, x, one, fill, 5, y
                ),
            }
    expected["max_sensitivity"] = metrics.max_sensitivity(model, x, GradCAM(), y, samples=2)
    expected["randomisation_spearman"] = metrics.randomisation_spearman(
        metrics.randomised(model), x, saliency, GradCAM(), y
    )
    for name in NAMES[1:]:
        expected[f"randomisation_spearman{name}"] = torch.ones(5)
        expected[f"max_sensitivity{name}"] = scores[f"max_sensitivity{name}"]
    assert scores.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(scores[key], value, rtol=1e-4, atol=1e-5, msg=key)
    assert torch.equal(scores["max_sensitivity@centre"], torch.zeros(5))
    assert (scores["max_sensitivity@random"] > 0.3).all()


def test_keys_are_those_of_the_measures():
    scores = CARD(*scene())
    assert {measure.key for measure in CARD.measures} <= {measure.key for measure in MEASURES}
    known = {measure.key for measure in CARD.measures}
    known |= {curve_name(kind, fill) for kind in ("deletion", "insertion") for fill in CARD.fills}
    assert {f"{key}{name}" for key in known for name in NAMES} == scores.keys()
    assert CARD.curve_shares == pytest.approx((0, 0.2, 0.4, 0.6, 0.8, 1))
    assert scores["deletion_curve_blur"].shape == (5, 6)


@pytest.mark.parametrize(
    "families",
    [
        *((family,) for family in FAMILIES),
        ("sufficiency", "comprehensiveness"),
        ("insertion", "sufficiency", "max_sensitivity"),
    ],
    ids=" ".join,
)
def test_some_of_the_measures_are_those_of_all_from_fewer_passes(families):
    scene_, passed = scene(), []
    scene_[0].register_forward_pre_hook(lambda _, inputs: passed.append(len(inputs[0])))
    every = CARD(*scene_)
    of_all = sum(passed)
    passed.clear()
    card = replace(CARD, families=families)
    some = card(*scene_)
    assert sum(passed) < of_all
    assert {key for key in every if key.startswith(families)} == some.keys()
    assert [each for each in CARD.measures if each.key.startswith(families)] == [*card.measures]
    for key, value in some.items():
        torch.testing.assert_close(value, every[key], msg=key)


def inverted(images):
    """A fill of one's own."""
    return 1 - images


def test_a_fill_of_ones_own_is_named_by_its_function():
    model, x, saliency, y = scene()
    card = Scorecard(GradCAM(), fills=("blur", inverted), steps=2, squares=2, samples=1)
    scores = card(model, x, saliency, y)
    expected = metrics.faithfulness(model, x, saliency, inverted, target=y).sufficiency
    torch.testing.assert_close(scores["sufficiency_inverted"], expected)
    (own,) = [one for one in card.measures if one.key == "sufficiency_inverted"]
    like = SUFFICIENCY["blur"]
    assert (own.title, own.higher_is_better) == ("Sufficiency, inverted", False)
    assert own.description == like.description.replace("(blur)", "(inverted)")


def test_passes_are_shared_and_bounded():
    model, x, _, y = scene()
    saliency = InputGradient()(model, x, y)[1].detach()
    sizes = []
    model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    card = Scorecard(InputGradient(), ("blur", "mean"), steps=10, squares=4, samples=2)
    card(model, x, saliency, y, max_images=7)
    assert max(sizes) <= 7
    points = len({1, 7, 14, 29, 43, 58, 72, 86, 101, 115, 130})  # steps of 144 px and shares
    each = 1 + 2 * (1 + 2 * 3 * points + 16) + 2
    # The randomised model is a copy: its hook counts the one explanation of it too.
    assert sum(sizes) == 5 * (each + 1)


def test_scores_belong_to_the_image_and_not_to_its_batch():
    model, x, saliency, y = scene()
    together = CARD(model, x, saliency, y)
    order = torch.tensor([4, 1])
    apart = CARD(model, x[order], saliency[order], y[order], max_images=3)
    for key, value in together.items():
        torch.testing.assert_close(apart[key], value[order], rtol=1e-4, atol=1e-5, msg=key)


def test_the_model_comes_back_as_it_was():
    _, x, saliency, y = scene()
    model = used(Tiny())
    before = state_of(model)
    CARD(model, x, saliency, y)
    assert same_state(before, state_of(model))


def test_baselines_are_the_centre_prior_and_the_images_own_chance():
    x = torch.rand(3, 3, 8, 12)
    maps = baselines(x, (4, 5))
    assert maps["random"].shape == (3, 4, 5)
    assert torch.equal(maps["random"][1], image_chance(x[1:2], 20, 40, 2**15).view(4, 5))
    assert not torch.equal(maps["random"][0], maps["random"][1])
    batch = type("Batch", (), {"images": x, "__len__": lambda self: 3})()
    assert torch.equal(maps["centre"], CentrePrior()(batch, None).maps)
    assert maps["centre"][0, 3:5, 5:7].min() > 0.9
    assert maps["centre"][0, 0, 0] < 0.1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_random_map_is_drawn_anew_for_a_change_below_half_a_level_of_8_bits(dtype):
    x = (torch.arange(3 * 3 * 8 * 12) % 250).view(3, 3, 8, 12).to(dtype) / 255
    one, other = (baselines(view, (16, 16))["random"] for view in (x, x + 0.3 / 255))
    agreement = torch.corrcoef(torch.stack([one.flatten(), other.flatten()]).float())[0, 1]
    assert abs(float(agreement)) < 0.1


def test_mistakes_are_named():
    with pytest.raises(UserError, match="Did you mean 'blur'"):
        Scorecard(fills=("blurr",))
    with pytest.raises(UserError, match="the same explainer"):
        Scorecard(InputGradient(), steps=1, squares=1)(*scene())
    with pytest.raises(UserError, match="at least one fill"):
        Scorecard(fills=())
    with pytest.raises(UserError, match=r"Two fills are called inverted, .*: give each a name"):
        Scorecard(fills=(inverted, "mean", inverted))
    with pytest.raises(UserError, match=r"out of sufficiency, .*; got none"):
        Scorecard(families=())
    with pytest.raises(UserError, match="got sufficient"):
        Scorecard(families=("sufficient",))


def test_a_curve_of_one_step_has_its_two_ends():
    model, x, saliency, y = scene()
    card = Scorecard(GradCAM(), fills=("mean",), steps=1, families=("deletion", "insertion"))
    scores = card(model, x, saliency, y)
    assert scores["deletion_curve_mean"].shape == (len(x), 2)
    torch.testing.assert_close(scores["deletion_mean"], scores["insertion_mean"])


@pytest.mark.parametrize("name", ["steps", "squares", "samples"])
def test_none_of_something_is_refused(name):
    with pytest.raises(UserError, match=f"{name} must be 1 or more, got 0"):
        Scorecard(**{name: 0})


def test_a_model_without_weights_cannot_be_randomised():
    model, x, saliency, y = scene()
    fixed = torch.jit.freeze(torch.jit.script(copy.deepcopy(model).eval()))
    card = Scorecard(InputGradient(), fills=("mean",), families=("randomisation_spearman",))
    saliency = InputGradient()(fixed, x, y)[1].detach()
    assert card(fixed, x, saliency, y)["randomisation_spearman"].isnan().all()
