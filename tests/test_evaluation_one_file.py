"""What one more costs: a metric is one file, a stage one file and its template, and no entry."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

METRIC = '''
"""Is the saliency in the upper half?"""

from torch import Tensor

from lookright.metrics.findings import Levels
from lookright.metrics.measure import Measure
from lookright.metrics.metric import metric
from lookright.metrics.questions import LOOKS_AT_OBJECT

UPPER = Measure(
    "upper",
    "Upper half",
    True,
    "score",
    "Share of the saliency in the upper half.",
    question=LOOKS_AT_OBJECT,
    finding=Levels("How much is above", "Share of the explanation above", "looks up most"),
)


@metric(UPPER)
def upper_half(saliency: Tensor) -> Tensor:
    """(B,) in [0, 1]."""
    upper = saliency[:, : saliency.shape[1] // 2].sum((-2, -1))
    return upper / saliency.sum((-2, -1)).clamp_min(1e-12)
'''

JUDGED = """
import json, sys
from lookright.evaluation import Attacks, Explanations, Protocol, evaluate
from lookright.evaluation.table import read_table
from lookright.report import method_table, write_page
from tiny import Blobs, tiny_classifier

quick = (Attacks(1, 1, ()), Explanations(removal_steps=1))
folder = sys.argv[1]
result = evaluate(
    tiny_classifier(), Blobs(), folder, domains=["train"], train_domains=["train"],
    protocol=Protocol(stages=quick, limit=4), progress=False,
)
write_page([result.folder], f"{folder}/page.html")
told = result.domains["train"]
print(json.dumps({
    "measures": list(told.measures), "stages": list(told.stages),
    "declared": list(result.declared), "rows": list(read_table(result.folder)["train"]),
}))
"""


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """What an evaluation tells with three files more in the library, and its page."""
    root = tmp_path_factory.mktemp("grown")
    source = root / "lookright"
    shutil.copytree(ROOT / "src" / "lookright", source)
    (source / "metrics" / "upper.py").write_text(METRIC)
    for end in (".py", ".html.j2"):
        shutil.copy(ROOT / "tests" / f"own_stage{end}", source / f"evaluation/stages/mirrored{end}")
    done = subprocess.run(
        [sys.executable, "-c", JUDGED, str(root / "result")],
        env=os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), (root / "result" / "page.html").read_text()


def test_a_metric_is_one_file_and_reaches_result_table_page_and_sentence(grown):
    told, page = grown
    assert "upper" in told["measures"]
    assert {"upper", "upper@random", "upper@centre"} <= set(told["rows"])
    assert "upper" not in told["declared"]  # built in
    assert "Upper half" in page
    assert "How much is above, in “train”" in page
    assert "Share of the explanation above" in page


def test_a_stage_is_one_file_and_its_template(grown):
    told, page = grown
    assert "mirrored" in told["stages"]
    assert "accuracy_mirrored" in told["measures"]
    assert "same_when_mirrored" in told["rows"]
    assert "Mirrored accuracy" in page
    assert '<h2 id="mirrored">When mirrored</h2>' in page
