"""The benchmarks in examples/: each is read, and lists its jobs on a folder of its domains."""

from pathlib import Path

import pytest
import yaml

from lookright import cli
from lookright.benchmark import read_benchmark
from lookright.benchmark.check import check
from lookright.benchmark.selection import rows
from lookright.data.sets import SETS, published_set
from lookright.models import build_model
from planted import planted, planted_masks

EXAMPLES = sorted(
    path
    for path in (Path(__file__).parent.parent / "examples").glob("*.yaml")
    if "methods" in yaml.safe_load(path.read_text())
)
PRESETS = {"pacs", "office_home", "vlcs", "terra_incognita"}


@pytest.fixture(scope="module", params=EXAMPLES, ids=lambda path: path.stem)
def example(request, tmp_path_factory):
    """The benchmark, its rows on planted images, and these."""
    found = read_benchmark(request.param)
    folder = tmp_path_factory.mktemp("data")
    domains = found.domains or ("",)
    images = planted(folder / found.data.images, domains, n=30)
    if found.data.masks:
        planted_masks(folder / found.data.masks, images)
    weights = folder / "weights.safetensors"
    weights.touch()
    given = weights if found.weights else None
    found = found.located(request.param.parent, None if found.data.built_in else folder, given)
    data = found.load()
    return request.param.stem, found, rows(found, found.grid(data, "")), data


def test_its_jobs_are_listed(example):
    name, found, listed, _ = example
    cells = len(found.only or found.domains) or 1
    assert len(listed) == len(found.methods) * cells * len(found.all_seeds)
    jobs = [row.evaluation(row.trials[0]) for row in listed]
    assert len({job.place(Path("out")).about for job in jobs}) == len(jobs)
    for job in jobs:
        assert job.training.settings.epochs
        assert set(job.training.domains) <= set(job.domains)
        assert (job.training.settings.preset != "") == (name in PRESETS)


def test_its_domains_are_those_of_the_published_figures(example):
    name, found, *_ = example
    assert [published_set(each) for each in found.published] == (
        [SETS[name]] if name in PRESETS else []
    )
    if found.published:
        assert sorted(found.domains) == sorted(SETS[name].domains)


def test_its_methods_fit_the_model_and_the_images(example, tmp_path, monkeypatch):
    """Each is tried as before the first job, with untrained weights; the large networks of the
    published figures make way for one that takes no time."""

    def quick(name, classes, *given):
        return build_model(name if name == "efficientnet_lite0" else "small_resnet", classes, 32)

    monkeypatch.setattr("lookright.jobs.training.build_model", quick)
    _, found, listed, data = example
    assert [row.name for row in listed[: len(found.methods)]] == list(found.methods)
    check(found, listed, data, tmp_path)


def test_the_header_says_how_it_is_run():
    for path in EXAMPLES:
        line = path.read_text().splitlines()[0]
        assert line.startswith("# lookright ")
        verb, *words = line.removeprefix("# lookright ").split()
        named = [*(["masks", "--like"] if verb == "study" else []), f"examples/{path.name}"]
        assert words[: len(named)] == named
        made = getattr(cli.import_module(f"lookright.verbs.{verb}"), verb)
        list(cli.Options(made).pairs(words))


def test_the_documents_list_every_example():
    page = (Path(__file__).parent.parent / "docs" / "benchmark.md").read_text()
    assert EXAMPLES
    assert all(f"`{path.name}`" in page for path in EXAMPLES)
