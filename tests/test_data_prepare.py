"""Official archives become folders of images and masks, also after any kill, and nothing else."""

import json
import os
import shutil
import tarfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lookright import cli
from lookright.data import load_data, sets
from lookright.data.sets import SETS, compare_contents, find, mistakes, prepare, remarks
from lookright.errors import UserError
from lookright.locks import locked
from published import LAYOUTS, files_of, jpeg, shrunk
from test_data_archives import laid_out, tarred, zipped
from test_kills import killed_at

BESIDE = {
    "pacs": {
        "__MACOSX/kfold/photo/dog/._pic_1.jpg": b"x",
        "__MACOSX/kfold/photo/dog/pic_1.jpg": b"x",
        "kfold/@eaDir/photo/dog/pic_1.jpg": b"x",
        "kfold/photo/dog/Thumbs.db": b"x",
        "kfold/readme.txt": b"x",
    },
    "vlcs": {"VLCS/VOC2007/bird/._x.jpg": b"x"},
    "office_home": {"OfficeHomeDataset_10072016/ImageInfo.csv": b"x"},
}
"""What lies in the archives besides images."""


def archive_of(name, folder, files):
    if name == "vlcs":
        return tarred(folder / "VLCS.tar.gz", files, mode="w:gz")
    return zipped(folder / {"pacs": "PACS.zip", "office_home": "office_home.zip"}[name], files)


def state(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("name", BESIDE)
def test_the_archives_of_domainbed_become_the_published_set(name, tmp_path):
    published = shrunk(name)
    files = files_of(published, LAYOUTS[name])
    archive = archive_of(name, tmp_path, files | BESIDE[name])
    prepared = prepare(published, archive, tmp_path / "out")
    found = find(published, tmp_path / "out")
    assert found.root == tmp_path / "out" / "images"
    assert remarks(found, compare_contents(found), 0) == []
    assert mistakes(found, compare_contents(found), 0) == []
    assert all(names == [own] for own, names in found.names.items())
    assert (prepared.images, prepared.masks) == (len(files), 0)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["images", "prepared.json"]
    for path, content in files.items():
        assert (found.root.joinpath(*Path(path).parts[-3:])).read_bytes() == content


def test_the_parts_of_the_smaller_vlcs_are_merged_and_none_is_lost(tmp_path):
    numbers = {"bird": "0", "car": "1", "chair": "2", "dog": "3", "person": "4"}
    names = {"VOC2007": "PASCAL", "SUN09": "SUN", "LabelMe": "LABELME", "Caltech101": "CALTECH"}
    counts = {domain: dict.fromkeys(numbers, 3) for domain in names}
    published, files, number = shrunk("vlcs", counts), {}, 0
    for domain in names.values():
        for label in numbers.values():
            for part in ("train", "crossval", "test"):
                number += 1
                files[f"VLCS/{domain}/{part}/{label}/imgs_1.jpg"] = jpeg(number)
                if part != "test":
                    files[f"VLCS/{domain}/full/{label}/{part}_imgs_1.jpg"] = jpeg(number)
    archive = tarred(tmp_path / "vlcs.tar.gz", files, mode="w:gz")
    assert prepare(published, archive, tmp_path / "out").passed_over == []
    found = find(published, tmp_path / "out")
    assert mistakes(found, compare_contents(found), 0) == []
    birds = sorted(path.name for path in (tmp_path / "out/images/VOC2007/bird").iterdir())
    assert birds == ["crossval_imgs_1.jpg", "test_imgs_1.jpg", "train_imgs_1.jpg"]
    laid_out(tmp_path / "unpacked", files)
    as_it_is = find(published, tmp_path / "unpacked")
    assert mistakes(as_it_is, compare_contents(as_it_is), 0) == []


def test_a_folder_into_which_it_was_unpacked_does_as_well(tmp_path):
    published = shrunk("pacs")
    files = files_of(published, LAYOUTS["pacs"])
    prepare(published, archive_of("pacs", tmp_path, files), tmp_path / "one")
    prepare(published, laid_out(tmp_path / "PACS.zip.d", files), tmp_path / "two")
    assert state(tmp_path / "one" / "images") == state(tmp_path / "two" / "images")


def tiny_pacs(tmp_path):
    """A set of eight images, and its archive."""
    counts = {domain: {"dog": 1, "house": 1} for domain in SETS["pacs"].domains}
    published = shrunk("pacs", counts)
    return published, archive_of("pacs", tmp_path, files_of(published, LAYOUTS["pacs"]))


def test_a_kill_at_any_step_changes_nothing_of_the_end(tmp_path):
    published, archive = tiny_pacs(tmp_path)
    with killed_at(10**6) as taken:
        prepare(published, archive, tmp_path / "whole")
    expected = state(tmp_path / "whole")
    assert len(expected) > 20
    assert taken[0] > 30
    for step in range(taken[0]):
        folder = tmp_path / "killed"
        with killed_at(step):
            prepare(published, archive, folder)
        prepare(published, archive, folder)
        assert state(folder) == expected, step
        shutil.rmtree(folder)


def test_what_is_there_already_is_not_written_again(tmp_path):
    published, archive = tiny_pacs(tmp_path)
    prepare(published, archive, tmp_path / "out")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.jpg")}
    (tmp_path / "out/images/photo/dog/pic_1.jpg").write_bytes(b"half")
    prepare(published, archive, tmp_path / "out")
    changed = [path for path, time in times.items() if path.stat().st_mtime_ns != time]
    assert changed == [tmp_path / "out/images/photo/dog/pic_1.jpg"]
    assert changed[0].read_bytes() != b"half"


def test_a_truncated_archive_is_one_line_and_a_whole_one_then_goes_on(tmp_path):
    published, archive = tiny_pacs(tmp_path)
    for kind in ("zip", "tar.gz"):
        whole = archive
        if kind == "tar.gz":
            files = files_of(published, LAYOUTS["pacs"])
            whole = tarred(tmp_path / "PACS.tar.gz", files, mode="w:gz")
        content = whole.read_bytes()
        whole.write_bytes(content[: len(content) * 2 // 3])
        out = tmp_path / kind
        with pytest.raises(UserError, match="ends early"):
            prepare(published, whole, out)
        assert kind == "tar.gz" or not out.exists()
        whole.write_bytes(content)
        prepare(published, whole, out)
        found = find(published, out)
        assert mistakes(found, compare_contents(found), 0) == []


NOT_PACS = {
    "another set": {"VLCS/VOC2007/bird/1.jpg": b"x"},
    "no images": {"kfold/photo/dog/1.txt": b"x"},
    "images elsewhere": {"photo/1.jpg": b"x"},
    "images deeper": {"photo/dog/more/1.jpg": b"x"},
}


@pytest.mark.parametrize("what", NOT_PACS)
def test_the_archive_of_something_else_is_refused_and_leaves_nothing(what, tmp_path):
    archive = zipped(tmp_path / "x.zip", NOT_PACS[what])
    with pytest.raises(UserError, match=r"Expected images of PACS .*: name PACS.zip"):
        prepare(SETS["pacs"], archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_files_for_one_image_are_refused(tmp_path):
    files = {"a/photo/dog/1.jpg": b"x", "b/photo/dog/1.jpg": b"y"}
    with pytest.raises(UserError, match=r"are both photo/dog/1.jpg"):
        prepare(SETS["pacs"], zipped(tmp_path / "x.zip", files), tmp_path / "out")


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    published, archive = tiny_pacs(tmp_path)
    laid_out(tmp_path / "mine", {"letter.txt": b"x"})
    with pytest.raises(UserError, match=r"Expected an empty folder .* it holds letter.txt"):
        prepare(published, archive, tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]


def test_a_folder_prepared_from_another_archive_is_left_alone(tmp_path):
    published, archive = tiny_pacs(tmp_path)
    prepare(published, archive, tmp_path / "out")
    with pytest.raises(UserError, match=r"prepared from other files \(PACS.zip\).*\(other.zip\)"):
        prepare(published, archive.rename(tmp_path / "other.zip"), tmp_path / "out")


OUTSIDE = {"itself": ".", "below": "PACS/out", "by a link": "../link/out"}


@pytest.mark.parametrize("where", OUTSIDE)
def test_a_folder_in_that_of_the_images_is_refused_before_anything_is_written(where, tmp_path):
    published = shrunk("pacs")
    unpacked = laid_out(
        tmp_path / "unpacked", files_of(published, "PACS/{domain}/{label}/{at}.jpg")
    )
    (tmp_path / "link").symlink_to(unpacked / "PACS")
    before = state(unpacked)
    with pytest.raises(UserError, match="Expected a folder outside of"):
        prepare(published, unpacked, unpacked / OUTSIDE[where])
    assert state(unpacked) == before


@pytest.mark.parametrize("second", ["the same", "another"])
def test_a_file_that_is_in_the_archive_twice_is_refused(second, tmp_path):
    published = shrunk("pacs")
    (path, content), *_ = files_of(published, LAYOUTS["pacs"]).items()
    archive = tmp_path / "PACS.tar"
    with tarfile.open(archive, "w") as packed:
        for each in (content, content if second == "the same" else jpeg(999)):
            header = tarfile.TarInfo(path)
            header.size = len(each)
            packed.addfile(header, BytesIO(each))
    with pytest.raises(UserError, match=f"'{path}' and '{path}' are both .*unpack it"):
        prepare(published, archive, tmp_path / "out")


def test_what_an_archive_of_something_else_holds_is_told(tmp_path):
    _, archive = tiny_pacs(tmp_path)
    outer = zipped(tmp_path / "outer.zip", {"a/PACS.zip": archive.read_bytes()})
    with pytest.raises(UserError, match=r"it holds a/PACS.zip: name PACS.zip"):
        prepare(SETS["pacs"], outer, tmp_path / "out")
    with pytest.raises(UserError, match=r"it holds nothing"):
        prepare(SETS["pacs"], zipped(tmp_path / "none.zip", {}), tmp_path / "out")


def test_two_at_a_time_are_told(tmp_path):
    published, archive = tiny_pacs(tmp_path)
    with locked(tmp_path / "out"), pytest.raises(UserError, match="is being written by"):
        prepare(published, archive, tmp_path / "out")


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    published, archive = tiny_pacs(tmp_path)

    def full(path, content):
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(UserError, match="No space left"):
            prepare(published, archive, tmp_path / "out")
    prepare(published, archive, tmp_path / "out")


def test_no_link_in_the_folder_is_followed(tmp_path):
    published, archive = tiny_pacs(tmp_path)
    prepare(published, archive, tmp_path / "out")
    (tmp_path / "elsewhere").mkdir()
    shutil.rmtree(tmp_path / "out/images/photo")
    (tmp_path / "out/images/photo").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="is a link"):
        prepare(published, archive, tmp_path / "out")
    assert not any((tmp_path / "elsewhere").iterdir())


PARTS = st.sampled_from(
    ["..", ".", "", "/", "photo", "dog", "house", "sketch", "1.jpg", "\\", "..\\x", "C:", "~", "\n"]
)


@given(st.lists(st.lists(PARTS, min_size=1, max_size=5).map("/".join), min_size=1, max_size=3))
def test_no_name_in_an_archive_writes_outside_of_the_images(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("hostile")
    good = {"photo/dog/good.jpg": b"good"}
    zipped(folder / "x.zip", good | {f"{name}.jpg": b"bad" for name in names})
    try:
        prepare(SETS["pacs"], folder / "x.zip", folder / "in" / "out")
    except UserError as error:
        assert len(str(error).splitlines()) <= 1 + "".join(names).count("\n")  # noqa: PT017
    written = {path for path in folder.rglob("*") if path.is_file()}
    inside = {folder / "x.zip", folder / "in/out/prepared.json"}
    for path in written - inside:
        assert path.relative_to(folder / "in/out/images").parts[0] in SETS["pacs"].domains


def images_json(entries, wide=None):
    """Annotations of Caltech Camera Traps: (file, location, category, box or None)."""
    names = ["empty", "cat", "dog", "car"]
    size = {"width": wide[0], "height": wide[1]} if wide else {}
    images = {
        file: {"id": file[:-4], "file_name": file, "location": location, **size}
        for file, location, _, _ in entries
    }
    return {
        "info": {},
        "images": [*images.values()],
        "categories": [{"id": at, "name": name} for at, name in enumerate(names)],
        "annotations": [
            {
                "id": str(at),
                "image_id": file[:-4],
                "category_id": names.index(category),
                **({"bbox": box} if box else {}),
            }
            for at, (file, _, category, box) in enumerate(entries)
        ],
    }


ENTRIES = [
    ("a.jpg", 38, "cat", [20, 0, 40, 60]),
    ("a.jpg", 38, "cat", [100, 60, 20, 40]),
    ("b.jpg", "38", "dog", [0, 0, 20, 20]),
    ("b.jpg", "38", "cat", [60, 60, 20, 20]),
    ("c.jpg", 100, "empty", None),
    ("d.jpg", 46, "car", [0, 0, 20, 20]),
    ("e.jpg", 7, "cat", [0, 0, 20, 20]),
    ("f.jpg", 43, "dog", None),
]


def camera_traps(tmp_path, entries=ENTRIES):
    """The archives: images ten times smaller than those that were annotated."""
    photos = {f"eccv_18_all_images_sm/{each[0]}": jpeg(ord(each[0][0])) for each in entries}
    images = tarred(tmp_path / "eccv_18_all_images_sm.tar.gz", photos, mode="w:gz")
    parts = {"train": entries[:2], "cis_val": entries[2:4], "trans_test": entries[4:]}
    documents = {
        f"eccv_18_annotation_files/{part}_annotations.json": json.dumps(
            images_json(of, (120, 100))
        ).encode()
        for part, of in parts.items()
    }
    return images, tarred(tmp_path / "eccv_18_annotations.tar.gz", documents, mode="w:gz")


def masks_in(folder):
    return {
        path.relative_to(folder).as_posix(): np.array(Image.open(path))
        for path in folder.rglob("*.png")
    }


@pytest.mark.filterwarnings("ignore:Domain .* has no images of")
def test_camera_traps_become_terra_incognita_by_domainbeds_rule(tmp_path):
    images, annotations = camera_traps(tmp_path)
    prepared = prepare(SETS["terra_incognita"], images, tmp_path / "out", [annotations])
    found = {path for path, content in state(tmp_path / "out/images").items() if content}
    two = {"L38/cat/b.jpg", "L38/dog/b.jpg"}
    assert found == {"L38/cat/a.jpg", "L100/empty/c.jpg", "L43/dog/f.jpg"} | two
    masks = masks_in(tmp_path / "out/masks")
    assert masks.keys() == {"L38/cat/a.png", "L38/cat/b.png", "L38/dog/b.png"}
    assert prepared.masks == 3
    expected = np.zeros((10, 12), bool)
    expected[0:6, 2:6] = expected[6:10, 10:12] = True
    assert ((masks["L38/cat/a.png"] > 0) == expected).all()
    assert [np.argwhere(masks[f"L38/{of}/b.png"])[0].tolist() for of in ("cat", "dog")] == [
        [6, 6],
        [0, 0],
    ]


@pytest.mark.filterwarnings("ignore:Domain .* has no images of")
def test_terra_incognita_is_killed_anywhere_and_ends_the_same(tmp_path):
    images, annotations = camera_traps(tmp_path)
    with killed_at(10**6) as taken:
        prepare(SETS["terra_incognita"], images, tmp_path / "whole", [annotations])
    expected = state(tmp_path / "whole")
    for step in range(0, taken[0], 3):
        with killed_at(step):
            prepare(SETS["terra_incognita"], images, tmp_path / "killed", [annotations])
        prepare(SETS["terra_incognita"], images, tmp_path / "killed", [annotations])
        assert state(tmp_path / "killed") == expected, step
        shutil.rmtree(tmp_path / "killed")


BAD_JSON = {
    "none": (None, "Expected --annotations with the JSON of Caltech Camera Traps"),
    "no JSON": (b"{", "it is another file or damaged"),
    "another JSON": (b'{"images": []}', "it is another file or damaged"),
    "a list": (b"[1]", "it is another file or damaged"),
    "deep": (b"[" * 10**5, "it is another file or damaged"),
    "other locations": (
        json.dumps(images_json([("e.jpg", 7, "cat", None)])).encode(),
        "says nothing about the locations 100, 38, 43, 46",
    ),
    "a broken box": (
        json.dumps(images_json([("a.jpg", 38, "cat", ["x", 0, 1, 1])])).encode(),
        "it is another file or damaged",
    ),
}


@pytest.mark.parametrize("what", BAD_JSON)
def test_annotations_that_are_none_are_one_line(what, tmp_path):
    content, said = BAD_JSON[what]
    images, _ = camera_traps(tmp_path)
    given = []
    if content is not None:
        given = [tmp_path / "x.json"]
        given[0].write_bytes(content)
    with pytest.raises(UserError, match=said):
        prepare(SETS["terra_incognita"], images, tmp_path / "out", given)
    assert not (tmp_path / "out").exists()


def test_sets_without_annotations_take_none(tmp_path):
    published, archive = tiny_pacs(tmp_path)
    with pytest.raises(UserError, match="Expected no --annotations"):
        prepare(published, archive, tmp_path / "out", [archive])


XML = """<annotation><filename>{name}.jpg</filename>
<size><width>60</width><height>50</height><depth>3</depth></size>{objects}</annotation>"""

OBJECT = """<object><name>{label}</name><bndbox><xmin>{0}</xmin><ymin>{1}</ymin><xmax>{2}</xmax>
<ymax>{3}</ymax></bndbox></object>"""


def voc(tmp_path):
    """VOC's archive: five photographs with boxes, of which the second is segmented as well."""
    whole = ("bird", (1, 1, 30, 25)), ("dog", (31, 26, 60, 50))
    files = {}
    for number in range(1, 6):
        name = f"{number:06}"
        objects = "".join(OBJECT.format(*edges, label=label) for label, edges in whole)
        files[f"VOCdevkit/VOC2007/Annotations/{name}.xml"] = XML.format(
            name=name, objects=objects
        ).encode()
        files[f"VOCdevkit/VOC2007/JPEGImages/{name}.jpg"] = jpeg(number, 60, 50)
    drawn = np.zeros((50, 60), np.uint8)
    drawn[10:20, 10:20], drawn[12:18, 12:18] = 255, 3
    segmented, content = Image.fromarray(drawn, "P"), BytesIO()
    segmented.putpalette([value for at in range(256) for value in (at, at // 2, 255 - at)])
    segmented.save(content, "PNG")
    files["VOCdevkit/VOC2007/SegmentationClass/000002.png"] = content.getvalue()
    return tarred(tmp_path / "VOCtrainval_06-Nov-2007.tar", files)


def vlcs_of(tmp_path, images):
    """An archive of VLCS with these images of VOC2007, and one of each class elsewhere."""
    files = {f"VLCS/VOC2007/{path}": content for path, content in images.items()}
    labels = {path.split("/")[0] for path in images}
    files |= {f"VLCS/SUN09/{label}/x.jpg": jpeg(100 + len(label)) for label in labels}
    return tarred(tmp_path / "VLCS.tar.gz", files, mode="w:gz")


def stretched(number):
    """The photograph as another program resized and saved it."""
    photo = Image.open(BytesIO(jpeg(number, 60, 50))).resize((40, 40))
    content = BytesIO()
    photo.save(content, "JPEG", quality=80)
    return content.getvalue()


def test_voc2007_gets_outlines_or_boxes_of_its_class_by_what_its_files_hold(tmp_path):
    images = {
        "bird/aa.jpg": jpeg(1, 60, 50),
        "dog/bb.jpg": jpeg(1, 60, 50),
        "bird/cc.jpg": jpeg(2, 60, 50),
        "dog/dd.jpg": stretched(3),
        "bird/ee.jpg": jpeg(77, 60, 50),
        "dog/ff.jpg": jpeg(4, 60, 50)[:200],
    }
    prepared = prepare(SETS["vlcs"], vlcs_of(tmp_path, images), tmp_path / "out", [voc(tmp_path)])
    masks = masks_in(tmp_path / "out/masks/VOC2007")
    assert masks.keys() == {"bird/aa.png", "dog/bb.png", "bird/cc.png", "dog/dd.png"}
    for name, rows, columns in (
        ("bird/aa.png", slice(0, 25), slice(0, 30)),
        ("dog/bb.png", slice(25, 50), slice(30, 60)),
        ("dog/dd.png", slice(20, 40), slice(20, 40)),
    ):
        expected = np.zeros_like(masks[name])
        expected[rows, columns] = 255
        assert (masks[name] == expected).all(), name
    assert prepared.notes[0] == (
        "Of VOC2007, VOC's archive has 3 images by their bytes and 1 by what they show; 2 were not "
        "found in it and have no mask. 1 have outlines, the others boxes."
    )
    (tmp_path / "out/images/VOC2007/dog/ff.jpg").unlink()
    data = load_data(tmp_path / "out/images", image_size=50, masks=tmp_path / "out/masks")
    batch = data.samples("VOC2007", range(5))
    assert batch.has_mask.sum() == 4
    outlined = [at for at in range(5) if batch.ignored is not None and batch.ignored[at].any()]
    assert len(outlined) == 1
    assert batch.masks[outlined[0]].sum() == 36
    assert batch.ignored[outlined[0]].sum() == 64


def test_annotations_may_come_later_and_then_stay(tmp_path):
    images = {"bird/aa.jpg": jpeg(1, 60, 50), "dog/bb.jpg": jpeg(2, 60, 50)}
    archive, annotations = vlcs_of(tmp_path, images), voc(tmp_path)
    prepare(SETS["vlcs"], archive, tmp_path / "both", [annotations])
    prepare(SETS["vlcs"], archive, tmp_path / "out")
    assert not (tmp_path / "out/masks").exists()
    for _ in range(2):
        prepare(SETS["vlcs"], archive, tmp_path / "out", [annotations])
        assert state(tmp_path / "out") == state(tmp_path / "both")
    with pytest.raises(UserError, match="prepared from other files"):
        prepare(SETS["vlcs"], archive, tmp_path / "out")


def test_a_photograph_that_is_like_two_of_voc_is_not_matched(tmp_path):
    archive = voc(tmp_path)
    unpacked = tmp_path / "unpacked"
    with tarfile.open(archive) as packed:
        packed.extractall(unpacked, filter="data")
    folder = unpacked / "VOCdevkit/VOC2007/JPEGImages"
    near = Image.open(folder / "000003.jpg")
    near.save(folder / "000004.jpg", quality=85)
    prepared = prepare(
        SETS["vlcs"],
        vlcs_of(tmp_path, {"dog/dd.jpg": stretched(3), "bird/x.jpg": jpeg(1, 60, 50)}),
        tmp_path / "out",
        [unpacked],
    )
    assert "1 were not found" in prepared.notes[0]
    assert masks_in(tmp_path / "out/masks/VOC2007").keys() == {"bird/x.png"}


NOT_VOC = {
    "only boxes": "Annotations",
    "only photographs": "JPEGImages",
    "only outlines": "SegmentationClass",
}


@pytest.mark.parametrize("what", NOT_VOC)
def test_half_of_vocs_archive_is_refused(what, tmp_path):
    with tarfile.open(voc(tmp_path)) as packed:
        packed.extractall(tmp_path / "x", filter="data")
    for folder in (tmp_path / "x/VOCdevkit/VOC2007").iterdir():
        if folder.name != NOT_VOC[what]:
            shutil.rmtree(folder)
    with pytest.raises(UserError, match=r"Expected VOCtrainval_06-Nov-2007.tar"):
        prepare(SETS["vlcs"], tmp_path / "none", tmp_path / "out", [tmp_path / "x"])


def test_the_verb_prepares_and_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    published, archive = tiny_pacs(tmp_path)
    monkeypatch.setattr(sets, "SETS", {"pacs": published})
    cli.main(["data", "prepare", "pacs", str(archive), str(tmp_path / "out")])
    said = capsys.readouterr().out.splitlines()
    assert said[-3:] == [
        f"Prepared 8 images and 0 masks in {tmp_path / 'out'}.",
        f"Check them: lookright data check pacs {tmp_path / 'out'}",
        f"Train on them: lookright train --data {tmp_path / 'out' / 'images'}",
    ]


NO_MASK = {
    "other images": (("9.jpg", "cat", [2, 0, 4, 6]), (12, 10), "images that are not there"),
    "other sizes": (("0.jpg", "cat", [2, 0, 4, 6]), (24, 10), "its height and width are (10, 12)"),
    "labels of other images": (("0.jpg", "dog", [2, 0, 4, 6]), (12, 10), "the labels are dog"),
    "unknown labels": (("0.jpg", "car", [2, 0, 4, 6]), (12, 10), "the labels are car"),
    "objects elsewhere": (("0.jpg", "cat", [99, 0, 4, 6]), (12, 10), "no shape of their labels"),
    "no objects": (("0.jpg", "cat", None), (12, 10), "a label of a whole image"),
}


@pytest.mark.parametrize("what", NO_MASK)
def test_annotations_that_give_no_mask_are_an_error_with_the_reason(what, tmp_path, capsys):
    (file, label, box), size, reason = NO_MASK[what]
    photos = {f"images/day/{label}/{at}.jpg": jpeg(at) for at, label in enumerate(("cat", "dog"))}
    laid_out(tmp_path, photos)
    (tmp_path / "x.json").write_text(json.dumps(images_json([(file, 1, label, box)], size)))
    with pytest.raises(SystemExit) as stopped:
        cli.main(["data", "masks", *(str(tmp_path / name) for name in ("x.json", "images", "m"))])
    assert stopped.value.code == 1
    said = capsys.readouterr()
    assert reason in said.err
    assert said.err.count("\n") == 1
    assert "Train with them" not in said.out


def test_the_verb_makes_masks_of_annotations(tmp_path, capsys):
    photos = {f"images/day/{label}/{at}.jpg": jpeg(at) for at, label in enumerate(("cat", "dog"))}
    laid_out(tmp_path, photos)
    entries = [("0.jpg", 1, "cat", [2, 0, 4, 6]), ("1.jpg", 1, "dog", [0, 0, 2, 2])]
    (tmp_path / "x.json").write_text(json.dumps(images_json(entries, (12, 10))))
    names = [str(tmp_path / name) for name in ("x.json", "images", "masks")]
    cli.main(["data", "masks", *names])
    assert masks_in(tmp_path / "masks")["day/cat/0.png"].sum() == 24 * 255
    assert "2 masks were written" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        cli.main(["data", "check", "pacs", names[1], "--labels", "all"])
    with pytest.raises(SystemExit):
        cli.main(["data", "check", "pacs", names[1], "--annotations", "[x.json]"])
    said = capsys.readouterr().err
    assert "--labels and --subfolders are for lookright data masks" in said
    assert "--annotations is for lookright data prepare" in said
    cli.main(["data", "masks", *names, "--labels", "{dog: [cat, dog]}"])
    assert "2 masks were there already" in capsys.readouterr().out
