"""Annotations that other tools wrote: as shapes, and as masks for the images of a folder.

One file for each format: `coco`, `labelme`, `voc`, `yolo`; `detect` tells them apart.
"""

from lookright.data.annotations.annotated import UNIT, Annotated
from lookright.data.annotations.coco import read_coco
from lookright.data.annotations.detect import read_annotations
from lookright.data.annotations.labelme import read_labelme, read_labelme_xml
from lookright.data.annotations.shapes import Bitmap, Box, Polygon, Shape, draw
from lookright.data.annotations.voc import read_voc, read_voc_segmentation
from lookright.data.annotations.write import Labels, Outcome, write_masks
from lookright.data.annotations.yolo import read_yolo

__all__ = [
    "UNIT",
    "Annotated",
    "Bitmap",
    "Box",
    "Labels",
    "Outcome",
    "Polygon",
    "Shape",
    "draw",
    "read_annotations",
    "read_coco",
    "read_labelme",
    "read_labelme_xml",
    "read_voc",
    "read_voc_segmentation",
    "read_yolo",
    "write_masks",
]
