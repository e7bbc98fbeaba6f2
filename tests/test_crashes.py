"""A test that ends its process is named, and its run ends as any that fails."""

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SETTINGS = TESTS.parent / "pyproject.toml"
CRASHES = """
import os


def test_before():
    pass


def test_crashes():
    os.abort()


def test_after():
    pass
"""


@pytest.mark.parametrize("files", [1, 5])
def test_a_crashed_worker_is_told_by_its_test_s_name(files, tmp_path):
    (tmp_path / "pyproject.toml").write_text(SETTINGS.read_text())
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "conftest.py").write_text("from scheduling import *\n")
    (tmp_path / "tests" / "scheduling.py").write_text((TESTS / "scheduling.py").read_text())
    for number in range(files):
        (tmp_path / "tests" / f"test_{number}.py").write_text(CRASHES)
    command = [sys.executable, "-m", "pytest", "-n", "3", "-p", "no:cacheprovider"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ended.returncode == pytest.ExitCode.TESTS_FAILED, ended.stdout
    assert "crashed while running 'tests/test_0.py::test_crashes'" in ended.stdout
    assert "INTERNALERROR" not in ended.stdout + ended.stderr
