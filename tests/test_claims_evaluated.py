"""A claim out of what an evaluation has found: the same images, no second attack, right alone."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from lookright.attacks import PGD
from lookright.claims import Evaluated, Plan, claim, claims_from
from lookright.claims.file import sentences
from lookright.claims.plan import draw
from lookright.errors import UserError
from lookright.explainers import InputGradient
from lookright.models.weights import fingerprint
from lookright.perturbations import Attacked
from tiny import Blobs, tiny_classifier

DATA = Blobs()
PLAN = Plan("other", Attacked(PGD(0.05, 2)), n=20, explainer=InputGradient())
KEYS = list(DATA.keys("other"))
GENERATOR = np.random.default_rng(0)
RIGHT, AFTER = (GENERATOR.random(len(KEYS)) < share for share in (0.8, 0.7))
SIMILARITY = np.where(GENERATOR.random(len(KEYS)) < 0.1, np.nan, GENERATOR.random(len(KEYS)))
EVALUATED = Evaluated(KEYS, RIGHT, AFTER, SIMILARITY)


class Untried(nn.Module):
    """Must not be asked."""

    def forward(self, x):
        raise AssertionError


def claimed(save, evaluated=EVALUATED, models=None, plan=PLAN):
    models = models or {"net": Untried()}
    given = None if evaluated is None else dict.fromkeys(models, evaluated)
    return claim(models, DATA, plan, save=save, evaluated=given, progress=False)


def counted(values):
    return int(values[list(draw(DATA, PLAN, ()).where)].sum())


def test_only_what_was_right_at_first_counts_as_kept(tmp_path):
    found = claimed(tmp_path)
    similar = SIMILARITY >= 0.8
    kept = [RIGHT & AFTER, RIGHT & similar, RIGHT & AFTER & similar]
    assert [each.kept for each in found.claims] == [counted(each) for each in kept]
    assert counted(AFTER) > counted(RIGHT & AFTER)
    assert counted(similar) > counted(RIGHT & similar)
    prediction, explanation, both = (each.sentence for each in found.claims)
    assert "keep their right prediction under PGD" in prediction
    assert "(cosine of InputGradient at least 0.8) of a right prediction under PGD" in explanation
    assert "keep their right prediction and their explanation" in both


def test_the_order_of_the_evaluated_images_does_not_matter(tmp_path):
    order = np.random.default_rng(1).permutation(len(KEYS))
    mixed = Evaluated([KEYS[at] for at in order], RIGHT[order], AFTER[order], SIMILARITY[order])
    assert claimed(tmp_path / "mixed", mixed) == claimed(tmp_path / "one")


def test_numbers_of_a_table_are_what_they_stand_for(tmp_path):
    numbers = np.where(AFTER, 1.0, np.nan)
    table = Evaluated(np.array(KEYS), RIGHT.astype(float), numbers, SIMILARITY)
    assert claimed(tmp_path / "table", table) == claimed(tmp_path / "one")


def test_it_is_written_down_and_not_done_again(tmp_path):
    found = claimed(tmp_path)
    (record,) = json.loads((tmp_path / "claims.json").read_text())["records"]
    assert record["evaluated"] is True
    assert len(record["trials"]["net"]["kept"]) == 20
    assert record["claims"][0]["right"] is True
    assert claimed(tmp_path, None) == found
    assert len(json.loads((tmp_path / "claims.json").read_text())["records"]) == 1


def test_a_plan_that_was_tried_is_not_looked_up_afterwards(tmp_path):
    models = {"net": tiny_classifier()}
    tried = claimed(tmp_path, None, models)
    assert not tried.claims[0].right
    assert claimed(tmp_path, EVALUATED, models) == tried


def test_an_image_that_was_not_evaluated_is_attacked_with_all_others(tmp_path):
    missing = draw(DATA, PLAN, ()).where[7]
    kept = [at for at in range(len(KEYS)) if at != missing]
    part = Evaluated([KEYS[at] for at in kept], RIGHT[kept], AFTER[kept], SIMILARITY[kept])
    models = {"net": tiny_classifier()}
    assert claimed(tmp_path / "part", part, models) == claimed(tmp_path / "none", None, models)


def test_two_models_are_looked_up_together_or_not_at_all(tmp_path):
    models = {"one": Untried(), "two": Untried()}
    worse = replace(EVALUATED, kept=AFTER & (np.arange(len(KEYS)) % 2 == 0))
    given = {"one": EVALUATED, "two": worse}
    found = claim(models, DATA, PLAN, evaluated=given, progress=False)
    lost = RIGHT & AFTER & ~np.asarray(worse.kept)
    assert found.comparisons[0].only_first == counted(lost) > 0
    assert found.comparisons[0].only_second == 0
    assert all("right prediction" in each.sentence for each in found.comparisons)
    with pytest.raises(UserError, match="could not be run"):
        claim(models, DATA, PLAN, evaluated={"one": EVALUATED}, progress=False)


def test_columns_of_other_lengths_are_refused():
    with pytest.raises(UserError, match=f"each of {len(KEYS)} evaluated images"):
        Evaluated(KEYS, RIGHT, AFTER[1:], SIMILARITY)


def test_claims_of_values_that_are_there_already():
    kept, similarity = torch.arange(10) < 9, torch.linspace(0.5, 1, 10)
    found = claims_from({"net": (kept, similarity)}, PLAN, distribution="my photos")
    assert [each.kept for each in found.claims] == [9, 4, 3]
    assert "the images of my photos keep their prediction under PGD" in found.claims[0].sentence
    two = claims_from({"a": (kept, similarity), "b": (~kept, similarity)}, PLAN, right=True)
    assert (two.comparisons[0].only_first, two.comparisons[0].only_second) == (9, 1)
    assert two.comparisons[0].right
    assert {each.family for each in (*two.claims, *two.comparisons)} == {6}


def test_two_models_in_the_other_order_are_about_the_other(tmp_path):
    better = Evaluated(KEYS, np.ones_like(RIGHT), np.ones_like(AFTER), SIMILARITY)
    given, networks = {"A": EVALUATED, "B": better}, {"A": Untried(), "B": Untried()}
    networks["B"].other = True

    def both(first, second, folder):
        models = {name: networks[name] for name in (first, second)}
        found = claim(
            models, DATA, PLAN, save=folder, evaluated={n: given[n] for n in models}, progress=False
        )
        return found, fingerprint(models[first])

    (one, of_a), (other, of_b) = (both(*names, tmp_path / "one") for names in ("AB", "BA"))
    fresh, _ = both(*"BA", tmp_path / "fresh")
    assert [each.kept for each in other.claims] == [each.kept for each in fresh.claims]
    assert [each.kept for each in other.claims] != [each.kept for each in one.claims]
    assert [each.sentence for each in other.comparisons] == [
        each.sentence for each in fresh.comparisons
    ]
    told = {of: sentences(tmp_path / "one" / "claims.json", of)["other"] for of in (of_a, of_b)}
    assert told[of_a] == [each.sentence for each in (*one.claims, *one.comparisons)]
    assert told[of_b] == [each.sentence for each in (*other.claims, *other.comparisons)]
