"""What the project promises of its own files: ladder, wheel, lock, and no machine in them."""

import ast
import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from zipfile import ZipFile

import pytest
from hatchling.build import build_wheel
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import lookright

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "lookright"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def floors():
    """Each unit of the package (`cli`, `report`) with its floor, from the table in CONTRIBUTING."""
    table = {}
    for line in (ROOT / "CONTRIBUTING.md").read_text().splitlines():
        if row := re.match(r"\| (\d) \| (.+?) \|", line):
            for name in re.findall(r"`(\w+)(?:\.py|/)`", row[2]):
                table[name] = int(row[1])
    return table


def units():
    found = [entry for entry in SOURCE.iterdir() if entry.suffix == ".py" or entry.is_dir()]
    return {entry.stem for entry in found} - {"__init__", "__pycache__"}


def unit_of(path):
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_units(path):
    """The units that a file imports, at its head or within a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} is a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            unit = rest.partition(".")[0]
            if package == "lookright" and unit in units():
                yield unit


def test_every_unit_stands_on_one_floor():
    assert floors().keys() == units()


def test_imports_only_go_down_the_ladder():
    table, graph = floors(), {}
    for path in sorted(SOURCE.rglob("*.py")):
        unit = unit_of(path)
        others = set(imported_units(path)) - {unit}
        graph.setdefault(unit, set()).update(others)
        above = {other for other in others if table.get(other, 0) > table.get(unit, 9)}
        assert not above, f"{path.relative_to(ROOT)} imports, from floors above, {above}"
    TopologicalSorter(graph).prepare()


def test_files_are_small():
    lines = {path: len(path.read_text().splitlines()) for path in sorted(SOURCE.rglob("*.py"))}
    assert {path.name: count for path, count in lines.items() if count > 350} == {}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return ZipFile(folder / build_wheel(str(folder)))


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    sources = [path for path in SOURCE.rglob("*") if path.is_file()]
    assert packed == {
        path.relative_to(SOURCE.parent).as_posix()
        for path in sources
        if "__pycache__" not in path.parts
    }
    for name in ("py.typed", "report/template.html.j2", "report/style.css", "report/page.js"):
        assert f"lookright/{name}" in packed


def test_one_version_everywhere(wheel):
    (metadata,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    assert f"\nVersion: {lookright.__version__}\n" in wheel.read(metadata).decode()
    assert PROJECT["version"] == lookright.__version__
    assert lookright.__version__ in (ROOT / "CHANGELOG.md").read_text()
    try:
        assert version("lookright") == lookright.__version__
    except PackageNotFoundError:
        pytest.skip("lookright runs from its sources here, so no installed version to compare")


def requirements(extra=None):
    """All requirements of the project, or of an extra, those that an extra borrows included."""
    listed = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    for requirement in map(Requirement, listed):
        if requirement.name == "lookright":
            for borrowed in requirement.extras:
                yield from requirements(borrowed)
        else:
            yield requirement


def imported_packages(path):
    """The outermost packages that a file imports, or looks for by `find_spec`."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module]
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "find_spec":
            names = [each.value for each in node.args if isinstance(each, ast.Constant)]
        yield from (name.partition(".")[0] for name in names)


def test_what_is_imported_is_declared_and_nothing_else():
    found = {name for path in SOURCE.rglob("*.py") for name in imported_packages(path)}
    outside = found - set(sys.stdlib_module_names) - {"lookright"}
    homes = packages_distributions()
    named = {canonicalize_name(each) for name in outside for each in homes[name]}
    extras = ("captum", "datasets", "ray", "tensorboard")
    declared = {each.name for extra in (None, *extras) for each in requirements(extra)}
    assert {canonicalize_name(name) for name in declared} == named


HOLES = {
    "jinja2": "3.1.5",  # CVE-2025-27516
    "lightning": "2.6.3",  # GHSA-w37p-236h-pfx3
    "pillow": "12.2.0",  # PYSEC-2026-2253 to 2257, 3451 to 3453
    "pyyaml": "5.3.1",  # CVE-2020-14343
    "torch": "2.10.0",  # CVE-2026-24747 (before 2.10), PYSEC-2026-139
}
"""The last version of each with a known hole that concerns files from elsewhere."""


@pytest.mark.parametrize("name", HOLES)
def test_versions_with_known_holes_are_not_allowed(name):
    (floor,) = [each for each in requirements() if each.name == name]
    assert not floor.specifier.contains(HOLES[name])


def test_the_versions_of_the_oldest_machine_are_allowed():
    for name, version_there in {"torch": "2.11.0", "torchvision": "0.26.0"}.items():
        (floor,) = [each for each in requirements() if each.name == name]
        assert floor.specifier.contains(version_there)


def test_the_lock_pins_and_hashes_every_requirement():
    pinned = {}
    for entry in re.split(r"\n(?=[a-z])", (ROOT / "requirements-dev.lock").read_text().strip()):
        pin = re.match(r"([a-z0-9.-]+)==(\S+)", entry)
        assert pin, entry.splitlines()[0]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), pin[1]
        pinned.setdefault(pin[1], []).append(pin[2])
    for requirement in (*requirements(), *requirements("dev")):
        for one in pinned[canonicalize_name(requirement.name)]:
            assert requirement.specifier.contains(one), f"{requirement} but the lock has {one}"


def test_no_file_names_a_machine_or_a_registry():
    folders = "|".join(("work", "root", "tmp", "home"))
    hosts = "|".join((r"pypi\.", r"pythonhosted\.", r"download\.pytorch"))
    pattern = rf"(^|[^[:alnum:]_./*>~-])/({folders})(/|\b)|({hosts})org"
    command = ["git", "-C", str(ROOT), "grep", "-nIE", pattern]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode > 1:
        pytest.skip("not a git checkout")
    assert found.stdout == ""
