"""Drawing for the report page: SVG paths, images as data URIs, and numbers as text."""

from lookright.drawing.panel import Panel, Point, Series, Tick, band, line, spaced
from lookright.drawing.pictures import overlay_uri, picture_uri, shade_uri
from lookright.drawing.style import STAR, Style, default_style
from lookright.drawing.words import (
    count,
    listing,
    p_value,
    percent,
    pixel_levels,
    shortened,
    span,
)

__all__ = [
    "STAR",
    "Panel",
    "Point",
    "Series",
    "Style",
    "Tick",
    "band",
    "count",
    "default_style",
    "line",
    "listing",
    "overlay_uri",
    "p_value",
    "percent",
    "picture_uri",
    "pixel_levels",
    "shade_uri",
    "shortened",
    "spaced",
    "span",
]
