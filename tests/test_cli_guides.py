"""Every guide from the command line: in any case, described, resumed; mistakes in one line."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cases import GUIDES
from lookright import cli
from lookright.data import Shortcut
from lookright.models import SmallResNet
from lookright.spec import spec_of
from lookright.training import Run

FAST = "--epochs 1 --batch_size 16 --image_size 32"
EGAT = "train --method egat --method.attack fgsm --method.attack.eps 2/255"
PETS = f"--data pets --masks masks --tool_masks sam {FAST}"

OWN = """
from torch import nn


class MyMasker(nn.Module):
    def __init__(self, bias: float = 0.0) -> None:
        super().__init__()
        self.bias = bias
        self.mask = nn.Conv2d(3, 1, 1)

    def forward(self, images):
        return (self.mask(images) + self.bias).sigmoid()
"""


@pytest.fixture(scope="module", autouse=True)
def _narrow():
    """Small networks are narrower still, and Shortcut has a few digits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SmallResNet.__init__, "__defaults__", (4,))
        keys = Shortcut.keys
        patch.setattr(Shortcut, "keys", lambda self, domain: keys(self, domain)[:60])
        yield


@pytest.fixture
def lookright(capsys):
    """Run a command line; its exit code, and what it said on stderr."""

    def run(line: str) -> tuple[int, str]:
        capsys.readouterr()
        code = 0
        try:
            cli.main(line.split())
        except SystemExit as stop:
            code = stop.code
        return code, capsys.readouterr().err

    return run


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Cats and dogs, each with a mask by a human and one by a tool, and a module of one's own."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for label, name in enumerate(("cat", "dog")):
        for index in range(20):
            pixels = random.integers(0, 150, (20, 20, 3), dtype=np.uint8)
            pixels[..., 0] += 100 * label
            mask = np.zeros((20, 20), np.uint8)
            mask[4:12, 6:14] = 255
            for folder, drawn in (("pets", pixels), ("masks", mask), ("sam", mask.T // 2)):
                path = Path(folder, name, f"{index}.png")
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(drawn).save(path)
    Path("my_module.py").write_text(OWN)
    return tmp_path


@pytest.mark.parametrize("name", GUIDES)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_egat_follows_any_guide(lookright, name):
    guide = type(GUIDES[name]()).__name__
    warm = " --method.guide.warm_up 0" if guide in ("LearnedMask", "MeanTeacher") else ""
    line = f"{EGAT} --method.guide {guide.lower()}{warm} {PETS} --seed 3 --run"
    assert lookright(f"{line} run")[0] == 0
    run = Run(Path("run"))
    assert type(run.method().guide).__name__ == guide
    assert run.history[0]["train/explanation"] > 0
    torch.rand(5)
    assert lookright(f"{line} again")[0] == 0
    assert Run(Path("again")).history[0]["train/loss"] == run.history[0]["train/loss"]
    assert lookright(f"{line} run --resume")[0] == 0


@pytest.mark.parametrize(
    ("options", "guide", "change"),
    [
        (
            f"{EGAT} --method.guide LearnedMask --method.guide.sparsity 0.5",
            {"sparsity": 0.5},
            "--method.guide.sparsity 0.25",
        ),
        (f"{EGAT} --method.guide HumanMask", {}, "--method.guide swapped"),
        (
            "train --method align --method.guide.warm_up 0.5",
            {"warm_up": 0.5},
            "--method.guide.smoothness 0.7",
        ),
        (f"{EGAT} --method.guide PrecomputedMask {PETS}", {}, "--method.guide HumanMask"),
        (
            "train --method align --method.guide.masker my_module.MyMasker "
            "--method.guide.masker.bias 1/2",
            {"masker": {"class_path": "my_module.MyMasker", "init_args": {"bias": 0.5}}},
            "--method.guide.masker.bias 0.25",
        ),
        (
            "train --method maskalignment --method.guide part --method.guide.share 1/4",
            {"share": 0.25},
            "--method.guide.share 1/5",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_run_knows_its_guide_and_resumes_with_that_alone(lookright, options, guide, change):
    line = f"{options} {FAST} --run run"
    code, err = lookright(line)
    assert code == 0, err
    run = Run(Path("run"))
    assert run.config["method"]["init_args"]["guide"]["init_args"].items() >= guide.items()
    assert spec_of(run.method()) == run.config["method"]
    assert lookright(f"{line} --resume")[0] == 0
    code, err = lookright(f"{line} {change} --resume")
    assert code == 1
    assert re.search(r"of another config: method\.guide", err)


@pytest.mark.filterwarnings("always::UserWarning")
def test_missing_guides_and_unused_ones_are_told(lookright):
    for path in (Path("sam/cat/3.png"), Path("sam/dog/11.png")):
        path.unlink()
    Image.new("L", (20, 20), 0).save("sam/dog/7.png")
    code, err = lookright(f"{EGAT} --method.guide precomputedmask {PETS} --run run")
    assert code == 0
    sam = str(Path("sam").resolve())
    notes = [line.replace(sam, "sam") for line in err.splitlines() if line.startswith("note: ")]
    assert notes[0] == (
        "note: 1 of 38 tool masks in 'sam' are empty, such as 'sam/dog/7.png', and count as "
        "missing."
    )
    assert notes[1].startswith(
        "note: 2 of 40 images have no tool mask in 'sam', such as 'cat/3.png'"
    )
    assert re.match(r"note: \d+ of \d+ training images have tool masks for PrecomputedM", notes[2])
    assert len(notes) == 3
    code, err = lookright(f"train --method erm --data pets --tool_masks sam {FAST} --run erm")
    assert code == 0
    assert "note: ERM does not use the masks in 'sam'; --method.guide PrecomputedMask does." in err


BAD = [
    (f"{EGAT} --method.guide humanmask --data pets", r"guided by HumanMask needs masks.*--masks"),
    (f"{EGAT} --method.guide precomputedmask --data pets", r"needs tool masks.*--tool_masks"),
    (f"{EGAT} --method.guide precomputedmask", r"needs tool masks, and none of the \d+ training"),
    (f"{EGAT} --tool_masks sam", r"Expected no tool masks for Shortcut.*HumanMask"),
    (f"{EGAT} --data pets --tool_masks sma", r"folder of tool masks at 'sma'.*Did you mean 'sam'"),
    (
        f"{EGAT} --data pets --tool_masks sam/cat",
        r"Expected tool masks in 'sam/cat'.*belongs to no image",
    ),
    (f"{EGAT} --method.guide precomputdmask", r"no guide 'precomputdmask'.*'PrecomputedMask'"),
    (f"{EGAT} --method.guide dilated --method.guide.radious 1", r"Did you mean 'radius'"),
    (f"{EGAT} --method.guide dilated --method.guide.radius 2", r"radius is a share .* got 2"),
    (f"{EGAT} --method.guide dilated --method.guide.radius x", r"a number for method.guide.radius"),
    (f"{EGAT} --method.guide my_module.MyMasker", r"'MyMasker' in the.*under lookright.guides"),
    ("train --method align --method.guide.masker my_module.MyMaskr", r"Did you mean 'MyMasker'"),
    ("train --method align --method.guide.masker my_modul.MyMasker", r"no module 'my_modul'"),
    ("train --method align --method.guide humanmask", r"for ALIGN: expected one of LearnedMask"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "message"), BAD, ids=[line[6:66] for line, _ in BAD])
def test_bad_input_is_one_clear_line(lookright, line, message):
    code, err = lookright(f"{line} {FAST} --run run")
    assert code not in (0, None)
    errors = [text for text in err.splitlines() if text.startswith("error: ")]
    assert len(errors) == 1
    assert err.endswith(errors[0] + "\n")
    assert re.search(message, errors[0]), errors[0]
    assert not Path("run").exists()
