"""One broken image costs that image, and is named; the figures are those of all others."""

import random
from pathlib import Path

import pytest
import torch
from PIL import Image

from lookright.data import Folder, InMemory, load_data
from lookright.errors import UserError
from lookright.evaluation import Protocol, evaluate
from lookright.evaluation.result import read_result
from lookright.evaluation.stages import Stage
from lookright.evaluation.stages.answers import Answers
from lookright.evaluation.stages.attacks import Attacks
from lookright.evaluation.stages.claims import Claims
from lookright.evaluation.stages.explanations import Explanations
from lookright.evaluation.table import read_table
from test_data_decoding import hide_damage
from tiny import tiny_classifier

STAGES: tuple[Stage, ...] = (
    Answers(),
    Attacks(steps=1, restarts=1, curve=()),
    Explanations(("mean",), 2),
    Claims(),
)


def photographs(root: Path, count: int = 6) -> Path:
    """<class>/*.png, all different and all smaller than 256 in their first pixel."""
    draw = random.Random(0)
    for name in ("a", "b", "c"):
        (root / name).mkdir(parents=True)
        for index in range(count):
            image = Image.frombytes("RGB", (8, 8), draw.randbytes(192))
            image.save(root / name / f"{index}.png")
    return root


def judged(data, save=None, model=None, batch_size=4):
    protocol = Protocol(stages=STAGES, batch_size=batch_size)
    model = model or tiny_classifier(data=data)
    return evaluate(model, data, save, protocol=protocol, progress=False)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def unreadable(path: Path) -> None:
    path.write_bytes(b"<html>404</html>")


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("damage", [cut, unreadable, hide_damage])
def test_a_broken_image_costs_that_image(tmp_path, damage, workers):
    root = photographs(tmp_path / "set")
    names = ("a/2.png", "c/5.png")
    for name in names:
        damage(root / name)
    data = load_data(root, 8, read=False)
    protocol = Protocol(stages=STAGES, batch_size=4)
    with pytest.warns(UserWarning, match="2 of 18 images are left out: 'a/2.png'") as told:
        found = evaluate(
            tiny_classifier(data=data), data, tmp_path / "result", protocol=protocol,
            progress=False, workers=workers,
        )  # fmt: skip
    assert len(told) == 1
    here = read_result(tmp_path / "result").domains["set"]
    assert (here.n, set(here.left_out)) == (16, set(names))
    assert all(str(tmp_path) not in why for why in here.left_out.values())
    assert "'c/5.png'" in here.warnings[0]
    table = read_table(tmp_path / "result")["set"]
    assert sorted(table["image"]) == sorted(set(data.names("set")) - set(names))
    for name in names:
        (root / name).unlink()
    alone = judged(Folder(root, 8))
    assert found.domains["set"].measures["accuracy"] == alone.domains["set"].measures["accuracy"]


class NotANumber(torch.nn.Module):
    """A tiny classifier that gives NaN for the images of a list."""

    def __init__(self, images, data) -> None:
        super().__init__()
        self.inner = tiny_classifier(data=data)
        self.register_buffer("images", images)

    def forward(self, x):
        known = (x[:, None] - self.images[None]).abs().amax((2, 3, 4)).amin(1) < 1e-6
        return torch.where(known[:, None], torch.nan, self.inner(x))


def in_memory(at: slice = slice(None)) -> InMemory:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(10, 3, 8, 8, generator=generator)
    return InMemory(images[at], (torch.arange(10) % 3)[at], classes=["red", "green", "blue"])


@pytest.mark.parametrize("bad", [[1], [0, 9], [4, 5, 6, 7], [8, 9]])
def test_an_image_that_the_model_answers_with_nan_costs_that_image(tmp_path, bad):
    data = in_memory()
    model = NotANumber(data.samples("data", bad).images, data)
    with pytest.warns(UserWarning, match=f"{len(bad)} of 10 images are left out"):
        judged(data, tmp_path, model)
    here = read_result(tmp_path).domains["data"]
    assert here.n == 10 - len(bad)
    names = data.names("data")
    assert here.left_out == {names[at]: "the model gives NaN or infinity for it" for at in bad}
    assert len(read_table(tmp_path)["data"]["image"]) == 10 - len(bad)
    claims = Claims.of(here)
    assert claims
    assert all(claim.n == 10 and claim.kept <= 10 - len(bad) for claim in claims)


def test_no_image_at_all_is_refused(tmp_path):
    data = in_memory()
    everything = NotANumber(data.samples("data", range(10)).images, data)
    with pytest.raises(UserError, match="NaN or infinity for all"):
        judged(data, model=everything)
    root = photographs(tmp_path / "set", 1)
    for path in root.rglob("*.png"):
        unreadable(path)
    with pytest.raises(UserError, match=r"none of 3 can be read, such as 'a/0\.png'"):
        judged(load_data(root, 8, read=False))
