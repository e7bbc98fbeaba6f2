"""Reading a benchmark from its YAML file, by the rules of the command line and of --config."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lookright.benchmark.plan import FORMAT, ROUND, Benchmark, Contender
from lookright.benchmark.search import Choice, Listed, Range
from lookright.benchmark.training import training_options
from lookright.errors import UserError
from lookright.files import as_path, regular
from lookright.spec import Place, converted, said
from lookright.spec.text import plain_values
from lookright.statistics.crossed import FEWEST_SEEDS
from lookright.training.presets import preset


def read_benchmark(path: Path | str, trusted: bool = False) -> Benchmark:
    """The benchmark of a file, with its paths as they stand there (`Benchmark.located`).

    trusted: it may name classes and functions that are of no installed package.

    Raises:
        UserError: no such file, one of another version, or options that do not fit.
    """
    tree = _read(path)
    if trusted:
        tree = said(tree)
    place = Place(trust="said")
    version = tree.get("format", FORMAT)
    if version != FORMAT:
        raise UserError(
            f"Expected a benchmark of format {FORMAT} in {path}, but it has format {version}: "
            "use the version of lookright that it was written for."
        )
    methods = tree.get("methods") or {}
    if not isinstance(methods, Mapping):
        raise UserError(
            f"Expected under methods names with methods, such as 'EGAT: EGAT', got '{methods}'."
        )
    if not isinstance(tree.get("hypotheses", []), list):
        raise UserError(
            "Expected under hypotheses a list, such as '- {method: EGAT, better_than: AT, measure: "
            f"accuracy_adversarial, where: in distribution}}', got '{tree['hypotheses']}'."
        )
    below = preset(str(tree["preset"])).options if tree.get("preset") else {}
    if "training" in tree:
        within = replace(place, name="training")
        tree["training"] = training_options(tree["training"], within, below)
        below = {**below, **tree["training"]}
    found = {str(name): _told(str(name), each, place, below) for name, each in methods.items()}
    read = Benchmark(**converted(Benchmark, {**tree, "methods": found}, place))
    if read.hypotheses and len(read.all_seeds) < FEWEST_SEEDS:
        raise UserError(
            f"A hypothesis is tested on {FEWEST_SEEDS} seeds or more, and the file has "
            f"{len(read.all_seeds)}: write 'seeds: {FEWEST_SEEDS}'."
        )
    return read


def _told(name: str, given: Any, place: Place, below: Mapping[str, Any]) -> Contender:
    """As `_contender`; a mistake says in which row it is."""
    try:
        return _contender(name, given, place, below)
    except UserError as error:
        if f"methods.{name}" in str(error):
            raise
        raise UserError(f"{name}: {error}") from error


def _contender(name: str, given: Any, place: Place, below: Mapping[str, Any]) -> Contender:
    """A method from its name, its class with options, or all that a `Contender` has.

    below: the training options of all methods, over which its own go.
    """
    if given is None:
        given = name
    if not isinstance(given, Mapping) or "class_path" in given:
        given = {"method": given}
    here = Place(f"methods.{name}", trust=place.trust)
    given = dict(given)
    if "training" in given:
        within = replace(here, name=f"{here.name}.training")
        given["training"] = training_options(given["training"], within, below)
    if "search" in given:
        given["search"] = _search(given["search"], f"{here.name}.search", here)
    return Contender(**converted(Contender, given, here))


def _search(given: Any, name: str, place: Place) -> dict[str, Choice]:
    if not isinstance(given, Mapping):
        raise UserError(
            f"Expected hyper-parameters for {name}, such as 'training.lr: [0.01, 0.001]'; got "
            f"'{given}'."
        )
    found: dict[str, Choice] = {}
    for option, values in given.items():
        first, dot, _ = str(option).partition(".")
        if option not in ROUND and (first not in ("method", "training") or not dot):
            raise UserError(
                f"Expected method.OPTION, training.OPTION, {' or '.join(ROUND)} in {name}, such as "
                f"training.lr; got '{option}'."
            )
        if isinstance(values, Mapping):
            here = Place(f"{name}.{option}", trust=place.trust)
            found[str(option)] = Range(**converted(Range, values, here))
        else:
            found[str(option)] = Listed(tuple(values if isinstance(values, list) else [values]))
    return found


def _read(path: Path | str) -> dict[str, Any]:
    try:
        found = plain_values(regular(as_path(path)).read_text(encoding="utf-8"))
    except (OSError, ValueError, UserError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"{path} cannot be read ({reason}): name a benchmark's YAML file."
        ) from error
    if not isinstance(found, dict):
        raise UserError(
            f"Expected lines such as 'methods:' in {path}; see examples/ and docs/benchmark.md."
        )
    return found
