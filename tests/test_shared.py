"""What people share names nothing of the machine, and works where it is moved."""

import gzip
import platform
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import report_fixtures as fake
from lookright import cli
from lookright.evaluation.table import read_table, write_table
from lookright.models import SmallResNet
from lookright.report import read_result, write_page
from lookright.report.page import render
from test_cli import QUICK, write_pets
from test_report_page import ResultSet
from test_terminal import ACTING, MARKUP, acts
from tiny import newest

HOST = "host-of-somebody"
TRAIN = "train --method erm --test_domain sketch --image_size 32 --epochs 1 --batch_size 16 --run"


@pytest.fixture(scope="module", autouse=True)
def _narrow():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SmallResNet.__init__, "__defaults__", (4,))
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory, _narrow):
    """Two runs with results, a page and claims; of one the data are named by their full path."""
    root = tmp_path_factory.mktemp("home-of-somebody") / "project"
    write_pets(root / "pets", 8)
    for image in [*(root / "pets").rglob("*.png")]:
        mask = root / "masks" / image.relative_to(root / "pets")
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.tri(18, 20, dtype=np.uint8) * 255).save(mask)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("socket.gethostname", lambda: HOST)
        patch.chdir(root)
        cli.main(f"{TRAIN} runs/one --data pets --masks masks".split())
        cli.main(f"{TRAIN} runs/two --data {root}/pets".split())
        cli.main(f"evaluate runs/one runs/two --names a;b {QUICK} --page report.html".split())
        cli.main(["claim", "runs/one", "--n", "2", "--domain", "sketch"])
    return root


def test_nothing_that_is_shared_names_the_machine(made):
    files = [path for path in [*made.rglob("*")] if path.is_file() and path.suffix != ".png"]
    names = {path.name.partition(".")[0] for path in files}
    assert {"config", "result", "report", "claims", "events", "images", "versions"} <= names
    for path in files:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        for secret in ("home-of-somebody", HOST, platform.release()):
            assert secret.encode() not in content, path
            assert secret not in str(path.relative_to(made))


def test_a_project_that_is_moved_finds_its_images(made, tmp_path, monkeypatch):
    moved = tmp_path / "elsewhere"
    shutil.copytree(made, moved)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("lookright.data.folder.find_images", watched := Watched())
    cli.main(f"evaluate ../elsewhere/runs/one {QUICK} --domains sketch".split())
    assert watched.roots == [(moved / "pets").resolve()]


class Watched:
    """find_images, with the folders that it was asked for."""

    def __init__(self):
        from lookright.data.folder import find_images

        self.real, self.roots = find_images, []

    def __call__(self, root, *given, **more):
        self.roots.append(Path(root).resolve())
        return self.real(root, *given, **more)


def test_data_in_folders_of_one_name_are_told_apart(made, monkeypatch):
    monkeypatch.chdir(made)
    shutil.copytree("pets", "other/pets")
    cli.main(f"evaluate runs/one --data other/pets {QUICK} --domains sketch".split())
    assert newest("runs/one").config["judged"]["data"]["init_args"]["root"] == "pets"
    assert len([*Path("runs/one/results").iterdir()]) == 2


def odd(raw, name):
    """A result in which every name is odd."""
    domains = {f"{name} {key}": of for key, of in raw["domains"].items()}
    said = {"name": name, "about": name, "classes": [name, f"{name} 2"], "domains": domains}
    return {**raw, **said, "train_domain": [next(iter(domains))], "config": {name: {name: name}}}


@pytest.mark.parametrize("name", [*ACTING.values(), *MARKUP])
def test_no_name_acts_on_the_page(name, tmp_path, monkeypatch):
    raw = odd(fake.result_json("ERM"), name)
    folder = fake.write(tmp_path / "odd", raw)
    page = render(ResultSet.of([read_result(folder)]), name)
    plain = render(
        ResultSet.of([read_result(fake.write(tmp_path / "plain", odd(raw, "plain")))]), "a"
    )
    assert not acts(page)
    tags = re.compile(r"<(/?[a-z]+)", re.IGNORECASE)
    assert tags.findall(page) == tags.findall(plain)
    assert write_page([folder], tmp_path / "page.html").read_text("utf-8")


@pytest.mark.parametrize("name", ACTING.values(), ids=ACTING)
def test_no_name_acts_in_the_table_of_images(name, tmp_path):
    rows = {"image": np.array([f"{name}{at}" for at in range(3)]), "accuracy": np.ones(3)}
    write_table(tmp_path, {name: rows})
    assert not acts(gzip.decompress((tmp_path / "images.csv.gz").read_bytes()).decode())
    (found,) = read_table(tmp_path).values()
    assert len(set(found["image"])) == 3
