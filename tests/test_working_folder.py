"""Files that lie in the working folder run only where the user has named them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest
import torch
import yaml
from PIL import Image

from lookright.errors import UserError
from lookright.imports import working_folder
from lookright.report import explanation_figure
from lookright.spec.place import PROGRAMS
from lookright.versions import versions
from test_cli_options import values

SOURCE = Path(__file__).parent.parent / "src"
VERBS = """
import importlib.util
import sys
from importlib.machinery import PathFinder
from pathlib import Path

sys.path[:0] = {path!r}
planted = set()

class Planter:
    '''Puts a module that leaves a mark where a library looks for one that is not installed.'''

    @staticmethod
    def find_spec(name, path=None, target=None):
        libraries = [each for each in sys.path if each not in ("", {folder!r})]
        known = name in sys.builtin_module_names or PathFinder.find_spec(name, libraries)
        if path is None and not known and name.isidentifier():
            planted.add(name)
            Path({folder!r}, name + ".py").write_text({marking!r})
            importlib.invalidate_caches()

sys.meta_path.insert(0, Planter)

from lookright import cli, errors
from lookright.data import Shortcut
from lookright.models import SmallResNet

def stop(*given, **options):
    raise errors.UserError("far enough")

from lookright.verbs import demo, study

demo.compare = study.compare = stop
keys = Shortcut.keys
Shortcut.keys = lambda self, domain: keys(self, domain)[:40]
SmallResNet.__init__.__defaults__ = (4,)
train = "train --epochs 1 --batch_size 20 --method at --method.attack pgd --method.attack.steps 1"
for line in [
    f"{{train}} --run run",
    f"{{train}} --run other --model resnet10t --awp 0.01",
    f"{{train}} --run another --model torchvision/squeezenet1_1 --image_size 40",
    "evaluate run --protocol.limit 2 --thorough --domains train",
    "report run",
    "explain run a.png --explainer captum --explainer.make Saliency",
    "claim run --n 2 --perturbation corrupted",
    "evaluate run --data saved",
    "demo --epochs 1",
    "study masks --epochs 1",
]:
    try:
        cli.main(line.split())
        print('ended', 0, line)
    except SystemExit as end:
        print('ended', end.code, line)
print("planted", *sorted(planted))
"""


def python(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env=kept | {"OMP_NUM_THREADS": "1", **environment},
    )


@pytest.fixture
def here(tmp_path):
    folder = tmp_path / "unpacked"
    folder.mkdir()
    (folder / "saved").mkdir()
    for name in ("state.json", "dataset_info.json"):
        (folder / "saved" / name).write_text("{}")
    Image.new("RGB", (16, 16), (90, 9, 9)).save(folder / "a.png")
    return folder


def marking(folder: Path) -> str:
    """The text of a module that says in a file outside the folder that it was run."""
    return f"open({str(folder.parent / 'mark')!r}, 'a').write(__name__ + ' ')\n"


def marks(folder: Path) -> str:
    mark = folder.parent / "mark"
    return mark.read_text() if mark.exists() else ""


def test_no_verb_runs_a_file_that_nobody_named(here):
    """With every module planted that a library looks for in vain, whatever its name."""
    script = here.parent / "bin" / "verbs.py"
    script.parent.mkdir()
    text = marking(here) + "raise ImportError('planted')"
    script.write_text(VERBS.format(path=[str(SOURCE)], folder=str(here), marking=text))
    ended = python(here, str(script))
    *said, planted = ended.stdout.splitlines()
    codes = [int(line.split()[1]) for line in said if line.startswith("ended ")]
    assert codes == [0] * 7 + [1] * 3, ended.stderr
    assert {"apex", "jax", "onnx", "regex", "tensorflow", "wandb", "winreg"} <= {*planted.split()}
    assert marks(here) == ""


LIBRARIES = ("json", "lightning", "numpy", "rich", "timm", "torch", "yaml")
OPTIONAL = ("apex", "jax", "regex", "tensorflow", "wandb")
MAIN = "from lookright.__main__ import main; main()"
NET = """
import helper
import torchaudio

def net(n):
    import late
    return late.net(n)
"""
LATE = "from torch import nn\ndef net(n): return nn.Sequential(nn.Flatten(), nn.Linear(3072, n))"


@pytest.mark.parametrize(
    ("entry", "planted"),
    [
        (("-m", "lookright"), (*LIBRARIES, *OPTIONAL)),
        (("-P", "-m", "lookright"), (*LIBRARIES, *OPTIONAL, "pkgutil", "typing")),
        (("-c", MAIN), OPTIONAL),
    ],
    ids=["module", "module without path", "text"],
)
def test_however_it_is_started_what_the_user_names_is_found(here, entry, planted):
    """A network of one's own and what it imports, but no file that only lies there."""
    for name in planted:
        (here / f"{name}.py").write_text(marking(here))
    for name, text in {"mine": NET, "late": LATE, "helper": "", "torchaudio": ""}.items():
        (here / f"{name}.py").write_text(marking(here) + text)
    (here / "names").write_text("cat\ndog\n")
    line = "explain mine:net a.png --image_size 32 --classes names --explainer inputgradient"
    ended = python(here, *entry, *line.split(), PYTHONPATH=str(SOURCE))
    assert ended.returncode == 0, ended.stderr
    assert marks(here).split() == ["mine", "helper", "torchaudio", "late"]


def test_the_path_of_the_user_is_his_own(here):
    (here / "rich.py").write_text(marking(here))
    ended = python(here, "-m", "lookright", "--version", PYTHONPATH=f"{here}{os.pathsep}{SOURCE}")
    assert "rich" in ended.stderr
    assert marks(here) == "rich "


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_a_repository_around_the_package_starts_nothing(here, monkeypatch):
    """As where the environment lies in a folder that somebody sent."""
    (here / "versions.py").write_text("")
    name = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    for of in (("init", "-q"), ("add", "."), (*name, "commit", "-qm", "x")):
        subprocess.run(["git", *of], cwd=here, check=True)
    watch = f"touch {here.parent / 'mark'}; false"
    subprocess.run(["git", "config", "core.fsmonitor", watch], cwd=here, check=True)
    monkeypatch.setattr("lookright.versions.__file__", str(here / "versions.py"))
    assert versions()["revision"]
    assert not (here.parent / "mark").exists()


def test_a_matplotlibrc_of_the_folder_changes_no_figure(here):
    rc = {"text.usetex": True, "axes.facecolor": "red", "font.size": 40}
    image, heat, chances = torch.rand(3, 8, 8), torch.rand(8, 8), torch.tensor([0.1, 0.9])
    given = {
        "image": image,
        "attacked": image,
        "saliency": heat,
        "saliency_attacked": heat,
        "classes": ("a", "b"),
        "probabilities": chances,
        "probabilities_attacked": chances,
    }
    plain = explanation_figure(here / "plain.png", **given).read_bytes()
    with matplotlib.rc_context(rc):
        assert explanation_figure(here / "other.png", **given).read_bytes() == plain
        assert matplotlib.rcParams["font.size"] == 40


@pytest.fixture
def own(here, monkeypatch):
    """A module in the working folder that leaves a mark where it is imported."""
    (here / "hostile.py").write_text(
        marking(here)
        + "from torch import nn\n"
        + "from lookright.explainers import GradCAM\n"
        + "from lookright.evaluation import Answers\n"
        + "from lookright.guides import GreyLevel\n"
        + "def net(n=0): raise RuntimeError('called')\n"
        + "class Guide(GreyLevel): pass\nclass Map(GradCAM): pass\nclass Own(Answers): pass\n"
    )
    monkeypatch.chdir(here)
    yield here
    sys.modules.pop("hostile", None)


NAMED = [
    ("train", {"method": {"class_path": "EGAT", "init_args": {"guide": "hostile.Guide"}}}),
    ("train", {"method": {"class_path": "hostile.Guide", "init_args": {}}}),
    ("train", {"method": {"import": "hostile.net"}}),
    ("train", {"method": {"import": "os.system"}}),
    ("train", {"method.guide": "hostile.Guide"}),
    ("train", {"model": "hostile:net"}),
    ("train", {"model": "os:fork"}),
    ("train", {"augment": "hostile.net"}),
    ("explain r a.png", {"explainer": "hostile.Map"}),
    ("explain r a.png", {"explainer": "subprocess.Popen"}),
    *(
        ("explain r a.png", {"attack": {"class_path": "WorstCase", "init_args": {"attacks": each}}})
        for each in (["hostile.A"], "[hostile.A]", {"hostile.A": {}}, "hostile.A,hostile.A")
    ),
    ("evaluate r", {"protocol": {"stages": ["hostile.Own"]}}),
    ("evaluate r", {"protocol": {"metrics": ["hostile.net"]}}),
    ("evaluate", {"models": ["hostile:net"]}),
    ("evaluate", {"models": "hostile:net,hostile:net"}),
    ("evaluate r", {"masker": "hostile.Guide"}),
    ("evaluate", {"models": ["hostile.pt2", "r"]}),
    ("claim r", {"against": "hostile:net"}),
    ("report r", {"stages": ["hostile.Own"]}),
]  # fmt: skip


@pytest.mark.parametrize(("line", "config"), NAMED, ids=[str(config) for _, config in NAMED])
def test_a_config_runs_no_code_that_it_names(own, line, config):
    (own / "a.yaml").write_text(yaml.safe_dump(config))
    with working_folder(), pytest.raises(UserError) as caught:
        values(f"{line} --config a.yaml")
    assert "\n" not in str(caught.value)
    assert marks(own) == ""


def test_a_trusted_config_and_the_user_name_code_of_their_own(own):
    (own / "a.yaml").write_text("model: hostile:net\nmethod: {class_path: EGAT}")
    guide = "--method.guide hostile.Guide"
    with working_folder():
        with pytest.raises(UserError, match=r"function hostile:net.*command line.*--trust_config"):
            values(f"train --config a.yaml {guide}")
        assert marks(own) == ""
        named = values(f"train --config a.yaml {guide} --model hostile:net")
        trusted = values("train --trust_config --config a.yaml")
        assert values("train --model hostile:net")["model"] == "hostile:net"
    assert type(named["method"].keywords["guide"]).__name__ == "Guide"
    assert (named["model"], trusted["model"]) == ("hostile:net", "hostile:net")
    assert marks(own) == "hostile "


def test_a_config_may_name_what_is_installed(own, monkeypatch):
    room = own.parent / "site-packages"
    room.mkdir()
    (own / "hostile.py").rename(room / "hostile.py")
    (own / "a.yaml").write_text("explainer: hostile.Map")
    monkeypatch.syspath_prepend(room)
    with pytest.raises(UserError, match="no part of an installed package"):
        values("explain r a.png --config a.yaml")
    monkeypatch.setattr("site.getsitepackages", lambda: [str(room)])
    assert type(values("explain r a.png --config a.yaml")["explainer"]).__name__ == "Map"


def test_the_page_on_safety_names_what_is_code():
    page = (SOURCE.parent / "docs" / "safety.md").read_text()
    (code,) = [line for line in page.splitlines() if line.startswith("| exported programs")]
    assert set(re.findall(r"`(\.\w+)`", code)) == {*PROGRAMS, ".py"}
    assert "| no |" in code
    for told in ("--trust_config", "./resnet18", "python -P -m lookright", "matplotlibrc"):
        assert f"`{told}`" in page
