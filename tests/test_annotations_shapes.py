"""Shapes draw the pixels whose centres lie inside them, by hand and by independent rasterisers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Outline

from lookright.data.annotations import Bitmap, Box, Polygon, draw
from lookright.data.annotations.outline import MOST_CROSSINGS
from lookright.data.annotations.rle import read_runs, runs_of
from lookright.errors import UserError


def polygon(*outlines):
    return Polygon("a", tuple(np.array(outline, float) for outline in outlines))


def grid(text):
    return np.array([[character == "#" for character in row] for row in text.split()])


SHAPES = {
    "a box": (Box("a", 1, 1, 3, 2), "..... .##.. ....."),
    "half of a pixel on either side, left and top count": (
        Box("a", 0.5, 0.5, 2.5, 1.5),
        "##... ..... .....",
    ),
    "less than half": (Box("a", 0.51, 0, 2.49, 1), ".#... ..... ....."),
    "a box that leaves the image": (Box("a", -1e6, 2, 2, 1e6), "..... ..... ##..."),
    "a box outside": (Box("a", -9, -9, -1, -1), "..... ..... ....."),
    "a triangle": (polygon([(0, 0), (5, 0), (0, 5)]), "####. ###.. ##..."),
    "the other way round": (polygon([(0, 5), (5, 0), (0, 0)]), "####. ###.. ##..."),
    "an outline that leaves the image": (polygon([(3, -9), (9, 1), (3, 9)]), "...## ...## ...##"),
    "an outline that crosses itself": (
        polygon([(0, 0), (5, 0), (5, 3), (2, 3), (2, 1), (4, 1), (4, 2), (0, 2)]),
        "##### ##..# ..###",
    ),
    "two parts": (
        polygon([(0, 0), (1, 0), (1, 1), (0, 1)], [(4, 2), (5, 2), (5, 3), (4, 3)]),
        "#.... ..... ....#",
    ),
    "two parts that overlap": (
        polygon([(0, 0), (3, 0), (3, 1), (0, 1)], [(2, 0), (5, 0), (5, 1), (2, 1)]),
        "##### ..... .....",
    ),
    "a line": (polygon([(0, 0), (5, 3), (0, 0)]), "..... ..... ....."),
    "a bitmap": (Bitmap.of("a", grid("#. ##"), 3, 1), "..... ...#. ...##"),
    "a bitmap cut off": (Bitmap.of("a", grid("#. ##"), -1, -1), "#.... ..... ....."),
    "a bitmap beyond the end": (Bitmap.of("a", grid("## ##"), 4, 2), "..... ..... ....#"),
    "a bitmap outside": (Bitmap.of("a", grid("## ##"), 9, -9), "..... ..... ....."),
    "a larger bitmap": (Bitmap.of("a", grid("#. ##")).scaled(2, 1), "##... ####. ....."),
    "a smaller bitmap": (
        Bitmap.of("a", grid("#### .#.# ####"), 2, 0).scaled(0.5, 1),
        ".##.. .##.. .##..",
    ),
}


@pytest.mark.parametrize(("shape", "expected"), SHAPES.values(), ids=SHAPES)
def test_shapes_by_hand(shape, expected):
    mask = draw([shape], 3, 5)
    assert mask.dtype == np.uint8
    assert mask.tolist() == (grid(expected) * 255).tolist()


def test_shapes_are_drawn_together():
    mask = draw([Box("a", 0, 0, 2, 1), polygon([(1, 0), (4, 0), (4, 1), (1, 1)])], 1, 5)
    assert mask.tolist() == [[255] * 4 + [0]]
    assert draw([], 2, 1).tolist() == [[0], [0]]


COORDINATES = st.one_of(
    st.integers(-3, 14), st.sampled_from([0.5, 2.5, 7.5]), st.floats(-3, 14, width=32)
)
OUTLINES = st.lists(st.tuples(COORDINATES, COORDINATES), min_size=3, max_size=9)


def from_edge(outline, x, y):
    """How far a point is from an outline (N, 2)."""
    start, end = np.array(outline, float), np.roll(np.array(outline, float), -1, 0)
    along = end - start
    share = ((np.array([x, y]) - start) * along).sum(1) / np.maximum((along**2).sum(1), 1e-30)
    nearest = start + share.clip(0, 1)[:, None] * along
    return np.hypot(*(nearest - [x, y]).T).min()


def differences(one, other, outline):
    """How far the centres of the pixels that differ are from the outline."""
    return [
        from_edge(outline, column + 0.5, row + 0.5) for row, column in np.argwhere(one != other)
    ]


@settings(max_examples=150, deadline=None)
@given(OUTLINES)
def test_an_outline_holds_the_centres_that_matplotlib_finds_inside(outline):
    mask = draw([polygon(outline)], 9, 12) > 0
    rows, columns = np.mgrid[:9, :12] + 0.5
    points = np.stack([columns.ravel(), rows.ravel()], 1)
    path = Outline(np.array([*outline, outline[0]], float), closed=True)
    assert (
        max(differences(mask, path.contains_points(points).reshape(9, 12), outline), default=0)
        < 1e-5
    )


@settings(max_examples=100, deadline=None)
@given(OUTLINES, st.tuples(COORDINATES, COORDINATES))
def test_outlines_that_share_an_edge_share_no_pixel_and_leave_none_out(outline, point):
    """Triangles from one point to each edge cover what the outline does, an odd number of times."""
    triangles = [
        draw([polygon([point, one, other])], 9, 12) > 0
        for one, other in zip(outline, [*outline[1:], outline[0]], strict=True)
    ]
    expected = draw([polygon(outline)], 9, 12) > 0
    assert (np.logical_xor.reduce(triangles) == expected).all()


@settings(max_examples=100, deadline=None)
@given(st.lists(COORDINATES, min_size=4, max_size=4))
def test_a_box_is_the_polygon_of_its_corners(edges):
    (left, right), (top, bottom) = sorted(edges[:2]), sorted(edges[2:])
    corners = polygon([(left, top), (right, top), (right, bottom), (left, bottom)])
    box = Box("a", left, top, right, bottom)
    assert (draw([corners], 9, 12) == draw([box], 9, 12)).all()
    twice = draw([box.scaled(2, 2)], 18, 24), draw([corners.scaled(2, 2)], 18, 24)
    assert (twice[0] == twice[1]).all()


def test_an_outline_as_large_as_the_numbers_it_may_have_is_drawn():
    assert draw([polygon([(-1e7, -1e7), (1e7, -1e7), (1e7, 1e7)])], 2, 3).tolist() == [
        [255, 255, 255],
        [0, 255, 255],
    ]


def test_an_outline_without_end_is_refused():
    height, points = 40_000, 2 * MOST_CROSSINGS // 40_000
    zigzag = np.array([(0, 0), (1, height)] * (points // 2), float)
    draw([Polygon("a", (zigzag[: points // 8],))], height, 2)
    with pytest.raises(UserError, match="up to 100,000,000 times; one of 5,000 points does so 200"):
        draw([Polygon("a", (zigzag,))], height, 2)


PIXELS = st.tuples(st.integers(1, 9), st.integers(1, 9), st.randoms()).map(
    lambda of: np.array([[of[2].random() < 0.5 for _ in range(of[1])] for _ in range(of[0])])
)


@settings(max_examples=60, deadline=None)
@given(PIXELS)
def test_a_bitmap_keeps_its_pixels(pixels):
    height, width = pixels.shape
    bitmap = Bitmap.of("a", pixels)
    assert (bitmap.pixels == pixels).all()
    assert (read_runs(bitmap.runs.tolist(), height, width) == bitmap.runs).all()
    assert (draw([bitmap], height, width) == pixels * 255).all()


ENCODINGS = {
    "S25;00000000000]4": ((16, 20), [67, 5, *[11, 5] * 6, 152]),
    "0;1Rb00mF": ((3, 300), [0, 11, 1, 589, 1, 298]),
}
"""Compressed by pycocotools: a box, and all but two pixels."""


@pytest.mark.parametrize(("text", "of"), ENCODINGS.items(), ids=repr)
def test_compressed_runs_by_hand(text, of):
    (height, width), runs = of
    assert read_runs(text, height, width).tolist() == runs


def test_runs_by_hand():
    assert runs_of(grid(".# ##")).tolist() == [1, 3]
    assert runs_of(grid("#. ..")).tolist() == [0, 1, 3]
    assert runs_of(grid("..")).tolist() == [2]


BROKEN = {
    "too few": [3, 3],
    "too many": [5, 6],
    "below zero": [12, -2],
    "no numbers": ["10"],
    "no whole numbers": [4.0, 6.0],
    "truths": [True, 9],
    "nothing": None,
    "a number": 10,
    "other characters": "\x7f\x00",
    "not of this alphabet": "é",
    "the middle of a length": ":P",
    "a length without end": "o" * 10_000 + "0",
    "a compressed length below zero": "O" + "00",
}


@pytest.mark.parametrize("counts", BROKEN.values(), ids=BROKEN)
def test_broken_runs_are_refused(counts):
    with pytest.raises(ValueError, match="its counts"):
        read_runs(counts, 2, 5)


@settings(max_examples=60, deadline=None)
@given(PIXELS)
def test_pycocotools_encodes_the_same(pixels):
    coco = pytest.importorskip("pycocotools.mask", reason="the reference for run lengths")
    height, width = pixels.shape
    text = coco.encode(np.asfortranarray(pixels, np.uint8))["counts"].decode()
    assert (read_runs(text, height, width) == runs_of(pixels)).all()


@settings(max_examples=100, deadline=None)
@given(OUTLINES)
def test_pycocotools_draws_the_same_but_for_centres_near_the_outline(outline):
    """It rounds points to a fifth of a pixel, and goes along edges in steps of one."""
    coco = pytest.importorskip("pycocotools.mask", reason="COCO's own rasteriser")
    mask = draw([polygon(outline)], 9, 12) > 0
    theirs = coco.decode(coco.frPyObjects([np.array(outline, float).ravel().tolist()], 9, 12))
    assert max(differences(mask, theirs[..., 0] > 0, outline), default=0) < 0.25
