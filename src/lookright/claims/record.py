"""claims.json: every plan that was tried, what it found of each image, and its claims."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from lookright.claims.plan import Draw, Plan
from lookright.claims.trial import Trial
from lookright.data import ImageData
from lookright.errors import UserError
from lookright.files import write_atomically
from lookright.models import fingerprint


@dataclass
class ClaimsFile:
    """The part of claims.json that is of one plan; the other plans in it stay.

    lemmas: what was found of them before.
    """

    path: Path
    key: dict[str, Any]
    images: list[str]
    trials: dict[str, Trial]
    others: list[dict[str, Any]]
    lemmas: dict[str, Any]

    @classmethod
    def opened(
        cls,
        path: Path,
        models: Mapping[str, nn.Module],
        data: ImageData,
        plan: Plan,
        drawn: Draw,
    ) -> "ClaimsFile":
        keys = data.keys(plan.domain)
        images = [keys[at] for at in drawn.where]
        key = {
            "plan": plan.describe(),
            "data": data.name,
            "samples": data.fingerprint(plan.domain),
            "models": {name: fingerprint(model) for name, model in models.items()},
        }
        trials = {name: Trial() for name in models}
        others, lemmas = [], {}
        for record in _read(path):
            same_images = record["images"] == images
            if same_images and all(record.get(name) == value for name, value in key.items()):
                trials = {name: Trial(**trial) for name, trial in record["trials"].items()}
                lemmas = record.get("lemmas", {})
            else:
                others.append(record)
        again = [
            each
            for each in others
            if each["plan"]["domain"] == plan.domain
            and set(each["images"]) & set(images)
            and any(trial["kept"] for trial in each["trials"].values())
        ]
        if again:
            warnings.warn(
                f"{path} holds {len(again)} other plans with some of these images: each claim "
                "holds with its own probability, and all of them together only with --family the "
                "number of all their bounds. What was chosen after a look at these images needs a "
                "fresh --seed.",
                stacklevel=3,
            )
        return cls(path, key, images, trials, others, lemmas)

    def write(self, claims: Mapping[str, Any]) -> None:
        """Atomically; no claims while images are still to be tried."""
        record = self.key | {
            "images": self.images,
            "trials": {name: trial.describe() for name, trial in self.trials.items()},
            **claims,
        }
        content = {"format": 1, "records": [*self.others, record]}
        write_atomically(self.path, json.dumps(content, indent=1).encode())


def sentences(path: Path, weights: str | None = None) -> dict[str, list[str]]:
    """What claims.json claims of one model or of two, by domain; none where it is not there.

    weights: the fingerprint of the model that is spoken of; records of another one say nothing.

    Raises:
        UserError: the file is damaged.
    """
    found: dict[str, list[str]] = {}
    for record in _read(path):
        claims = [*record.get("claims", ()), *record.get("comparisons", ())]
        of = next(iter(record["models"].values()), None)
        if claims and weights in (None, of):
            here = found.setdefault(record["plan"]["domain"], [])
            here += [claim["sentence"] for claim in claims]
    return found


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    try:
        records = json.loads(path.read_text(encoding="utf-8"))["records"]
        for record in records:
            record["images"], record["trials"], record["plan"], record["models"], record["data"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is damaged ({' '.join(str(error).split())}): move it away, and claim again."
        ) from error
    return list(records)
