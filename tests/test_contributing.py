"""The worked examples of CONTRIBUTING: what it says is all that has to be written."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import lookright
from lookright.models import build_model, save_classifier

TESTS = Path(__file__).parent
TEXT = (TESTS.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")

JUDGED = """
from pathlib import Path
from rich.console import Console
from lookright.evaluation import Protocol, evaluate
from lookright.evaluation.stages.attacks import Attacks
from lookright.evaluation.stages.explanations import Explanations
from lookright.report import difference_table, method_table, read_result, write_page
from tiny import Blobs, tiny_classifier

stages = Attacks(steps=1, restarts=1, curve=()), Explanations(fills=("mean",), removal_steps=2)
home = Path("home")
for seed in (0, 1):
    evaluate(
        tiny_classifier(seed), Blobs(12), save=home / str(seed), name=f"M{seed}",
        domains=("train",), train_domains=("train",),
        protocol=Protocol(stages=stages, examples=2), progress=False,
    )
folders = [home / "0", home / "1"]
results = [read_result(folder) for folder in folders]
console = Console(width=120)
console.print(method_table(results))
console.print(difference_table(results))
write_page(folders, home / "page.html")
"""


def example(name):
    """The files that a worked example writes, by path, and its row of the tests' table."""
    part = TEXT.split(f"### Example: {name}\n")[1].split("\n## ")[0].split("\n### ")[0]
    written = r"\*\*(\S+)\*\* in `src/(\S+)`:\n\n```\w+\n(.*?)```"
    files = {folder + file: text for file, folder, text in re.findall(written, part, re.DOTALL)}
    (row,) = re.findall(r"`tests/\S+`:\n\n```text\n(.*?)```", part, re.DOTALL) or [""]
    return files, row


@pytest.fixture
def grown(tmp_path):
    """Writes an example into a copy of the package, and runs Python there."""

    def run(files, *arguments):
        source = tmp_path / "src"
        shutil.copytree(Path(lookright.__file__).parent, source / "lookright")
        for path, text in files.items():
            (source / path).write_text(text, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env={"PYTHONPATH": f"{source}:{TESTS}", "PATH": "", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_a_metric_is_one_file_and_reaches_table_page_and_sentence(grown, tmp_path):
    files, row = example("a metric")
    assert len(files) == 1
    printed = grown(files, "-c", JUDGED)
    assert "Compactness" in printed.split("Domain, method")[1]
    assert "Compactness, M0 minus M1" in printed
    html = (tmp_path / "home" / "page.html").read_text(encoding="utf-8")
    assert 'data-key="compactness"' in html
    assert "Share of the explanation in its most salient tenth: <b>M0</b>" in html
    rows = re.findall(r'<tr class="baseline">.*?</tr>', html, re.DOTALL)
    assert any("A random map" in row for row in rows)
    assert row.count("\n") == 1


def test_the_row_of_the_metric_holds_it_to_the_laws(grown, tmp_path):
    files, row = example("a metric")
    laws = (TESTS / "test_metrics_laws.py").read_text(encoding="utf-8")
    laws = laws.replace("MEASURES = {\n", f"MEASURES = {{\n{row}", 1)
    own = "from lookright.metrics.compactness import compactness\n"
    (tmp_path / "test_laws.py").write_text(own + laws, encoding="utf-8")
    flags = ("-q", "-p", "no:cacheprovider", "-k", "compactness", "test_laws.py")
    assert "passed" in grown(files, "-m", "pytest", *flags).splitlines()[-1]


def test_a_stage_is_one_file_and_one_template_and_has_its_pictures(grown, tmp_path):
    files, _ = example("a stage with pictures on the page")
    assert sorted(Path(path).suffix for path in files) == [".j2", ".py"]
    grown(files, "-c", JUDGED)
    html = (tmp_path / "home" / "page.html").read_text(encoding="utf-8")
    assert 'data-key="same_mirrored"' in html
    assert ">Same when mirrored <" in html
    section = html.split('<h2 id="mirrored">')[1].split("</section>")[0]
    assert re.findall(r"<figcaption>(.*?)</figcaption>", section) == ["M0 in train", "M1 in train"]
    assert section.count("data:image/png") == 4


def test_a_verb_is_one_file(grown, tmp_path):
    files, _ = example("a verb")
    assert len(files) == 1
    torch.manual_seed(0)
    save_classifier(build_model("small_resnet", ("cat", "dog"), 32), tmp_path / "pets.safetensors")
    cli = "from lookright.cli import main; "
    lines = ["--help", "classes --help", "classes pets.safetensors --numbered"]
    code = cli + "; ".join(f"main({line.split()})" for line in lines)
    printed = grown(files, "-c", code)
    assert "classes   list the classes of a model, one per line." in printed
    assert "put the number of each before it. (switch)" in printed
    assert printed.endswith("0 cat\n1 dog\n")
