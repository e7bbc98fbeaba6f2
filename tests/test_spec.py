"""What a thing is, as JSON and back: every member of the tables, and what cannot be told."""

import json
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch.optim import SGD

import cases
from lookright.attacks import PGD, Attack, CarliniWagner, KLDivergence, TargetMap, WorstCase
from lookright.corruptions import Corruption, Corrupts
from lookright.data import Augment
from lookright.errors import UserError
from lookright.explainers import Captum
from lookright.guides import ConvMasker
from lookright.jobs.training import Training
from lookright.methods import AT, EGAT, FreeAT, Method
from lookright.models import Classifier
from lookright.perturbations import Attacked, Corrupted, OtherDomain, SwappedBackground
from lookright.registry import members, names
from lookright.spec import Place, build, convert, identity, spec_of
from lookright.spec.text import as_yaml, plain_values
from models_for_tests import Smooth

OTHERS = {
    "augment": Augment(shift=0.2),
    "attacked": Attacked(PGD(steps=3)),
    "corrupted": Corrupted("fog", 2),
    "swapped": SwappedBackground(seed=4),
    "other_domain": OtherDomain("reversed"),
    "target": TargetMap(),
    "unbounded": CarliniWagner(eps=float("inf")),
    "optimizer": partial(SGD, lr=0.1, momentum=0.9),
    "class": ConvMasker,
    "function": torch.sigmoid,
    "mapping": {"a": (1, 2.5, None), "b": "text"},
}

MEMBERS = {
    f"{table}-{name}": member[0] if table == "NORMS" else member
    for table in ("NORMS", "LABEL_OBJECTIVES", "DRIFT_OBJECTIVES", "ATTACKS", "EVALUATION_ATTACKS",
                  "ALL_EXPLAINERS", "DISTANCES")
    for name, member in getattr(cases, table).items()
} | OTHERS  # fmt: skip


def through_json(thing: Any) -> Any:
    return json.loads(json.dumps(spec_of(thing)))


@pytest.mark.parametrize("name", MEMBERS)
def test_a_thing_is_built_again_from_its_spec(name):
    thing = MEMBERS[name]
    again = build(through_json(thing))
    assert type(again) is type(thing)
    assert spec_of(again) == spec_of(thing)
    if not isinstance(thing, Captum | partial):
        assert again == thing


@pytest.mark.parametrize("name", cases.GUIDES)
def test_a_guide_is_built_again(name):
    guide = cases.GUIDES[name]()
    again = build(through_json(guide))
    assert type(again) is type(guide)
    assert spec_of(again) == spec_of(guide)


@pytest.mark.parametrize("name", cases.METHODS)
def test_a_method_is_built_again_round_a_model(name):
    method = cases.METHODS[name](Smooth())
    other = Smooth()
    again = build(through_json(method), model=other)
    assert type(again) is type(method)
    assert spec_of(again) == spec_of(method)
    assert again.model is other


def test_things_of_other_options_have_other_identities():
    found = [identity(thing) for thing in MEMBERS.values()]
    assert len(set(found)) == len({json.dumps(spec_of(thing)) for thing in MEMBERS.values()})
    assert identity(PGD()) == identity(PGD()) != identity(PGD(steps=11))
    assert identity(Captum("Saliency")) != identity(Captum("Deconvolution"))


class Forgetful:
    def __init__(self, kept: int, lost: int) -> None:
        self.kept = kept


def inside() -> Any:
    def local() -> None: ...

    return local


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (Captum(lambda model: model), "lambda.*define it with `def`"),
        (inside(), "local.*define it with `def`"),
        (Forgetful(1, 2), "does not keep its argument 'lost'.*set self.lost"),
        (partial(SGD, [1]), "positional arguments"),
        ({1: 2}, "text as the keys"),
        (torch.zeros(300, 300), "too large for a spec; give a file"),
    ],
)
def test_what_cannot_be_told_is_refused_with_the_mend(thing, message):
    with pytest.raises(UserError, match=message):
        spec_of(thing)


def told(value: Any, kind: Any, default: Any = None) -> Any:
    return convert(value, kind, Place("it", default=default))


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("8/255", float, 8 / 255),
        ("1e-3", float, 1e-3),
        (3, float, 3.0),
        ("12", int, 12),
        ("True", bool, True),
        ("false", bool | None, False),
        ("null", int | None, None),
        (7, str, "7"),
        ("a/b", Path | None, Path("a/b")),
        ("best", Literal["best", "last"], "best"),
        ("[1/4, 1/2]", tuple[float, ...], (0.25, 0.5)),
        ("0.1", tuple[float, ...], (0.1,)),
        ("[]", tuple[float, ...], ()),
        ("a, b", list[str], ["a", "b"]),
        ("2,3", tuple[int, int], (2, 3)),
        ("pgd", Attack, PGD()),
        ("{class_path: PGD, init_args: {eps: 1/2, objective: kldivergence}}", Attack,
            PGD(0.5, objective=KLDivergence())),
        ({"fgsm": None, "pgd": {"steps": "3"}}, tuple[Attack, ...], None),
        ("fog", str | Corruption, "fog"),
    ],
)  # fmt: skip
def test_values_become_what_the_annotation_wants(value, kind, expected):
    found = told(value, kind)
    if expected is None and isinstance(value, dict):
        assert [type(each).__name__ for each in found] == ["FGSM", "PGD"]
        assert found[1] == PGD(steps=3)
    else:
        assert found == expected
        assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        ("three", int, "Expected a whole number for it, got 'three'"),
        ("2.5", int, "Expected a whole number for it, got '2.5'"),
        ("1/0", float, "Expected a number for it, got '1/0'"),
        ("fast", float | None, "Expected a number or null for it, got 'fast'"),
        ("maybe", bool, "Expected true or false for it"),
        ("bets", Literal["best", "last"], "one of 'best', 'last' for it.*Did you mean 'best'"),
        ("1,2,3", tuple[int, int], "Expected 2 values for it, got 3"),
        ("pdg", Attack | None, "no attack 'pdg': expected one of APGD.*Did you mean 'PGD'"),
        ({"class_path": "PGD", "init_args": {"stps": 1}}, Attack, "no option 'stps'.*'steps'"),
        ({"class_path": "PGD", "steps": 1}, Attack, r"Expected {class_path: NAME, init_args"),
        ({"steps": 1}, Attack, "Choose one before --it.steps: --it NAME"),
        ("[{pgd", tuple[Attack, ...], r"names with options, as in \[AutoAttack"),
        ("nowhere.Mine", Attack, "no module 'nowhere'"),
        ("nowhere.mine", str | Corruption, "no module 'nowhere'"),
        ("own_parts.smok", str | Corrupts, "no function 'smok'.*Did you mean 'smoke'"),
        ("models_for_tests.Tiny", Attack, "'Tiny' .*under lookright.attacks"),
        (7, Attack, "Expected an attack for it: its name, or"),
    ],
)
def test_what_does_not_fit_is_one_clear_line(value, kind, message):
    with pytest.raises(UserError, match=message) as caught:
        told(value, kind)
    assert "\n" not in str(caught.value)


def test_options_alone_change_the_default():
    assert told({"eps": "1/2"}, Attack, PGD(steps=7)) == PGD(0.5, steps=7)
    assert told(None, Attack, PGD(steps=7)) == PGD(steps=7)


def test_a_method_by_options_is_a_class_with_keywords():
    kind = Callable[[Classifier], Method]
    assert told("egat", kind) is EGAT
    made = told({"class_path": "AT", "init_args": {"attack": {"class_path": "pgd"}}}, kind)
    assert made.func is AT
    assert made.keywords == {"attack": PGD()}
    assert told({"stability": 0.5}, kind, EGAT).keywords == {"stability": 0.5}


def test_what_a_method_uses_inside_is_not_offered():
    assert "FreeAT" in names("method")
    assert not {"CarriedPerturbation", "Attack"} & set(names("attack"))
    assert type(FreeAT(Smooth()).attack).__name__ not in names("attack")


def test_what_others_are_made_from_is_not_offered():
    assert not {"Decoded", "ImageData"} & set(names("data"))
    assert "Folder" in names("data")
    assert "Corruption" not in names("corruption")
    assert "fog" in names("corruption")


def test_a_worst_case_of_names():
    assert told("{class_path: worstcase, init_args: {attacks: [pgd]}}", Attack) == WorstCase(
        (PGD(),)
    )


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner),
    max_leaves=8,
))  # fmt: skip
def test_any_json_goes_through(thing):
    reserved = {"import", "class_path", "float", "tensor"}
    if not isinstance(thing, dict) or not reserved & set(thing):
        assert repr(build(through_json(thing))) == repr(thing)


def test_for_a_class_that_is_no_kind_no_neighbours_are_imported(monkeypatch):
    """They may need libraries that are not installed, as `jobs.ray_driver` does."""
    looked_at = []

    def looked(name):
        looked_at.append(name)
        return import_module(name)

    monkeypatch.setattr("lookright.registry.import_module", looked)
    members.cache_clear()
    assert [*members(Training)] == ["Training"]
    assert not [name for name in looked_at if "ray" in name or "worker" in name]


NOT_NUMBERS = ["yes", "No", "on", "1_0", "007", "0o17", "12:30", "2024-05-01", "1.0.0", "+", "."]


@pytest.mark.parametrize("text", NOT_NUMBERS)
def test_text_that_yaml_once_took_for_something_else_stays_text(text):
    assert plain_values(text) == text
    assert plain_values(f"[{text}, {{a: {text}}}]") == [text, {"a": text}]


@pytest.mark.parametrize("text", [*NOT_NUMBERS, "7", "1.50", "true", "~", "1e-3"])
def test_names_of_a_mapping_stay_as_they_are_written(text):
    assert plain_values(f"{text}: 1\n'{text}x': 2") == {text: 1, f"{text}x": 2}


@given(st.integers() | st.floats(allow_nan=False) | st.booleans() | st.none())
def test_numbers_bools_and_null_are_what_json_says(value):
    found = plain_values(json.dumps(value).replace("Infinity", ".inf"))
    assert found == value
    assert type(found) is type(value)


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1), st.text() | st.floats() | st.integers()
    )
)
@example({"1e3": "5E4", "yes": "no", "7": "7", "~": "null", "1_0": "12:30", "<<": ".5"})
def test_what_is_written_is_read_as_it_was(values):
    found = plain_values(as_yaml(values))
    assert list(found) == list(values)
    assert all(repr(found[name]) == repr(value) for name, value in values.items())


def test_numbers_as_they_are_often_written():
    given = "[1e-3, 5E4, .5, 1., -.5e2, +3, 0x1F, .NaN, True, Null]"
    found = plain_values(given)
    assert found[:7] == [0.001, 50000.0, 0.5, 1.0, -50.0, 3, 31]
    assert found[7] != found[7]
    assert found[8:] == [True, None]
    assert plain_values("a: &x {b: 1}\nc: {<<: *x, d: 2}")["c"] == {"b": 1, "d": 2}
