"""claims.json: every plan that was tried, with the values of its images and its claims."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lookright.claims.plan import Draw, Plan
from lookright.claims.trial import Trial
from lookright.data import ImageData
from lookright.errors import UserError
from lookright.files import together, verified, write_atomically
from lookright.locks import settled
from lookright.spec import spec_of
from lookright.untrusted import parsed

_CLAIMED = ("claims", "comparisons")


@dataclass
class ClaimsFile:
    """The part of claims.json that belongs to one plan; the other plans in it stay as they are.

    path: of the file; None keeps nothing on disk. trials: by the model's name. evaluated: the
    trials come from an evaluation, so an image counts as kept only where its clean prediction was
    right. lemmas: those that were measured before.
    """

    path: Path | None
    key: dict[str, Any]
    images: list[str]
    trials: dict[str, Trial]
    evaluated: bool
    others: list[dict[str, Any]]
    lemmas: dict[str, Any]

    @classmethod
    def opened(
        cls,
        path: Path | None,
        weights: Mapping[str, str],
        data: ImageData,
        plan: Plan,
        drawn: Draw,
    ) -> "ClaimsFile":
        """weights: the fingerprint of each model, by its name."""
        names = data.names(drawn.domain)
        images = [names[at] for at in drawn.where]
        trials, evaluated = {name: Trial() for name in weights}, False
        if path is None:
            return cls(path, {}, images, trials, evaluated, [], {})
        key = {
            "plan": spec_of(replace(plan, domain=drawn.domain)),
            "data": data.name,
            "domain": drawn.domain,
            "samples": data.fingerprint(drawn.domain),
            "models": dict(weights),
        }
        others, lemmas = [], {}
        # The claims of two models are about the first; the trials serve in either order.
        for record in sorted(_read(path), key=lambda record: [*record["models"]] == [*weights]):
            same_images = record["images"] == images
            same = same_images and all(record.get(name) == value for name, value in key.items())
            if same:
                trials = {name: Trial(**record["trials"][name]) for name in weights}
                evaluated = record["evaluated"]
                lemmas = record.get("lemmas", {})
            if not same or [*record["models"]] != [*weights]:
                others.append(record)
        again = [
            each
            for each in others
            if each["domain"] == drawn.domain
            and set(each["images"]) & set(images)
            and any(trial["kept"] for trial in each["trials"].values())
        ]
        if again:
            warnings.warn(
                f"{path} holds {len(again)} other plans with some of these images: each claim "
                "holds with its own probability, and all of them together only where --family "
                "counts all their bounds. If this plan was chosen after a look at these images, "
                "draw others by another --seed.",
                stacklevel=3,
            )
        return cls(path, key, images, trials, evaluated, others, lemmas)

    def write(self, claims: Mapping[str, Any]) -> None:
        """Replace the file; without claims while images remain to be tried."""
        if self.path is None:
            return
        record = self.key | {
            "images": self.images,
            "evaluated": self.evaluated,
            "trials": {name: trial.describe() for name, trial in self.trials.items()},
            **claims,
        }
        content = {"format": 2, "records": [*self.others, record]}
        with together(self.path.parent) as new:
            write_atomically(new / self.path.name, json.dumps(content, indent=1).encode())


def sentences(path: Path, weights: str | None = None) -> dict[str, list[str]]:
    """The sentences of a claims.json by domain; none where there is no such file.

    weights: the fingerprint of a model; only claims about it, or in which it is the first of two,
    are returned. None returns all.

    Raises:
        UserError: the file is damaged.
    """
    found: dict[str, list[str]] = {}
    for record in _read(path):
        claims = [claim for name in _CLAIMED for claim in record.get(name, ())]
        of = next(iter(record["models"].values()), None)
        if claims and weights in (None, of):
            here = found.setdefault(record["domain"], [])
            here += [claim["sentence"] for claim in claims]
    return found


def _read(path: Path) -> list[dict[str, Any]]:
    settled(path.parent)
    if not path.exists():
        return []
    try:
        records = parsed(verified(path).read_text(encoding="utf-8"))["records"]
        for record in records:
            _check(record)
    except (OSError, ValueError, KeyError, TypeError, UserError) as error:
        raise UserError(
            f"{path} is damaged ({' '.join(str(error).split())}): move it away and run `lookright "
            "claim` again."
        ) from error
    return list(records)


def _check(record: Mapping[str, Any]) -> None:
    """Check that a record has what is read of it; a TypeError or KeyError says what it lacks."""
    wanted = {"images": list, "evaluated": bool, "trials": dict, "domain": str, "models": dict}
    for name, kind in wanted.items():
        if not isinstance(record[name], kind):
            raise TypeError(f"expected {kind.__name__} at {name}")
    lists: list[tuple[Any, type]] = [(record["images"], str)]
    lists += [(record.get(name, []), dict) for name in _CLAIMED]
    for trial in record["trials"].values():
        lists += [(trial["kept"], bool), (trial["similarity"], float)]
        if len(trial["kept"]) != len(trial["similarity"]):
            raise TypeError("expected a similarity for each image")
    for values, kind in lists:
        if not all(isinstance(each, kind) for each in values):
            raise TypeError(f"expected a list of {kind.__name__}")
    for name in _CLAIMED:
        for claim in record.get(name, []):
            if not isinstance(claim["sentence"], str):
                raise TypeError("expected a sentence of each claim")
