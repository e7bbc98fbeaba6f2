"""The figures that papers print, as they are kept here."""

from dataclasses import fields
from statistics import fmean

import pytest

from lookright.benchmark.published import AVERAGE, SOURCES, every, published_for
from lookright.data.sets import published_set
from lookright.errors import UserError

ALL = list(every())
IDS = [f"{one.source.name} {one.data_set} {one.measure.key}" for one in ALL]
PRINTED = [
    ("DomainBed", "VLCS", "accuracy", "CORAL", "LabelMe", "66.1"),
    ("DomainBed", "PACS", "accuracy", "ERM", "average", "85.5"),
    ("DomainBed", "Office-Home", "accuracy", "Mixup", "Real World", "78.3"),
    ("DomainBed", "Terra Incognita", "accuracy", "IRM", "L100", "54.6"),
    ("ALIGN", "VLCS", "accuracy", "ALIGN", "SUN09", "82.54"),
    ("ALIGN", "VLCS", "auc", "DRE", "VOC2007", "77.41"),
    ("ALIGN", "Terra Incognita", "accuracy", "ERM", "L43", "76.35"),
]


@pytest.mark.parametrize("one", ALL, ids=IDS)
def test_printed_averages_are_those_of_the_printed_figures(one):
    """Each figure is rounded to a tenth, and so is the average: together at most 0.1 apart."""
    for method, of in one.figures.items():
        if AVERAGE not in of:
            assert one.source.name == "ALIGN"
            continue
        values = [float(of[domain].value) for domain in one.domains if domain != AVERAGE]
        assert len(values) == 4
        assert fmean(values) == pytest.approx(float(of[AVERAGE].value), abs=0.1001), method


@pytest.mark.parametrize("one", ALL, ids=IDS)
def test_figures_are_per_cents_as_printed(one):
    assert len(one.figures) >= 3
    for of in one.figures.values():
        for figure in of.values():
            assert 20 < float(figure.value) < 100
            assert (figure.error != "") == (one.source.error != "")
            assert figure.error == "" or 0 <= float(figure.error) < 5


@pytest.mark.parametrize(("source", "data_set", "key", "method", "domain", "value"), PRINTED)
def test_figures_as_seen_in_the_source(source, data_set, key, method, domain, value):
    (one,) = [
        each
        for each in published_for(data_set)
        if (each.source.name, each.measure.key) == (source, key)
    ]
    assert one.figures[method][domain].value == value


@pytest.mark.parametrize("one", ALL, ids=IDS)
def test_sets_and_domains_have_the_names_of_the_prepared_folders(one):
    published = published_set(one.data_set)
    assert one.data_set == published.title
    assert {*one.domains} - {AVERAGE} <= {*published.domains}


def test_the_methods_of_domainbed():
    methods = {"ERM", "IRM", "GroupDRO", "Mixup", "CORAL", "VREx", "RSC"}
    found = [one for one in ALL if one.source.name == "DomainBed"]
    assert {one.data_set for one in found} == {"VLCS", "PACS", "Office-Home", "Terra Incognita"}
    assert all(set(one.figures) == methods and len(one.domains) == 5 for one in found)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_every_source_says_where_and_how(source):
    empty = {one.name for one in fields(source) if not getattr(source, one.name)}
    assert empty <= {"error"}
    assert "arXiv" in source.citation


@pytest.mark.parametrize("name", ["terra_incognita", "TerraIncognita", "office-home", "vlcs"])
def test_a_data_set_is_found_however_it_is_written(name):
    assert published_for(name)


def test_an_unknown_data_set():
    with pytest.raises(UserError, match="VLCS, PACS, Office-Home, Terra Incognita"):
        published_for("CIFAR10")
