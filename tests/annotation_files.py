"""The same objects in the files of every format of annotations."""

import base64
import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lookright.data.annotations import (
    read_coco,
    read_labelme,
    read_labelme_xml,
    read_voc,
    read_voc_segmentation,
    read_yolo,
)

HEIGHT, WIDTH = 16, 20
HARE, LYNX = (4, 3, 11, 8), (12, 10, 18, 14)
"""Left, top, right and bottom edges."""

OUTLINES = {
    label: [(left, top), (right, top), (right, bottom), (left, bottom)]
    for label, (left, top, right, bottom) in {"hare": HARE, "lynx": LYNX}.items()
}


def expected(label: str) -> np.ndarray:
    """The mask (HEIGHT, WIDTH) of an object."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    if label == "hare":
        mask[3:8, 4:11] = 255
    else:
        mask[10:14, 12:18] = 255
    return mask


def coco(**objects: Any) -> dict[str, Any]:
    """A file of COCO with one image; objects: what an annotation of each label holds."""
    ids = {label: number for number, label in enumerate(sorted(objects), 7)}
    return {
        "info": {},
        "images": [{"id": 1, "file_name": "photos\\1.jpg", "height": HEIGHT, "width": WIDTH}],
        "categories": [{"id": number, "name": label} for label, number in ids.items()],
        "annotations": [
            {"id": number, "image_id": 1, "category_id": ids[label], **of}
            for number, (label, of) in enumerate(objects.items())
        ],
    }


def labelme(*shapes: Any, **about: Any) -> dict[str, Any]:
    """A file of Labelme with these shapes."""
    size = {"imageHeight": HEIGHT, "imageWidth": WIDTH, "imageData": "not read"}
    return {"imagePath": "..\\photos\\1.jpg", "shapes": shapes, **size, **about}


def shape(label: str, points: Any, shape_type: str = "polygon", **others: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": shape_type, "flags": {}, **others}


def png(pixels: np.ndarray, palette: list[int] | None = None) -> bytes:
    image = Image.fromarray(pixels, "P" if palette else None)
    if palette:
        image.putpalette(palette)
    image.save(file := BytesIO(), "PNG")
    return file.getvalue()


def text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def corner(edges: tuple[int, int, int, int]) -> list[int]:
    left, top, right, bottom = edges
    return [left, top, right - left, bottom - top]


def flat(label: str) -> list[list[float]]:
    return [[number for point in OUTLINES[label] for number in point]]


def voc_xml(*objects: str, name: str = "1.jpg", size: tuple[int, int] = (HEIGHT, WIDTH)) -> str:
    return (
        f"<annotation><folder>VOC2007</folder><filename>{name}</filename><size>"
        f"<width>{size[1]}</width><height>{size[0]}</height><depth>3</depth></size>"
        f"{''.join(objects)}</annotation>"
    )


def voc_object(label: str, edges: tuple[int, int, int, int], more: str = "") -> str:
    """The first and last pixels, counted from 1."""
    left, top, right, bottom = edges
    return (
        f"<object><name>{label}</name><truncated>1</truncated><difficult>1</difficult><bndbox>"
        f"<xmin>{left + 1}</xmin><ymin>{top + 1}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax>"
        f"</bndbox>{more}</object>"
    )


def labelme_xml_object(label: str, deleted: int = 0) -> str:
    points = "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in OUTLINES[label])
    return (
        f"<object><name>{label}</name><deleted>{deleted}</deleted><polygon><username>me"
        f"</username>{points}</polygon></object>"
    )


def yolo_line(number: int, edges: tuple[int, int, int, int]) -> str:
    left, top, width, height = corner(edges)
    x, y = (left + width / 2) / WIDTH, (top + height / 2) / HEIGHT
    return f"{number} {x} {y} {width / WIDTH} {height / HEIGHT}"


def yolo_outline(number: int, label: str) -> str:
    return " ".join([str(number), *(f"{x / WIDTH} {y / HEIGHT}" for x, y in OUTLINES[label])])


def window(label: str) -> dict[str, Any]:
    """A mask of Labelme: a PNG of the window round the object."""
    left, top, right, bottom = HARE if label == "hare" else LYNX
    inside = png(np.full((bottom - top, right - left), 255, np.uint8))
    points = [[left, top], [right - 1, bottom - 1]]
    return shape(label, points, "mask", mask=base64.b64encode(inside).decode())


PALETTE = [0, 0, 0, 128, 0, 0, 0, 128, 0, *[60, 60, 60] * 252, 224, 224, 192]


def segmentation(hare: int, lynx: int) -> bytes:
    numbers = np.zeros((HEIGHT, WIDTH), np.uint8)
    numbers[3:8, 4:11], numbers[10:14, 12:18], numbers[9, 11:19] = hare, lynx, 255
    return png(numbers, PALETTE)


BOXES = [voc_object("hare", HARE, "<part><name>head</name><bndbox/></part>")]

FILES: dict[str, tuple[Callable[..., Any], str, dict[str, str | bytes | dict]]] = {
    "COCO, boxes": (
        read_coco,
        "a.json",
        {"a.json": coco(hare={"bbox": corner(HARE)}, lynx={"bbox": corner(LYNX)})},
    ),
    "COCO, outlines": (
        read_coco,
        "a.json",
        {
            "a.json": coco(
                hare={"segmentation": flat("hare"), "bbox": [0, 0, 1, 1]},
                lynx={"segmentation": flat("lynx"), "iscrowd": 0},
            )
        },
    ),
    "COCO, run lengths": (
        read_coco,
        "a.json",
        {
            "a.json": coco(
                hare={
                    "segmentation": {"counts": [67, *[5, 11] * 6, 5, 152], "size": [16, 20]},
                    "iscrowd": 1,
                },
                lynx={"segmentation": {"counts": "Z64<000000000f0", "size": [16, 20]}},
            )
        },
    ),
    "COCO, compressed run lengths": (
        read_coco,
        "a.json",
        {
            "a.json": coco(
                hare={"segmentation": {"counts": "S25;00000000000]4", "size": [16, 20]}},
                lynx={"segmentation": {"counts": "Z64<000000000f0", "size": [16, 20]}},
            )
        },
    ),
    "Labelme, polygons": (
        read_labelme,
        "a",
        {"a/1.json": labelme(*(shape(label, OUTLINES[label]) for label in ("hare", "lynx")))},
    ),
    "Labelme, rectangles": (
        read_labelme,
        "a/1.json",
        {
            "a/1.json": labelme(
                shape("hare", [[11, 3], [4, 8]], "rectangle"),
                shape("lynx", [[12, 10], [18, 14]], "rectangle"),
            )
        },
    ),
    "Labelme, masks": (
        read_labelme,
        "a",
        {"a/1.json": labelme(window("hare"), window("lynx"), imageHeight=None)},
    ),
    "LabelMe, XML": (
        read_labelme_xml,
        "a",
        {
            "a/1.xml": (
                "<annotation><filename>\n1.jpg\n</filename>"
                f"{labelme_xml_object('hare')}{labelme_xml_object('lynx')}"
                f"{labelme_xml_object('hare').replace('>3<', '>0<').replace('>0</del', '>1</del')}"
                "</annotation>"
            )
        },
    ),
    "YOLO, boxes": (
        read_yolo,
        "a/labels/train",
        {
            "a/labels/train/1.txt": f"{yolo_line(1, LYNX)}\n\n{yolo_line(0, HARE)} 0.25\n",
            "a/data.yaml": "train: images/train\nnames: [hare, lynx]\n",
        },
    ),
    "YOLO, outlines": (
        read_yolo,
        "a",
        {
            "a/1.txt": f"{yolo_outline(0, 'hare')}\r\n{yolo_outline(1, 'lynx')}",
            "a/classes.txt": "hare\nlynx\n",
        },
    ),
    "PASCAL VOC, boxes": (
        read_voc,
        "a",
        {"a/1.xml": voc_xml(*BOXES, voc_object("lynx", LYNX))},
    ),
    "PASCAL VOC, classes": (
        lambda path: read_voc_segmentation(path, ("background", "lynx", "hare")),
        "SegmentationClass",
        {"SegmentationClass/1.png": segmentation(2, 1)},
    ),
    "PASCAL VOC, objects": (
        lambda path: read_voc_segmentation(path, ("background", "lynx", "hare")),
        "SegmentationObject",
        {
            "SegmentationClass/1.png": segmentation(2, 1),
            "SegmentationObject/1.png": segmentation(1, 2),
        },
    ),
}
"""For each kind of file: its reader, what that is given, and the files."""


def write(folder: Path, files: dict[str, Any]) -> None:
    """Write files: bytes, text, or what JSON shall hold."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else text(content).encode())
