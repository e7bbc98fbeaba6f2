"""Every format of annotations gives the same masks for the same objects."""

import json

import numpy as np
import pytest

from annotation_files import (
    FILES,
    HARE,
    HEIGHT,
    OUTLINES,
    WIDTH,
    coco,
    corner,
    expected,
    flat,
    labelme,
    labelme_xml_object,
    shape,
    voc_object,
    voc_xml,
    write,
    yolo_line,
    yolo_outline,
)
from lookright.data.annotations import (
    UNIT,
    draw,
    read_annotations,
    read_coco,
    read_labelme,
    read_voc,
    read_voc_segmentation,
    read_yolo,
)
from lookright.errors import UserError

every_format = pytest.mark.parametrize(("read", "at", "files"), FILES.values(), ids=FILES)


def drawn(annotated, label):
    shapes = annotated.resized(HEIGHT, WIDTH).shapes
    return draw([each for each in shapes if each.label == label], HEIGHT, WIDTH)


@every_format
def test_the_same_object_gives_the_same_mask(tmp_path, read, at, files):
    write(tmp_path, files)
    (found,) = read(tmp_path / at)
    assert sorted({each.label for each in found.shapes}) == ["hare", "lynx"]
    for label in ("hare", "lynx"):
        assert (drawn(found, label) == expected(label)).all(), label
    assert found.unread == found.passed_over == ()
    assert found.image in ("photos/1.jpg", "../photos/1.jpg", "1.jpg", "1")
    assert found.size in ((HEIGHT, WIDTH), UNIT, None)


@every_format
def test_the_format_is_found(tmp_path, read, at, files):
    """VOC's own classes are other ones than those of these files."""
    write(tmp_path, files)
    (found,) = read_annotations(tmp_path / at)
    (same,) = read(tmp_path / at)
    assert (found.image, found.size) == (same.image, same.size)
    names = {"hare": "bicycle", "lynx": "aeroplane"} if "Seg" in at else {}
    for label in ("hare", "lynx"):
        assert (drawn(found, names.get(label, label)) == expected(label)).all()


def test_borders_are_ignored(tmp_path):
    read, at, files = FILES["PASCAL VOC, objects"]
    write(tmp_path, files)
    (found,) = read(tmp_path / at)
    border = np.zeros((HEIGHT, WIDTH), np.uint8)
    border[9, 11:19] = 255
    assert (draw(found.ignored, HEIGHT, WIDTH) == border).all()


def one(tmp_path, read, name, content):
    write(tmp_path, {name: content})
    (found,) = read(tmp_path / name)
    return found


def test_coco_has_images_without_shapes_and_shapes_without_categories(tmp_path):
    whole = coco(hare={"bbox": corner(HARE)})
    whole["images"] = [
        {"id": "x", "coco_url": "http://images.cocodataset.org/val2017/7.jpg"},
        *whole["images"],
    ]
    del whole["categories"]
    whole["annotations"].append({"image_id": "x", "category_id": 3})
    write(tmp_path, {"a.json": whole})
    first, second = read_coco(tmp_path / "a.json")
    assert (first.image, first.size, first.shapes) == ("7.jpg", None, ())
    assert first.passed_over == ("a label of a whole image",)
    assert [each.label for each in second.shapes] == ["7"]


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("COCO, ")][1:])
def test_pycocotools_draws_the_same_of_the_same_file(tmp_path, name):
    """Of the segmentations; of a file with boxes alone it draws nothing."""
    coco = pytest.importorskip("pycocotools.coco", reason="COCO's own reader")
    _, at, files = FILES[name]
    write(tmp_path, files)
    theirs = coco.COCO(tmp_path / at)
    for entry in theirs.anns.values():
        label = theirs.cats[entry["category_id"]]["name"]
        assert (theirs.annToMask(entry) * 255 == expected(label)).all()


def test_coco_outlines_that_are_none_leave_the_box(tmp_path):
    for outlines in ([], [[]], [[1, 2, 3, 4]], None):
        of = {"bbox": corner(HARE), "segmentation": outlines}
        found = one(tmp_path, read_coco, "a.json", coco(hare=of))
        assert (drawn(found, "hare") == expected("hare")).all()
    found = one(tmp_path, read_coco, "a.json", coco(hare={"segmentation": [[1, 2, 3, 4]]}))
    assert (found.shapes, found.unread) == ((), ())
    assert found.passed_over == ("an outline of fewer than three points",)


def test_the_size_of_an_image_may_be_that_of_its_encoding(tmp_path):
    read, at, files = FILES["COCO, run lengths"]
    del files[at]["images"][0]["height"]
    try:
        found = one(tmp_path, read, at, files[at])
    finally:
        files[at]["images"][0]["height"] = HEIGHT
    assert found.size == (HEIGHT, WIDTH)
    assert (drawn(found, "hare") == expected("hare")).all()


def test_a_circle_of_labelme_holds_the_centres_within_its_radius(tmp_path):
    circle = shape("hare", [[9.5, 8.5], [9.5, 2.3]], "circle")
    found = one(tmp_path, read_labelme, "1.json", labelme(circle))
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    inside = np.hypot(columns - 9.5, rows - 8.5) < 6.2
    assert (drawn(found, "hare") == inside * 255).all()


def test_points_and_lines_have_no_area(tmp_path):
    kinds = ["point", "points", "line", "linestrip"]
    shapes = [shape("hare", [[1, 1]], kind) for kind in kinds]
    shapes += [shape("hare", OUTLINES["hare"], None), shape("hare", [[1, 1], [1, 9]], "rectangle")]
    found = one(tmp_path, read_labelme, "1.json", labelme(*shapes))
    assert found.passed_over == (*(f"a {kind}" for kind in kinds), "a box without area")
    assert (drawn(found, "hare") == expected("hare")).all()
    assert found.image == "../photos/1.jpg"


def test_names_of_yolo(tmp_path):
    line = yolo_line(1, HARE)
    about = {
        "classes.txt": "a\nhare\n",
        "obj.names": "a\nhare\n",
        "data.yaml": "names: {0: a, 1: hare}\n",
        "data.yml": "kpt_shape: [2, 3]\nnames: [a, hare]\n",
        "other.yaml": "train: images\n",
    }
    for name, content in about.items():
        folder = tmp_path / name.replace(".", "-")
        points = " 0.5 0.5 2 0.1 0.1 2" if "kpt" in content else ""
        write(folder, {name: content, "1.txt": line + points})
        (found,) = read_yolo(folder)
        (label,) = {each.label for each in found.shapes}
        assert label == ("1" if name == "other.yaml" else "hare")
        assert (drawn(found, label) == expected("hare")).all()
        assert found.image == "1"


def test_voc_without_a_size_or_name(tmp_path):
    xml = voc_xml(voc_object("hare", HARE), size=(0, 0)).replace("<filename>1.jpg</filename>", "")
    found = one(tmp_path, read_voc, "x/7.xml", xml)
    assert (found.image, found.size) == ("7", None)
    assert (drawn(found, "hare") == expected("hare")).all()


def test_folders_are_read_without_what_systems_leave_in_them(tmp_path):
    xml = voc_xml(voc_object("hare", HARE))
    names = ("b/2.xml", "a/1.XML", "._1.xml", ".hidden/3.xml", "__MACOSX/4.xml")
    write(tmp_path, {name: xml for name in names})
    assert len(list(read_voc(tmp_path))) == 2


BOX = voc_xml(voc_object("hare", HARE))

UNKNOWN = {
    "nothing there": ({}, "a", "does not exist"),
    "an empty folder": ({"a/readme.md": ""}, "a", "no .json, .xml or .txt file; known are COCO's"),
    "another suffix": ({"a.csv": ""}, "a.csv", "ends in '.csv'; known are COCO's JSON"),
    "other JSON": ({"a.json": {"_via_img_metadata": {}}}, "a.json", "neither the keys of COCO"),
    "a list": ({"a.json": [1]}, "a.json", "neither the keys of COCO nor those of Labelme; known"),
    "no JSON": ({"a.json": "{"}, "a.json", "Expecting property name"),
    "another XML": (
        {"a/a.xml": "<annotations/>"},
        "a",
        "outermost element is 'annotations'; known",
    ),
    "an empty XML": ({"a.xml": ""}, "a.xml", "no XML: no element found"),
    "two formats": ({"a/1.xml": BOX, "a/1.json": {}}, "a", "one format; .*1.json' and .*1.xml'"),
    "several of COCO": (
        {"a/1.json": coco(hare={}), "a/2.json": coco(lynx={})},
        "a",
        "one file of COCO, .* has 2 JSON files, and '.*1.json' is of COCO: name one",
    ),
    "boxes and segmentations": (
        {"a/Annotations/1.xml": BOX, "a/SegmentationClass/1.png": ""},
        "a",
        "either boxes or segmentations; .*: name its folder Annotations, or",
    ),
}


@pytest.mark.parametrize(("files", "at", "message"), UNKNOWN.values(), ids=UNKNOWN)
def test_what_is_unknown_is_one_line(tmp_path, files, at, message):
    write(tmp_path, files)
    with pytest.raises(UserError, match=message) as caught:
        list(read_annotations(tmp_path / at))
    assert "\n" not in str(caught.value)


FOLDERS = {
    "Labelme beside other JSON": (
        {"a/0.json": {}, "a/1.json": labelme(shape("hare", OUTLINES["hare"]))},
        1,
    ),
    "YOLO beside a readme": (
        {"a/data.yaml": "names: [hare]", "a/labels/1.txt": yolo_outline(0, "hare"), "a/x.txt": "?"},
        0,
    ),
    "VOC whose first image has no object": ({"a/0.xml": voc_xml(name="0.jpg"), "a/1.xml": BOX}, 0),
    "LabelMe whose first image has no object": (
        {
            "a/0.xml": "<annotation><filename>0.jpg</filename></annotation>",
            "a/1.xml": f"<annotation>{labelme_xml_object('hare')}</annotation>",
        },
        0,
    ),
    "VOC with a broken file": ({"a/0.xml": "<annotation>", "a/1.xml": BOX}, 1),
}


@pytest.mark.parametrize(("files", "broken"), FOLDERS.values(), ids=FOLDERS)
def test_a_folder_is_read_in_spite_of_some_of_its_files(tmp_path, files, broken):
    write(tmp_path, files)
    found = list(read_annotations(tmp_path / "a"))
    assert sum(bool(each.unread) for each in found) == broken
    assert (drawn(found[-1], "hare") == expected("hare")).all()


def test_the_file_of_a_data_set_of_yolo_names_it(tmp_path):
    files = {"a/data.yaml": "names: [hare]", "a/labels/1.txt": yolo_outline(0, "hare")}
    write(tmp_path, files)
    for path in ("a/data.yaml", "a/labels/1.txt"):
        (found,) = read_annotations(tmp_path / path)
        assert (drawn(found, "hare") == expected("hare")).all()


def test_segmentations_of_objects_need_their_classes(tmp_path):
    _, _, files = FILES["PASCAL VOC, objects"]
    write(tmp_path, {name: of for name, of in files.items() if "Object" in name})
    with pytest.raises(UserError, match="the classes of its objects are missing: there is no"):
        list(read_voc_segmentation(tmp_path / "SegmentationObject" / "1.png"))


def test_outlines_in_all_formats_are_the_same_where_they_lie_between_pixels(tmp_path):
    points = [(4.3, 2.6), (15.7, 5.1), (6.2, 13.9)]
    numbers = [float(number) for point in points for number in point]
    line = " ".join(["0", *(f"{x / WIDTH!r} {y / HEIGHT!r}" for x, y in points)])
    write(
        tmp_path,
        {
            "a.json": coco(hare={"segmentation": [numbers]}),
            "b.json": labelme(shape("hare", points)),
            "yolo/c.txt": line,
            "yolo/classes.txt": "hare",
        },
    )
    masks = [
        drawn(found, "hare")
        for path in ("a.json", "b.json", "yolo/c.txt")
        for found in read_annotations(tmp_path / path)
    ]
    assert masks[0].sum() == 255 * 62  # its area is 62.035
    assert (masks[0] == masks[1]).all()
    assert (masks[0] == masks[2]).all()


def test_flat_outlines_of_coco_are_refused_by_entry(tmp_path):
    found = one(tmp_path, read_coco, "a.json", coco(hare={"segmentation": flat("hare")[0]}))
    assert found.unread == (
        "entry 1: its segmentation is neither outlines nor a run-length encoding",
    )


def test_images_of_one_name_in_two_folders_stay_apart(tmp_path):
    xml = voc_xml(voc_object("hare", HARE))
    write(tmp_path, {"day/0.xml": xml, "night/0.xml": xml, "1.xml": xml})
    called = {each.image for each in read_voc(tmp_path)}
    name = next(iter(read_voc(tmp_path / "1.xml"))).image
    assert called == {name, f"day/{name}", f"night/{name}"}


def test_two_images_of_one_name_are_no_coco(tmp_path):
    images = [{"id": number, "file_name": "0.png", "height": 9, "width": 9} for number in (1, 2)]
    (tmp_path / "a.json").write_text(json.dumps({"images": images, "annotations": []}))
    with pytest.raises(UserError, match=r"several of its images are called '0.png'.*its path"):
        list(read_coco(tmp_path / "a.json"))
