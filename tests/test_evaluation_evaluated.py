"""A claim takes what an evaluation has found, where it is the same question, and only there."""

from dataclasses import replace

import numpy as np
import pytest

from lookright.attacks import APGD, PGD, Ball
from lookright.claims import Plan, claim
from lookright.claims.plan import draw
from lookright.evaluation import Attacks, Protocol, evaluate
from lookright.evaluation.evaluated import evaluated
from lookright.evaluation.table import read_table
from lookright.explainers import GradCAM, InputGradient
from lookright.perturbations import Attacked, Corrupted
from tiny import Blobs, tiny_classifier

DATA = Blobs()
PROTOCOL = Protocol(Ball(eps=0.02), InputGradient(), (Attacks(2, 1, ()),), only=True)
PLAN = Plan("other", Attacked(PGD(0.02, 2)), n=20, explainer=InputGradient())


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with one result of the classifier of seed 0."""
    home = tmp_path_factory.mktemp("home")
    evaluate(
        tiny_classifier(),
        DATA,
        home / "results" / "one",
        domains=["other"],
        protocol=PROTOCOL,
        progress=False,
    )
    return home


def asked(home, plan=PLAN, model=None, data=DATA, domain="other"):
    return evaluated(home, model or tiny_classifier(), data, domain, plan)


def test_the_values_are_those_of_the_table(home):
    found = asked(home)
    rows = read_table(home / "results" / "one")["other"]
    assert list(found.images) == list(rows["image"])
    assert np.array_equal(found.right, rows["accuracy"])
    assert np.array_equal(found.similarity, rows["stability_cosine"])
    assert set(found.images) == set(DATA.keys("other"))


@pytest.mark.parametrize("similarity", ["cosine", "spearman", "topk"])
def test_a_claim_of_them_counts_what_the_evaluation_counted(home, similarity):
    plan = replace(PLAN, similarity=similarity)
    model = tiny_classifier()
    found = claim(model, DATA, plan, evaluated={"model": asked(home, plan)}, progress=False)
    rows = read_table(home / "results" / "one")["other"]
    keys = [DATA.keys("other")[at] for at in draw(DATA, plan, ()).where]
    at = [list(rows["image"]).index(key) for key in keys]
    similar = rows[f"stability_{similarity}"][at] >= plan.tau
    right, kept = rows["accuracy"][at] == 1, rows["kept_pgd"][at] == 1
    expected = [kept.sum(), (right & similar).sum(), (kept & similar).sum()]
    assert [each.kept for each in found.claims] == expected
    assert all(each.right for each in found.claims)


def test_a_claim_by_an_attack_of_its_own_keeps_at_least_as_many(home):
    """An image that is right at first is attacked alike; a wrong one counts only there."""
    by_table = claim(
        tiny_classifier(), DATA, PLAN, evaluated={"model": asked(home)}, progress=False
    )
    by_attack = claim(tiny_classifier(), DATA, PLAN, progress=False)
    for one, other in zip(by_table.claims, by_attack.claims, strict=True):
        assert one.kept <= other.kept
        assert one.bound <= other.bound


@pytest.mark.parametrize(
    "changes",
    [
        {"perturbation": Attacked(PGD(0.02, 3))},
        {"perturbation": Attacked(PGD(0.03, 2))},
        {"perturbation": Attacked(PGD(0.02, 2, restarts=2))},
        {"perturbation": Attacked(APGD(0.02, 2))},
        {"perturbation": Corrupted()},
        {"explainer": GradCAM()},
    ],
)
def test_another_question_is_not_answered(home, changes):
    assert asked(home, replace(PLAN, **changes)) is None


def test_another_model_or_other_images_are_not_answered(home, tmp_path):
    class Dark(Blobs):
        def fingerprint(self, domain):
            return "0" * 16

    assert asked(home, model=tiny_classifier(seed=1)) is None
    assert asked(home, data=Dark()) is None
    assert asked(home, domain="train") is None
    assert asked(tmp_path) is None


def test_a_smaller_evaluation_that_came_later_hides_no_larger_one(tmp_path):
    for name, limit in (("whole", None), ("part", 10)):
        folder, limited = tmp_path / "results" / name, replace(PROTOCOL, limit=limit)
        evaluate(
            tiny_classifier(), DATA, folder, domains=["other"], protocol=limited, progress=False
        )
    assert len(asked(tmp_path).images) == len(DATA.keys("other"))
