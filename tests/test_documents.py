"""The documents say what is so: their Python runs, their commands and files exist."""

import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest

from lookright import cli
from lookright.models import SmallResNet

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
every_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix()
)
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WITH_PYTHON = [path for path in DOCUMENTS if BLOCK.search(path.read_text())]


@pytest.mark.parametrize("document", WITH_PYTHON, ids=lambda path: path.name)
def test_python_runs_from_top_to_bottom(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(SmallResNet.__init__, "__defaults__", (4,))  # narrow, to be quick
    text, module = document.read_text(), ModuleType("document")
    monkeypatch.setitem(sys.modules, "document", module)  # as a script's own parts are importable
    for block in BLOCK.finditer(text):
        line = text.count("\n", 0, block.start(1))
        exec(compile("\n" * line + block[1], document, "exec"), vars(module))


@every_document
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\((?!https?://|#)([^)#\s]+)", document.read_text()):
        assert (document.parent / target).exists(), target


def anchors(document: Path) -> set[str]:
    """The names that a reader's browser gives to the headings."""
    text = re.sub(r"(?ms)^```.*?^```$", "", document.read_text())
    return {
        re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"(?m)^#+ (.+)$", text)
    }


@every_document
def test_links_lead_to_headings(document):
    for target, anchor in re.findall(
        r"\]\((?!https?://)([^)#\s]*)#([^)\s]+)\)", document.read_text()
    ):
        where = document.parent / target if target else document
        assert anchor in anchors(where), f"{target}#{anchor}"


@every_document
def test_files_named_exist(document):
    text = document.read_text()
    in_project = r"(?:src|tests|docs|examples|benchmarks|\.ci)/[\w./-]*\w"
    for name in re.findall(rf"(?<![\w/.-]){in_project}", text):
        assert (ROOT / name).exists(), name


def test_files_named_in_contributing_exist_in_the_package():
    for name in re.findall(r"`([\w/]+\.\w+)`", (ROOT / "CONTRIBUTING.md").read_text()):
        assert (ROOT / name).exists() or (ROOT / "src" / "lookright" / name).exists(), name


def test_ci_runs_the_tests_by_the_readme():
    readme = (ROOT / "README.md").read_text().splitlines()
    commands = [line.strip() for line in readme if "pytest" in line]
    assert commands == ["pip install '.[test]' && pytest"]
    assert "&& pytest$' README.md" in (ROOT / ".ci" / "run").read_text()


def commands():
    """(document, arguments) of each `lookright <verb> ...` in a code line or between backticks."""
    for path in DOCUMENTS:
        text = BLOCK.sub("", path.read_text()).replace("\\\n", " ")
        code = re.findall(r"^ {4,}(.*)$", text, re.MULTILINE) + re.findall(r"`([^`\n]+)`", text)
        code += "\n".join(re.findall(r"^```\w*\n(.*?)^```$", text, re.M | re.S)).splitlines()
        for line in code:
            for part in re.split(r"&&|;", line.partition(" #")[0]):
                command = part.strip().removeprefix("$ ")
                if re.match(r"lookright [a-z]", command):
                    yield path, shlex.split(command)[1:]


@pytest.mark.parametrize(
    ("document", "arguments"),
    list(commands()),
    ids=lambda value: " ".join(value) if isinstance(value, list) else value.name,
)
def test_the_command_line_understands(document, arguments):
    if len(arguments) == 1:
        assert arguments[0] in cli.verbs()
    else:
        cli.run([*arguments, "--print_config"])
