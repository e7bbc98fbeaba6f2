"""A damaged file of a run or result is one line that names it, or the right answer.

`benchmarks/damage.py` tries many more of the same.
"""

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from lookright import cli
from lookright.data import Shortcut
from lookright.errors import UserError
from lookright.evaluation.places import results_in
from lookright.methods import ERM
from lookright.models import SmallResNet
from lookright.training import fit
from tiny import Blobs, tiny_classifier

LIGHT = (
    "--domains train --protocol.limit 4 --protocol.batch_size 4 --protocol.stages [] --device cpu"
)
TRAIN = "train --method ALIGN --epochs 2 --batch_size 16 --accelerator cpu --run"
CLAIM = "claim run --perturbation Corrupted --n 4 --domain train --device cpu"

READ = {
    "report": ("result.json", "examples.npz", "images.csv.gz", "claims.json", "checksums.json"),
    "evaluate": (
        *("config.json", "checksums.json", "seen.json.gz", "best.safetensors"),
        "best-masker.safetensors",
        *("result.json", "examples.npz", "images.csv.gz"),
    ),
    "explain": ("config.json", "checksums.json", "best.safetensors", "best-masker.safetensors"),
    "claim": ("config.json", "checksums.json", "best.safetensors", "claims.json"),
    "resume": ("config.json", "checksums.json", "metrics.csv", "last.ckpt"),
}
"""The files that each verb reads."""

LINES = {
    "report": "report run other --page page.html",
    "evaluate": f"evaluate run {LIGHT}",
    "explain": "explain run image.png --attack FGSM --device cpu",
    "claim": CLAIM,
    "resume": f"{TRAIN} cut --resume",
}

OTHERS: tuple[Any, ...] = (
    *(None, True, -1, 0, 10**400, 1e300, "", "x", "x" * 9999, [], [[]], {}, {"a": []}),
    *(float("nan"), [1] * 99),
)
"""What a JSON value is replaced by."""


def made(folder: Path) -> None:
    """Two runs with results and claims, and a run that was stopped, in the working folder."""
    Image.new("RGB", (32, 32), "red").save(folder / "image.png")
    cli.main([*TRAIN.split(), "run"])
    cli.main(f"evaluate run {LIGHT}".split())
    cli.main(CLAIM.split())
    shutil.copytree("run", "other")
    shutil.rmtree("other/results")
    cli.main(f"evaluate other --names Other {LIGHT} --overwrite".split())
    shutil.copytree("run", "cut")
    rows = Path("cut/metrics.csv").read_text().splitlines(keepends=True)
    Path("cut/metrics.csv").write_text("".join(rows[:2]))
    sealed = json.loads(Path("cut/checksums.json").read_text())
    del sealed["lookright"]["metrics.csv"]
    Path("cut/checksums.json").write_text(json.dumps(sealed))


def damages(content: bytes, chance: random.Random, each: int) -> Iterator[tuple[str, bytes]]:
    """The file cut at so many lengths, with so many flipped bits and, where it is JSON, with so
    many values replaced."""
    for _ in range(each):
        at = chance.randrange(len(content))
        yield f"cut at {at}", content[:at]
    for _ in range(each):
        at, bit = chance.randrange(len(content)), chance.randrange(8)
        flipped = content[at] ^ (1 << bit)
        yield f"bit {bit} of byte {at}", content[:at] + bytes([flipped]) + content[at + 1 :]
    if content[:1] == b"{":
        places = [*_places(json.loads(content))]
        for _ in range(each):
            place, value = chance.choice(places), chance.choice(OTHERS)
            raw = json.loads(content)
            inside = raw
            for key in place[:-1]:
                inside = inside[key]
            inside[place[-1]] = value
            yield f"{place} = {str(value)[:20]}", json.dumps(raw).encode()


def _places(value: Any, at: tuple = ()) -> Iterator[tuple]:
    if at:
        yield at
    pairs = {dict: lambda: value.items(), list: lambda: enumerate(value)}.get(type(value), tuple)
    for key, each in pairs():
        yield from _places(each, (*at, key))


def tries(
    each: int, seed: int, call: Callable[[str], tuple[int, str, str]], most: int | None = None
) -> list[str]:
    """What went wrong, for each verb and file; `call` gives a command's code, output and errors.

    most: so many of the tries for a file are made, drawn at random.
    """
    chance, wrong = random.Random(seed), []
    for verb, names in READ.items():
        home = Path("cut" if verb == "resume" else "run")
        expected = None if verb == "resume" else call(LINES[verb])[1]
        for name in names:
            for path in sorted(home.rglob(name)):
                content = path.read_bytes()
                shutil.copytree(home, "kept")
                planned = [*damages(content, chance, each)]
                for what, damaged in chance.sample(planned, most or len(planned)):
                    path.write_bytes(damaged)
                    told = f"{verb}, {path} {what}: "
                    try:
                        code, out, err = call(LINES[verb])
                    except Exception as error:  # a traceback
                        wrong.append(f"{told}{type(error).__name__} {error}"[:500])
                    else:
                        one_line = err.count("error:") == 1 and path.name in err
                        right = code == 0 and (out == expected or verb == "resume")
                        if not (one_line if code else right or f"{path.name}" in err):
                            wrong.append(f"{told}{code} {err}"[:500])
                    shutil.rmtree(home)
                    shutil.copytree("kept", home)
                shutil.rmtree("kept")
    return wrong


def narrow(patch: pytest.MonkeyPatch) -> None:
    """Small networks are narrower still, and Shortcut has a few digits."""
    patch.setattr(SmallResNet.__init__, "__defaults__", (4,))
    keys = Shortcut.keys
    patch.setattr(Shortcut, "keys", lambda self, domain: keys(self, domain)[:40])


def test_a_damaged_file_is_one_line_or_the_right_answer(tmp_path, monkeypatch, capsys):
    narrow(monkeypatch)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    made(tmp_path)
    capsys.readouterr()

    def call(line: str) -> tuple[int, str, str]:
        try:
            cli.main(line.split())
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        return code, *capsys.readouterr()

    assert len(results_in(Path("run"))) == 1
    assert tries(1, 0, call, most=1) == []


@pytest.mark.parametrize(
    "spec", [{"class_path": float("nan")}, {"class_path": "a.B", "init_args": 3}]
)
def test_a_damaged_part_at_any_depth_of_a_config_names_the_file(tmp_path, spec):
    run = fit(ERM(tiny_classifier()), Blobs(), "train", tmp_path / "r", epochs=1, progress=False)
    path = run.folder / "config.json"
    config = json.loads(path.read_text())
    config["settings"]["init_args"]["validation_attack"] = [spec]
    path.write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"config.json is damaged: expected a class"):
        _ = run.config
