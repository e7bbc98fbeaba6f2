"""Annotations that other tools wrote, as shapes, and as masks for the images of a folder.

One file for each format: `coco`, `labelme`, `yolo`, `voc`; `detect` tells them apart.
"""

from lookright.data.annotations.annotated import UNIT, Annotated
from lookright.data.annotations.shapes import Bitmap, Box, Polygon, Shape, draw

__all__ = ["UNIT", "Annotated", "Bitmap", "Box", "Polygon", "Shape", "draw"]
