"""The table of families: every family of timm and torchvision, and what stands in the document."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import timm
import torchvision.models as tv

ROOT = Path(__file__).parent.parent
SMALL = ["test_byobnet", "test_coatnet", "test_mambaout", "test_nfnet", "test_vit"]


@pytest.fixture(scope="module")
def families() -> Any:
    path = ROOT / "benchmarks" / "families.py"
    spec = importlib.util.spec_from_file_location("families", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["families"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def table(families: ModuleType) -> dict[str, tuple[str, str, str]]:
    """Family, layer and layout of each member in the document."""
    text = (ROOT / "docs" / "models.md").read_text().split(families.START)[1]
    cells = re.findall(r"\| (.+) \| `(.+)` \| (.+) \| (.+) \|", text.split(families.END)[0])
    return {member: (family, layer.strip("`"), layout) for family, member, layer, layout in cells}


def test_no_family_is_left_out(families: ModuleType) -> None:
    names = {(family.library, family.name) for family in families.FAMILIES}
    assert names >= {("timm", name) for name in timm.list_modules()}
    builders = [tv.get_model_builder(name).__module__ for name in tv.list_models(module=tv)]
    assert names >= {("torchvision", builder.split(".")[-1]) for builder in builders}


def test_the_document_has_these_rows(
    families: ModuleType, table: dict[str, tuple[str, str, str]]
) -> None:
    assert {f.member: f"{f.library} {f.name}" for f in families.FAMILIES} == {
        member: family for member, (family, _, _) in table.items()
    }
    for family in families.FAMILIES:
        assert family.refused is (table[family.member][1] == "refused")


@pytest.mark.parametrize("member", SMALL)
def test_a_row_says_what_is_found(
    member: str, families: ModuleType, table: dict[str, tuple[str, str, str]]
) -> None:
    (family,) = [family for family in families.FAMILIES if family.member == member]
    layer, layout, gap = families.check(family)
    assert table[member] == (f"{family.library} {family.name}", layer, layout)
    assert gap < 1e-4
