"""Claims: what counts as kept, the correction for a family, the sentences, and JSON."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch

from lookright.claims import (
    Claim,
    DifferenceClaim,
    claim_values,
    compare_values,
)
from lookright.errors import UserError
from lookright.statistics.bounds import difference_at_least, share_at_least

PGD = "PGD (8/255, L-inf, 20 steps)"
KEPT = torch.tensor([True, True, True, False])
SIMILARITY = torch.tensor([0.9, 0.8, 0.5, 0.95])


def test_the_sentence_of_a_prediction():
    claim = claim_values(torch.arange(200) < 152, perturbation=PGD)[0]
    assert claim.sentence == (
        "With probability at least 95% over the draw of 200 images, at least 70.5% of the images "
        "of this distribution keep their prediction under PGD (8/255, L-inf, 20 steps): 152 of "
        "200 did."
    )


def test_the_sentence_of_both_names_its_family_and_its_distribution():
    *_, both = claim_values(
        KEPT, SIMILARITY, perturbation=PGD, family=7, tau=0.75, distribution="Shortcut, reversed"
    )
    assert both.sentence == (
        "With probability at least 95% over the draw of 4 images, at least 3.5% of the images of "
        "Shortcut, reversed keep their prediction and their explanation (cosine at least 0.75) "
        "under PGD (8/255, L-inf, 20 steps): 2 of 4 did. The 95% are for all 7 bounds of its "
        "family together."
    )


@pytest.mark.parametrize(("delta", "said"), [(0.05, "95%"), (0.001, "99.9%"), (0.07, "93%")])
def test_the_probability_is_said_as_given(delta, said):
    (claim,) = claim_values(KEPT, perturbation=PGD, delta=delta)
    assert claim.sentence.startswith(f"With probability at least {said} over")


def test_a_bound_is_never_rounded_up():
    claim = Claim("prediction", PGD, 9, 10, 0.71299, 0.05, 1)
    assert "at least 71.2% of the images" in claim.sentence
    less = DifferenceClaim("prediction", PGD, "EGAT", "AT", 2, 1, 9, -0.01251, 0.5, 0.05, 1)
    assert "at most 1.3 percentage points fewer of the images" in less.sentence
    more = DifferenceClaim("prediction", PGD, "EGAT", "AT", 9, 1, 9, 0.0129, 0.5, 0.05, 1)
    assert "at least 1.2 percentage points more of the images" in more.sentence


def test_what_counts_as_kept():
    prediction, explanation, both = claim_values(KEPT, SIMILARITY, perturbation=PGD)
    assert [each.claim for each in (prediction, explanation, both)] == [
        "prediction", "explanation", "both",
    ]  # fmt: skip
    assert [each.kept for each in (prediction, explanation, both)] == [3, 3, 2]
    assert prediction.similarity is None
    assert prediction.threshold is None
    assert (both.similarity, both.threshold) == ("cosine", 0.8)
    undefined = SIMILARITY.clone()
    undefined[0] = torch.nan
    assert [c.kept for c in claim_values(KEPT, undefined, perturbation=PGD)] == [3, 2, 1]


@pytest.mark.parametrize("family", [None, 3, 12])
def test_each_bound_of_a_family_is_taken_at_its_share_of_delta(family):
    for claim in claim_values(KEPT, SIMILARITY, perturbation=PGD, family=family):
        share = 0.05 / (family or 3)
        assert claim.family == (family or 3)
        assert claim.bound == share_at_least(claim.kept, 4, share)
    for compared in compare_values(
        (KEPT, SIMILARITY), (~KEPT, SIMILARITY), names=("a", "b"), perturbation=PGD, family=family
    ):
        won, lost = compared.only_first, compared.only_second
        assert compared.bound == difference_at_least(won, lost, 4, 0.05 / (family or 3))


def test_a_family_holds_together_however_its_claims_depend_on_each_other():
    """Of simulated draws, those in which any of the three bounds exceeds its truth."""
    random, n, draws = np.random.default_rng(0), 50, 1500
    for overlap in (0.0, 0.5, 1.0):
        failed = 0
        sources = random.uniform(size=(draws, n, 3))
        sources[..., 1] = np.where(
            sources[..., 2] < overlap, sources[..., 0], sources[..., 1]
        )  # the explanation goes with the prediction this often
        prediction, similarity = sources[..., 0] < 0.9, 1 - sources[..., 1] / 4.5
        explained = similarity >= 0.8
        truths = [0.9, 0.9, overlap * 0.9 + (1 - overlap) * 0.81]
        assert (prediction & explained).mean() == pytest.approx(truths[2], abs=0.01)
        bounds: dict[tuple[int, ...], bool] = {}
        for one, other in zip(prediction, similarity, strict=True):
            key = (int(one.sum()), int((other >= 0.8).sum()), int((one & (other >= 0.8)).sum()))
            if key not in bounds:
                found = claim_values(
                    torch.from_numpy(one), torch.from_numpy(other), perturbation=PGD
                )
                bounds[key] = any(c.bound > t for c, t in zip(found, truths, strict=True))
            failed += bounds[key]
        assert failed / draws <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / draws)


@pytest.mark.parametrize(
    ("delta", "said"), [(0.05, "95%"), (0.07, "93%"), (0.001, "99.9%"), (1e-12, "99.9999999999%")]
)
def test_a_probability_is_not_rounded_up(delta, said):
    (prediction,) = claim_values(KEPT, perturbation=PGD, delta=delta)
    assert prediction.sentence.startswith(f"With probability at least {said} over the draw")


def test_two_models_are_compared_image_by_image():
    first = torch.tensor([True, True, True, False, True])
    second = torch.tensor([False, True, False, True, True])
    (compared,) = compare_values(
        (first, None), (second, None), names=("EGAT", "AT"), perturbation=PGD
    )
    assert (compared.only_first, compared.only_second, compared.n) == (2, 1, 5)
    assert compared.p_value == pytest.approx(0.5)
    assert compared.sentence == (
        "With probability at least 95% over the draw of 5 images, at most "
        f"{-np.floor(compared.bound * 1000) / 10:.1f} percentage points fewer of the images of "
        "this distribution keep their prediction under PGD (8/255, L-inf, 20 steps) with EGAT "
        "than with AT: of the same 5 images 2 did with EGAT alone and 1 with AT alone (sign test "
        "p = 0.5)."
    )


def test_claims_go_through_json():
    claims = claim_values(KEPT, SIMILARITY, perturbation=PGD)
    compared = compare_values(
        (KEPT, SIMILARITY), (~KEPT, SIMILARITY), names=("a", "b"), perturbation=PGD
    )
    for each in (*claims, *compared):
        assert type(each)(**json.loads(json.dumps(asdict(each)))) == each


@pytest.mark.parametrize("tau", [0, -0.5, 1.2, float("nan")])
def test_a_threshold_that_says_nothing_is_refused(tau):
    with pytest.raises(UserError, match="above 0 and at most 1"):
        claim_values(KEPT, SIMILARITY, perturbation=PGD, tau=tau)


def test_values_that_do_not_belong_together_are_refused():
    with pytest.raises(UserError, match="true or false each"):
        claim_values(SIMILARITY, perturbation=PGD)
    with pytest.raises(UserError, match="a similarity for each of 4 images"):
        claim_values(KEPT, SIMILARITY[:3], perturbation=PGD)
    with pytest.raises(UserError, match="family is the number of bounds"):
        claim_values(KEPT, SIMILARITY, perturbation=PGD, family=2)
    with pytest.raises(UserError, match="between 0 and 1"):
        claim_values(KEPT, perturbation=PGD, delta=1)
    with pytest.raises(UserError, match="on the same images"):
        compare_values((KEPT, None), (KEPT[:3], None), names=("a", "b"), perturbation=PGD)
    with pytest.raises(UserError, match="n > 0"):
        claim_values(KEPT[:0], perturbation=PGD)


@pytest.mark.parametrize("tau", [0.1, 0.7, 0.8, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_similarity_equal_to_tau_is_kept_whatever_its_precision(tau, dtype):
    """Of 10 places, 7 in common are 0.7, which is 0.699999988 in single precision."""
    similarity = torch.tensor([tau - 1e-4, tau, tau + 1e-4]).to(dtype)
    _, explanation, _ = claim_values(KEPT[:3], similarity, perturbation=PGD, tau=tau)
    assert (explanation.kept, explanation.n) == (2, 3)
