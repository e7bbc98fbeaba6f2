"""docs/methods.md says what is so: every method and guide, its defaults, needs and example."""

import inspect
import re
from pathlib import Path

import pytest

from cases import METHODS
from lookright import attacks, cli, distances, explainers, guides, methods
from lookright.distances import Distance
from lookright.guides import ConvMasker, Guide, PyramidMasker
from lookright.methods import AT, AWP, GradientPenalty, Method
from lookright.spec import spec_of
from models_for_tests import Tiny

PAGE = (Path(__file__).parent.parent / "docs" / "methods.md").read_text()
SECTION = re.compile(r"^###+ (\w+)\n(.*?)(?=^##)", re.MULTILINE | re.DOTALL)
SECTIONS = dict(SECTION.findall(PAGE))
DEFAULT = re.compile(r"`(\w+) = ([^`]+)`")


def members(module: object, kind: type) -> dict[str, type]:
    """The concrete classes of a kind that a module exports."""
    return {
        name: value
        for name, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, kind) and not inspect.isabstract(value)
    }


OPTIONS = {AWP: "--awp", GradientPenalty: "--gradient_penalty"}
"""Methods round another one, which are options of it."""
EXPORTED = {name: methods.__dict__[name] for name in methods.__all__ if name != "Method"}
GUIDES = {name: value for name, value in members(guides, Guide).items() if name in guides.__all__}
DISTANCES = members(distances, Distance)
ATTACKS = members(attacks, attacks.Attack)
EXPLAINERS = members(explainers, explainers.Explainer)
DESCRIBED = {
    **EXPORTED,
    "LearnedMask": guides.LearnedMask,
    "ConvMasker": ConvMasker,
    "PyramidMasker": PyramidMasker,
}


def table(first: str) -> dict[str, list[str]]:
    """The rows of the table whose header begins with `first`, by their first cell."""
    found = re.search(rf"^\| {first} \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert found, first
    rows = [re.split(r" *\| *", line.strip("|").strip()) for line in found[1].splitlines()]
    return {cells[0]: cells[1:] for cells in rows}


def build(member: type) -> object:
    if member in OPTIONS:
        return member(AT(Tiny()))
    return member(Tiny()) if issubclass(member, Method) else member()


def shown(text: str) -> dict[str, object]:
    """The defaults that a text shows, each by its spec, as in a run's config."""
    parts = {**EXPLAINERS, **vars(guides), **vars(attacks)}
    return {
        name: spec_of(eval(value, {}, DISTANCES if name.endswith("distance") else parts))
        for name, value in DEFAULT.findall(text)
    }


def defaults(member: type) -> dict[str, object]:
    """Its options, with what it has where they are not given."""
    built = build(member)
    return {
        name: spec_of(getattr(built, name) if parameter.default is None else parameter.default)
        for name, parameter in inspect.signature(member).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }


def test_every_method_has_its_section_and_no_other_has() -> None:
    assert set(SECTIONS) == set(DESCRIBED)


@pytest.mark.parametrize("name", DESCRIBED)
def test_the_defaults_are_those_of_the_signature(name: str) -> None:
    assert shown(SECTIONS[name]) == defaults(DESCRIBED[name])


@pytest.mark.parametrize("name", EXPORTED)
def test_a_section_has_loss_and_command(name: str) -> None:
    section = SECTIONS[name]
    assert re.match(r"\n    L(_clf)? +=", section)
    option = OPTIONS.get(EXPORTED[name], f"--method {name.lower()}")
    assert re.search(rf"`lookright train [^`]*{option}\b[^`]*`", section)
    needs_domains = DESCRIBED[name].needs_domains
    assert bool(re.search(r"--train_domain \w+,\w+", section)) == needs_domains


def test_the_costs_are_of_every_method_and_say_what_it_needs() -> None:
    named = [
        (re.match(r"\[(\w+)\]\(#(\w+)\)", row), cells) for row, cells in table("method").items()
    ]
    assert {found[1] for found, _ in named} == set(EXPORTED)
    for found, (_, needs, *times) in named:
        assert found[2] == found[1].lower()
        made = build(EXPORTED[found[1]])
        assert ("two domains" in needs) == made.needs_domains
        assert ("masks" in needs) == bool(made.guide and made.guide.needs_masks)
        assert all(float(re.match(r"[\d.]+", time)[0]) > 0 for time in times)


def test_every_guide_is_there_with_its_needs_and_options() -> None:
    rows = table("guide")
    assert set(rows) == set(GUIDES)
    for name, (_, needs, options) in rows.items():
        guide = GUIDES[name]
        assert needs == ("masks" * guide.needs_masks or "tool masks" * guide.needs_tool_masks)
        if name in SECTIONS:
            assert f"(#{name.lower()})" in options
        else:
            assert shown(options) == defaults(guide)


def test_what_goes_together_is_what_the_signatures_take() -> None:
    rows = table("part")
    assert set(rows) == {"attack", "objective", "explainer", "guide", "distance"}
    for part, (takers, _) in rows.items():
        among = ATTACKS if part == "objective" else EXPORTED
        takes = {name for name in among if part in inspect.signature(among[name]).parameters}
        assert set(re.sub(r" \([^)]*\)", "", takers).split(", ")) == takes
    assert set(rows["distance"][1].split(", ")) == set(DISTANCES)
    assert set(rows["objective"][1].split(", ")) == set(members(attacks, attacks.Objective))
    assert {"PGD", "FGSM"} <= set(rows["attack"][1].split(", ")) <= set(ATTACKS)
    trainable = set(EXPLAINERS) - {"Captum"}
    assert set(rows["explainer"][1].split(", ")) == trainable


def example() -> str:
    (block,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return block


def test_the_example_is_the_row_that_the_laws_hold() -> None:
    assert type(METHODS["alp"](Tiny())).__name__ == "ALP"
    row = re.search(r'^    ("alp": .*),$', PAGE, re.MULTILINE)[1]
    assert f"{row}," in (Path(__file__).parent / "cases.py").read_text()


def test_the_example_trains_from_its_own_folder(tmp_path, monkeypatch, capsys) -> None:
    (tmp_path / "alp.py").write_text(example())
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    cli.run(["train", "--method", "alp.ALP", "--method.pairing", "1", "--print_config"])
    assert "pairing: 1.0" in capsys.readouterr().out
