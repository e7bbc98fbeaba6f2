"""The values of every image: each survives to the last bit, and pandas reads them."""

import csv
import gzip
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from lookright.errors import UserError
from lookright.evaluation import Attacks, Corruptions, evaluate
from lookright.evaluation.column import Column
from lookright.evaluation.result import read_result
from lookright.evaluation.table import FILE, read_table, write_table
from lookright.named import name_of
from lookright.statistics.intervals import mean, rate
from models_for_tests import BrokenError
from test_evaluation import ChannelMeans, Killed, Margins, judge, protocol
from test_evaluation_masker import Rows
from test_evaluation_stages import GIVEN, learned  # noqa: F401
from tiny import Blobs, tiny_classifier

AWKWARD = {
    "image": np.array(['a, "b"', "line\nbreak", "ünder/1"]),
    "label": np.array([0, 1, 2]),
    "predicted": np.array([2, 1, 0]),
    "third": np.array([1 / 3, np.float32(1 / 3), 5e-324]),
    "gap": np.array([np.nan, np.inf, -np.inf]),
    "whole": np.array([1e22, -0.0, 2.0]),
    "sure": np.array([True, False, True]),
}


def same(one, other):
    return one.keys() == other.keys() and all(
        np.array_equal(one[name], other[name], equal_nan=one[name].dtype.kind == "f")
        for name in one
    )


def test_every_value_survives_to_the_last_bit(tmp_path):
    other = {name: AWKWARD[name] for name in ("image", "label", "predicted")}
    write_table(tmp_path, {"here": AWKWARD, "there, too": other | {"own": np.array([0.1, 2, 3])}})
    found = read_table(tmp_path)
    assert list(found) == ["here", "there, too"]
    assert same(found["here"], AWKWARD | {"sure": np.array([1.0, 0.0, 1.0])})
    assert found["there, too"].keys() == {"image", "label", "predicted", "own"}
    assert found["here"]["label"].dtype == np.int64
    first = (tmp_path / FILE).read_bytes()
    write_table(tmp_path, {"here": AWKWARD, "there, too": other | {"own": np.array([0.1, 2, 3])}})
    assert (tmp_path / FILE).read_bytes() == first  # whenever it is written


def test_any_reader_of_csv_reads_it(tmp_path):
    write_table(tmp_path, {"here": AWKWARD})
    with gzip.open(tmp_path / FILE, "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == AWKWARD["image"].tolist()
    assert [row["gap"] for row in rows] == ["", "inf", "-inf"]
    assert [row["sure"] for row in rows] == ["1", "0", "1"]
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(tmp_path / FILE)
    assert frame["third"].tolist() == pytest.approx(AWKWARD["third"].tolist(), rel=1e-15)
    assert frame["image"].tolist() == AWKWARD["image"].tolist()


@pytest.mark.parametrize(
    "content",
    [b"", b"not gzip", gzip.compress(b"domain,label\nx,y\n")],
    ids=["empty", "not gzip", "other columns"],
)
def test_a_damaged_table_is_one_clear_line(tmp_path, content):
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(UserError, match="evaluate the model again") as raised:
        read_table(tmp_path)
    assert "\n" not in str(raised.value)


def test_no_table_is_one_clear_line(tmp_path):
    with pytest.raises(UserError, match=r"images\.csv\.gz"):
        read_table(tmp_path)


def test_the_figures_of_a_result_follow_from_its_table(tmp_path, learned):  # noqa: F811
    result = judge(tmp_path, learned, Blobs(image_size=32), GIVEN, domains=["train", "other"])
    table = read_table(tmp_path)
    compared = 0
    for domain, here in result.domains.items():
        rows = table[domain]
        assert len(rows["image"]) == len(set(rows["image"])) == here.n
        for name, of in {"": here.measures, **here.baselines}.items():
            for key, estimate in of.items():
                column = rows.get(f"{key}@{name}" if name else key)
                if column is not None:
                    known = column[~np.isnan(column)]
                    assert estimate.n == len(known)
                    assert estimate.value == pytest.approx(known.mean(), abs=1e-6), key
                    compared += 1
        assert (rows["accuracy"] == (rows["label"] == rows["predicted"])).all()
        for point in Corruptions.of(here):
            right = rows[f"right_{point.family}_{point.severity}"]
            assert point.accuracy == rate(torch_of(right) > 0)
            stays = rows[f"stability_{point.family}_{point.severity}"]
            assert point.stability.value == pytest.approx(mean(torch_of(stays)).value, abs=1e-6)
        for point in Attacks.of(here).curve:
            assert point.accuracy.value == rows[f"robust_to_{point.eps}"].mean()
    assert compared > 100
    assert not any(name.startswith(("logits", "deletion_curve")) for name in rows)


def torch_of(values):
    import torch

    return torch.from_numpy(values)


def test_a_resumed_evaluation_keeps_the_rows_of_before(tmp_path):
    domains = {"domains": ["train", "other"]}
    with pytest.raises(BrokenError):
        judge(tmp_path / "cut", data=Killed("other"), **domains)
    before = read_table(tmp_path / "cut")
    assert list(before) == ["train"]
    judge(tmp_path / "cut", data=Killed("train"), **domains)
    judge(tmp_path / "whole", **domains)
    assert (tmp_path / "cut" / FILE).read_bytes() == (tmp_path / "whole" / FILE).read_bytes()
    assert same(read_table(tmp_path / "cut")["train"], before["train"])


def test_a_result_without_its_table_is_made_anew(tmp_path):
    judge(tmp_path, domains=["other"])
    (tmp_path / FILE).unlink()
    judge(tmp_path, domains=["other"])
    assert read_table(tmp_path).keys() == {"other"}


@pytest.mark.parametrize("stopped", ["write_examples", "write_table", "write_result"])
def test_a_stopped_replacement_leaves_no_result_beside_another_table(
    tmp_path, monkeypatch, stopped
):
    judge(tmp_path, tiny_classifier(0), Blobs(), domains=["other"])
    with monkeypatch.context() as patch:
        home = sys.modules["lookright.evaluation.evaluate"]
        patch.setattr(home, stopped, lambda *given: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            judge(tmp_path, tiny_classifier(1), Blobs(), domains=["other"], overwrite=True)
    judge(tmp_path, tiny_classifier(0), Blobs(), domains=["other"])
    judge(tmp_path / "again", tiny_classifier(0), Blobs(), domains=["other"])
    assert (tmp_path / FILE).read_bytes() == (tmp_path / "again" / FILE).read_bytes()


def test_a_result_whose_table_lacks_a_domain_is_made_anew(tmp_path):
    judge(tmp_path, domains=["train", "other"])
    whole = read_table(tmp_path)
    write_table(tmp_path, {"train": whole["train"]})
    (tmp_path / "checksums.json").unlink()
    judge(tmp_path, domains=["train", "other"])
    assert same(read_table(tmp_path)["other"], whole["other"])


def test_nothing_is_kept_on_disk_without_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    alone = judge(None, domains=["other"])
    assert list(tmp_path.iterdir()) == []
    assert alone.saved is None
    kept = judge(tmp_path / "kept", domains=["other"])
    assert kept.domains == alone.domains
    assert read_result(tmp_path / "kept").domains == alone.domains


def taken(kind):
    """Margins of one domain as a user has them."""
    batch = Margins().samples("other", range(16))
    rows = list(zip(batch.images, batch.labels, batch.masks, strict=True))
    if kind == "tensors":
        return {"images": batch.images, "labels": batch.labels, "masks": batch.masks}
    return {"data": rows_of(rows) if kind == "dataset" else DataLoader(rows, 5)}


def rows_of(rows):
    class Rows(Dataset):
        def __len__(self):
            return len(rows)

        def __getitem__(self, at):
            return rows[at]

    return Rows()


@pytest.mark.parametrize("kind", ["tensors", "loader", "dataset"])
def test_images_in_memory_are_judged_without_a_data_set_of_ones_own(kind):
    result = evaluate(ChannelMeans(), **taken(kind), protocol=protocol(), progress=False)
    (here,) = result.domains.values()
    measures = {key: estimate.value for key, estimate in here.measures.items()}
    assert (here.n, measures["accuracy"], measures["accuracy_pgd"]) == (16, 7 / 8, 5 / 8)
    assert here.measures["mask_area"].n == 16


def test_each_domain_names_the_versions_that_judged_it(tmp_path, monkeypatch):
    judge(tmp_path, domains=["train"])
    later = {"revision": "later", "torch": "99"}
    monkeypatch.setattr(sys.modules["lookright.evaluation.evaluate"], "versions", lambda: later)
    result = judge(tmp_path, domains=["train", "other"])
    train, other = (read_result(tmp_path).domains[name] for name in ("train", "other"))
    assert (other.revision, other.versions) == ("later", {"torch": "99"})
    assert train.revision != "later"
    assert result.versions["torch"] == f"{train.versions['torch']}, 99"


def test_masks_without_word_of_which_count_count_everywhere(tmp_path):
    class Silent(Margins):
        def samples(self, domain, indices):
            batch = super().samples(domain, indices)
            return type(batch)(batch.images, batch.labels, batch.domains, batch.masks)

    result = judge(tmp_path, data=Silent(), domains=["other"], masker=Rows(1.0, 0.0))
    measures = result.domains["other"].measures
    keys = ("localisation_mass", "pointing_game", "mask_area", "mask_mass", "mask_iou")
    assert {key: measures[key].n for key in keys} == dict.fromkeys(keys, 16)


class Thin(Margins):
    """No pixel of every second mask is 0.5."""

    def samples(self, domain, indices):
        batch = super().samples(domain, indices)
        level = 1 - 0.6 * (torch.as_tensor(indices) % 2)
        return replace(batch, masks=batch.masks * level[:, None, None, None])


def test_an_object_that_is_faint_everywhere_counts_where_it_can_be_measured(tmp_path):
    whole, thin = (
        judge(tmp_path / name_of(data), data=data, domains=["other"], masker=Rows(1.0, 0.0))
        for data in (Margins(), Thin())
    )
    here = thin.domains["other"]
    for of in (here.measures, *here.baselines.values()):
        assert {of[key].n for key in ("localisation_iou", "pointing_game", "mask_iou")} == {4}
        assert {of[key].n for key in ("localisation_mass", "mask_mass")} == {12}
    assert here.paired["centre"]["localisation_iou"].n == 4
    every, some = (read_table(each.folder)["other"] for each in (whole, thin))
    for key in ("localisation_iou", "pointing_game", "mask_iou"):
        known = np.isfinite(some[key])
        assert known.sum() == 4
        assert (some[key][known] == every[key][known]).all()
        assert here.measures[key].value == pytest.approx(some[key][known].mean())


def test_a_column_is_named_by_its_baseline():
    column = Column("key")
    assert [each.name for each in column.beside_baselines] == ["key", "key@random", "key@centre"]
