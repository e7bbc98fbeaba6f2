"""Any annotations, whoever wrote them, are read, counted or refused in one line."""

import copy
import json
import re
import time

import numpy as np
import pytest

from annotation_files import (
    FILES,
    HARE,
    LYNX,
    OUTLINES,
    PALETTE,
    coco,
    corner,
    expected,
    flat,
    labelme,
    png,
    shape,
    text,
    voc_object,
    voc_xml,
    window,
    write,
)
from lookright.data.annotations import draw, entries, read_annotations
from lookright.errors import UserError

DEEP = "[" * 100_000

VALUES = [
    *(None, True, -1, 0, 1.5, float("nan"), float("inf"), 10**400, -(10**18), "", "x", "../../x"),
    *([], {}, [[]], [1], [[1, 2], [3]], {"counts": [1], "size": [1, 2]}, "\ud800", "\0"),
    {"counts": [2**62, 2**62], "size": [2**31, 2**32]},
    {"counts": "0" * 50, "size": [16, 20]},
]


def places(value, at=()):
    """The place of every value within a value of JSON."""
    yield at
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*at, key))


def with_value(whole, at, value):
    whole = copy.deepcopy(whole)
    inside = whole
    for key in at[:-1]:
        inside = inside[key]
    inside[at[-1]] = value
    return whole


def read_and_draw(path):
    """The annotations that can be read, all of them drawn."""
    found = list(read_annotations(path))
    for each in found:
        draw((*each.resized(16, 20).shapes, *each.ignored), 16, 20)
        assert all("\n" not in why for why in (*each.unread, *each.passed_over))
    return found


def in_one_line(path, below):
    """Read and draw; an error is one line that names a file below a folder."""
    told = str(below)
    try:
        read_and_draw(path)
    except UserError as error:
        told = str(error)
    assert "\n" not in told
    assert str(below) in told


WHOLE = {
    "COCO": coco(
        hare={"segmentation": flat("hare"), "bbox": corner(HARE), "iscrowd": 0},
        lynx={"segmentation": {"counts": "Z64<000000000f0", "size": [16, 20]}},
        owl={"bbox": corner(LYNX)},
    ),
    "Labelme": labelme(
        shape("hare", OUTLINES["hare"]),
        shape("lynx", [[4, 3], [11, 8]], "rectangle"),
        shape("owl", [[5.5, 5.5], [6, 9]], "circle"),
        window("lynx"),
    ),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_any_value_in_any_place_of_json(tmp_path, kind):
    path, whole = tmp_path / "a.json", WHOLE[kind]
    for at in [*places(whole)][1:]:
        for value in VALUES:
            path.write_text(json.dumps(with_value(whole, at, value)))
            in_one_line(path, tmp_path)


@pytest.mark.parametrize("name", ["PASCAL VOC, boxes", "LabelMe, XML"])
def test_any_text_in_any_place_of_xml(tmp_path, name):
    _, _, files = FILES[name]
    (xml,) = files.values()
    path = tmp_path / "a.xml"
    for found in re.finditer(r"(?<=>)[^<]+(?=<)|<[^>]+>", xml):
        for value in (
            "",
            "nan",
            "inf",
            "-1e999",
            "1" * 5000,
            "x",
            "<x/>",
            "&x;",
            "\x00",
            "<![CDATA[",
        ):
            path.write_text(xml[: found.start()] + value + xml[found.end() :])
            in_one_line(path, tmp_path)


def test_any_word_in_any_place_of_yolo(tmp_path):
    path, words = tmp_path / "a.txt", ["0", "0.5", "0.5", "0.25", "0.25"]
    for at in range(5):
        for value in ("", "nan", "inf", "-1", "1e999", "1" * 5000, "x", "0.5 0.5", "\0", "٣"):
            path.write_text(" ".join([*words[:at], value, *words[at + 1 :]]))
            in_one_line(path, tmp_path)


@pytest.mark.parametrize("name", FILES)
def test_any_damage_to_any_file(tmp_path, name):
    """A byte changed, and the file cut off, at many places."""
    _, at, files = FILES[name]
    write(tmp_path, files)
    for key, of in files.items():
        path = tmp_path / key
        whole = of if isinstance(of, bytes) else text(of).encode()
        for place in range(0, len(whole), max(1, len(whole) // 40)):
            for damaged in (
                whole[:place],
                whole[:place] + bytes([whole[place] ^ 0x80]) + whole[place + 1 :],
                whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :],
            ):
                path.write_bytes(damaged)
                in_one_line(tmp_path / at, tmp_path)
        path.write_bytes(whole)


BOX = voc_object("hare", HARE)
BOMB = "".join(f'<!ENTITY x{level} "{f"&x{level - 1};" * 10}">' for level in range(1, 12))

UNUSABLE = {
    "deep JSON": ("a.json", DEEP, "nested too deeply"),
    "deep JSON within": ("a.json", f'{{"shapes": {DEEP}', "nested too deeply"),
    "no text": ("a.json", b"\xff\xfe\xff", "utf|codec|decode"),
    "images that are no list": ("a.json", {"images": {}, "annotations": []}, "'images' as a list"),
    "one id twice": (
        "a.json",
        {"images": [{"id": 1, "file_name": "a"}] * 2, "annotations": []},
        "several of its images have the id 1",
    ),
    "shapes that are no list": ("a.json", {"shapes": 3}, "'shapes' as a list, got 3"),
    "a bomb": (
        "a.xml",
        f'<!DOCTYPE a [<!ENTITY x0 "x">{BOMB}]><annotation>&x11;</annotation>',
        "document type",
    ),
    "another file's content": (
        "a.xml",
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>',
        "document type",
    ),
    "a bomb in another encoding": (
        "a.xml",
        f'<!DOCTYPE a [<!ENTITY x0 "x">{BOMB}]><annotation>&x11;</annotation>'.encode("utf-16"),
        "document type",
    ),
    "an entity from nowhere": ("a.xml", "<annotation>&x;</annotation>", "undefined entity"),
    "an unknown encoding": ("a.xml", '<?xml version="1.0" encoding="x"?><annotation/>', "no XML"),
    "deep XML": ("a.xml", "<annotation>" + "<a>" * 200_000, "no XML"),
    "no image": ("SegmentationClass/a.png", b"no image", "no known image format"),
    "names of YOLO that are none": ("data.yaml", "names: [[1]]", "neither a list of names"),
    "names of YOLO that are no YAML": ("data.yaml", "names: [", "no YAML"),
    "names of YOLO, deep": ("data.yaml", "names: " + "- " * 5000, "no YAML"),
    "names of YOLO that run": ("data.yaml", "names: !!python/name:os.system", "no YAML"),
}


@pytest.mark.parametrize(("name", "content", "message"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_file_that_cannot_be_used_is_one_line(tmp_path, name, content, message):
    write(tmp_path, {name: content, **({"1.txt": ""} if "yaml" in name else {})})
    with pytest.raises(UserError, match=message) as caught:
        read_and_draw(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)


def in_coco(**of):
    return coco(hare={"bbox": corner(HARE)}, lynx=of)


def in_labelme(*shapes):
    return labelme(shape("hare", OUTLINES["hare"]), *shapes)


NAN, FAR = float("nan"), 1e12

UNREAD = {
    "a box with NaN": ("a.json", in_coco(bbox=[1, 2, NAN, 4]), "entry 2: expected numbers from"),
    "a box far away": ("a.json", in_coco(bbox=[1, 2, FAR, 4]), "from -10^7 to 10^7"),
    "a box of an endless number": ("a.json", in_coco(bbox=[1, 2, 10**400, 4]), "expected numbers"),
    "a box of three numbers": ("a.json", in_coco(bbox=[1, 2, 3]), "four numbers of a box, got 3"),
    "an outline with NaN": ("a.json", in_coco(segmentation=[[1, 2, 3, 4, 5, NAN]]), "10^7"),
    "an outline with an x too many": (
        "a.json",
        in_coco(segmentation=[[1, 2, 3, 4, 5, 6, 7]]),
        "an x without a y",
    ),
    "counts of another size": (
        "a.json",
        in_coco(segmentation={"counts": [319], "size": [16, 20]}),
        "its counts are together 319, not 16 x 20 = 320",
    ),
    "counts of another image": (
        "a.json",
        in_coco(segmentation={"counts": [320], "size": [20, 16]}),
        "its encoding is not of the size of the image",
    ),
    "no category": ("a.json", in_coco(category_id=None), "'category_id' as a whole number"),
    "a truth for a category": ("a.json", in_coco(category_id=True), "whole number, got True"),
    "an outline with infinity": ("a.json", in_labelme(shape("lynx", [[1, 1e999]] * 3)), "10^7"),
    "a shape without a label": ("a.json", in_labelme(shape(None, [])), "'label' as text, got None"),
    "a shape of another kind": ("a.json", in_labelme(shape("a", [[1, 2]], "blob")), "type 'blob'"),
    "a mask that is no image": (
        "a.json",
        in_labelme(shape("a", [[0, 0]], "mask", mask="AAAA")),
        "no known image format",
    ),
    "a mask that is no base64": (
        "a.json",
        in_labelme(shape("a", [[0, 0]], "mask", mask="%")),
        "its mask is no base64",
    ),
    "a box of words": (
        "a.xml",
        voc_xml(BOX, BOX.replace("<xmin>5<", "<xmin>nan<")),
        "expected a number up to 10^7, got 'nan'",
    ),
    "a box without a name": ("a.xml", voc_xml(BOX, BOX.replace("hare", " ")), "no <name>"),
    "a box without corners": ("a.xml", voc_xml(BOX, "<object><name>a</name></object>"), "got None"),
    "a share above 1": (
        "a.txt",
        "0 0.5 0.5 0.5 1.5",
        "shares of the width and height, from 0 to 1",
    ),
    "a share that is none": ("a.txt", "0 0.5 0.5 0.5 nan", "expected numbers"),
    "a word": ("a.txt", "0 0.5 0.5 0.5 x", "a class and numbers, got '0 0.5 0.5 0.5 x'"),
    "three shares": ("a.txt", "0 0.5 0.5 0.5", "got 3 numbers"),
    "an x too many": ("a.txt", "0 .1 .1 .1 .2 .3 .4 .5", "got 7 numbers"),
    "a number without a class": (
        "SegmentationClass/a.png",
        png(np.full((4, 4), 21, np.uint8), PALETTE),
        "there is no class 21",
    ),
}


@pytest.mark.parametrize(("name", "content", "message"), UNREAD.values(), ids=UNREAD)
def test_an_entry_that_cannot_be_read_is_told_and_the_rest_is_read(
    tmp_path, name, content, message
):
    write(tmp_path, {name: content})
    (found,) = read_and_draw(tmp_path / name)
    (why,) = found.unread
    assert re.search(r"^entry \d: ", why)
    assert message in why
    if name.endswith(("json", "xml")):
        assert (draw(found.shapes, 16, 20) == expected("hare")).all()


def test_entries_of_images_that_are_not_listed_are_told(tmp_path):
    whole = coco(hare={"bbox": corner(HARE)}, lynx={"image_id": 9}, owl={"image_id": [1]})
    whole["annotations"] += [7, {"image_id": 9}]
    whole["images"] += [{"id": 5}, {"file_name": "x"}]
    write(tmp_path, {"a.json": whole})
    found, lost = read_and_draw(tmp_path / "a.json")
    assert (draw(found.shapes, 16, 20) == expected("hare")).all()
    assert (lost.image, lost.shapes) == ("", ())
    assert lost.unread == (
        "entry 3: expected 'id' as a whole number, got None",
        "image 5: expected 'file_name' as text, got None",
        "entry 3: expected 'image_id' as a whole number, got list",
        "entry 4: expected 'image_id' as a whole number, got None",
        "2 annotations of image 9, not listed",
    )


def test_outlines_of_a_million_points_are_drawn_and_longer_ones_are_told(tmp_path, monkeypatch):
    corners = OUTLINES["hare"]
    dense = np.repeat(np.array(corners, float), 250_000, 0).ravel().tolist()
    write(tmp_path, {"a.json": coco(hare={"segmentation": [dense]})})
    before = time.monotonic()
    (found,) = read_and_draw(tmp_path / "a.json")
    assert (draw(found.shapes, 16, 20) == expected("hare")).all()
    assert time.monotonic() - before < 30
    monkeypatch.setattr(entries, "MOST_POINTS", 999_999)
    (found,) = read_and_draw(tmp_path / "a.json")
    assert found.unread == ("entry 1: expected up to 999,999 points, got 1,000,000",)


@pytest.mark.parametrize("name", ["a.json", "a.xml", "a.txt"])
def test_files_too_large_are_refused_before_they_are_read(tmp_path, name):
    with (tmp_path / name).open("wb") as file:
        file.truncate(2**30 + 1)
    with pytest.raises(UserError, match=r"it is larger than (64|1024) MiB"):
        read_and_draw(tmp_path / name)
