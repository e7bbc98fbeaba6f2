"""Where results are stored: a home, such as a run's folder, holds many, each in its own folder."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from lookright.data import ImageData, Seen
from lookright.errors import UserError, some
from lookright.evaluation.protocol import Protocol
from lookright.evaluation.result import Result
from lookright.files import inside
from lookright.locks import settled
from lookright.models import fingerprint
from lookright.spec import identity, spec_of
from lookright.spec.folders import relative, with_folders

RESULTS = "results"


def begun(
    model: nn.Module,
    data: ImageData,
    *,
    masker: nn.Module | None = None,
    train_domains: Sequence[str] = (),
    seen: Seen | None = None,
    protocol: Protocol = Protocol(),  # noqa: B008
    name: str = "model",
    about: str = "",
    seed: int | None = None,
    config: Mapping[str, Any] | None = None,
    near: Path | None = None,
) -> Result:
    """The result of an evaluation before any domain is done; arguments as in `evaluate`.

    near: the folder that it goes to. The data's folders are told apart by how they are found from
    there, so that a project that was moved keeps its results.
    """
    return Result(
        saved=None,
        name=name,
        seed=seed,
        created=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        classes=tuple(data.classes),
        train_domain=tuple(train_domains),
        about=about,
        config=dict(config or {}) | {"judged": _judged(model, masker, data, seen, near)},
        settings=spec_of(protocol.resolved),
        domains={},
    )


def asked_for(result: Result) -> dict[str, Any]:
    """What must be equal in two results of the same evaluation: model, data, protocol and names."""
    names = ("name", "seed", "classes", "train_domain", "config", "settings")
    return json.loads(json.dumps({name: getattr(result, name) for name in names}))


def placed(home: Path, result: Result) -> Path:
    """The folder of a result: `home`/results/<hash of model, data, protocol and names>.

    Raises:
        UserError: it is a link, or in one.
    """
    return inside(home, Path(RESULTS, identity(asked_for(result)), "result.json")).parent


def home_of(folder: Path) -> Path:
    """The home of a result's folder; the folder itself if it is in none."""
    return folder.parent.parent if folder.parent.name == RESULTS else folder


def results_in(folder: Path) -> list[Path]:
    """The folders of the results in a home, the newest first; for a result's own folder, only that.

    Raises:
        UserError: there is none.
    """
    if (settled(folder) / "result.json").is_file():
        return [folder]
    kept = [settled(each) / "result.json" for each in (folder / RESULTS).glob("*/")]
    found = [path for path in kept if path.is_file()]
    newest_first = sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)
    if not newest_first and (inner := [*folder.glob(f"*/{RESULTS}/*/result.json")]):
        homes = sorted({str(path.parent.parent.parent) for path in inner})
        raise UserError(f"{folder} is no home of results itself: name those in it, {some(homes)}.")
    if not newest_first:
        raise UserError(
            f"Expected results in {folder}, but there is neither result.json nor a folder "
            f"{RESULTS} with any: give a folder that `lookright evaluate` wrote, or a run that it "
            "has evaluated."
        )
    return [path.parent for path in newest_first]


def _judged(
    model: nn.Module,
    masker: nn.Module | None,
    data: ImageData,
    seen: Seen | None,
    near: Path | None,
) -> dict[str, Any]:
    """What was evaluated on what: hashes of the weights and of the images seen in training, and the
    data's spec, or its name.

    Of the data's folders only the names are told, and a hash tells them apart.
    """
    try:
        spec = spec_of(data)
        described = with_folders(spec, lambda folder: Path(folder).name)
        if described != spec:
            found = spec if near is None else with_folders(spec, partial(relative, base=near))
            described["place"] = identity(found)
    except UserError:
        described = {"name": data.name}
    return {
        "weights": fingerprint(model),
        **({} if masker is None else {"masker": fingerprint(masker)}),
        **({} if seen is None else {"seen": seen.identity}),
        "data": described,
    }
