"""Annotations become masks at the paths of their images, and are read as they were drawn."""

import os
import warnings
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
from PIL import Image

from annotation_files import FILES, HARE, HEIGHT, LYNX, OUTLINES, WIDTH, expected, write
from lookright.data import load_data
from lookright.data.annotations import (
    UNIT,
    Annotated,
    Bitmap,
    Box,
    Polygon,
    mask_file,
    read_annotations,
    write_masks,
)
from lookright.data.images import read_image, turned
from lookright.errors import UserError
from lookright.locks import HeldError, locked

SIZE = (HEIGHT, WIDTH)
HARES, LYNXES = Box("hare", *HARE), Box("lynx", *LYNX)
NAMES = [f"{domain}/{name}/1.png" for domain in ("day", "night") for name in ("hare", "lynx")]


def image(path: Path, size=SIZE, shade=0, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size[::-1], (shade, 9, 9)).save(path, **options)


@pytest.fixture
def images(tmp_path):
    """NAMES, each another image."""
    for shade, name in enumerate(NAMES):
        image(tmp_path / "images" / name, shade=shade)
    return tmp_path / "images"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "masks"


def masks(out):
    """The masks by their paths, as arrays."""
    return {
        path.relative_to(out).as_posix(): np.array(Image.open(path))
        for path in sorted(out.rglob("*.png"))
    }


def of(name, *shapes, size=SIZE, **others):
    return Annotated(name, size, shapes, **others)


def done(annotated, images, out, **options):
    return write_masks(annotated, images, out, progress=False, **options)


@pytest.mark.parametrize(("read", "at", "files"), FILES.values(), ids=FILES)
def test_from_annotations_to_the_batch(tmp_path, out, read, at, files):
    """The mask that a batch has is the one drawn by hand, whatever the format."""
    write(tmp_path, files)
    for name in ("hare", "lynx"):
        image(tmp_path / "images" / "here" / name / "2.jpg", shade=99)
        image(tmp_path / "images" / "there" / name / "1.jpg")
    outcome = done(read(tmp_path / at), tmp_path / "images", out)
    assert sorted(outcome.written) == ["there/hare/1.jpg", "there/lynx/1.jpg"]
    data = load_data(tmp_path / "images", image_size=HEIGHT, masks=out)
    batch = data.samples("there", [0, 1])
    margin = (WIDTH - HEIGHT) // 2
    for mask, label in zip(batch.masks, ("hare", "lynx"), strict=True):
        square = expected(label)[:, margin : WIDTH - margin]
        assert (mask[0].numpy() * 255 == square).all()
    assert data.samples("here", [0]).has_mask.tolist() == [False]


def test_ignored_pixels_stay_so(images, out):
    """A border is neither object nor background; masks with and without one are read together."""
    border = np.zeros(SIZE, bool)
    border[9, 2:19] = True
    ring = (Bitmap.of("border", border),)
    annotated = [of(name, HARES, LYNXES, ignored=ring * (name == NAMES[0])) for name in NAMES]
    done(annotated, images, out)
    assert Image.open(out / NAMES[0]).mode == "P"
    data = load_data(images, image_size=HEIGHT, masks=out)
    batch = data.samples("day", [0, 1])
    assert (batch.masks[0, 0].numpy() * 255 == expected("hare")[:, 2:18]).all()
    assert (batch.masks[1, 0].numpy() * 255 == expected("lynx")[:, 2:18]).all()
    assert (batch.ignored[0, 0].numpy() == border[:, 2:18]).all()
    assert not batch.ignored[1].any()


def test_an_object_is_not_ignored_where_a_border_covers_it(images, out):
    ring = Bitmap.of("border", expected("hare") > 0)
    done([of(NAMES[0], HARES, ignored=(ring,))], images, out)
    assert (masks(out)[NAMES[0]] == expected("hare")).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("frame", ["shown", "stored", "shares"])
def test_masks_are_turned_with_their_images(tmp_path, out, orientation, frame):
    """Where the image is white, its mask is 255, however annotations and image are turned."""
    pixels = np.full((*SIZE, 3), 9, np.uint8)
    pixels[3:8, 4:11] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ("hare", "lynx"):
        path = tmp_path / "images" / name / f"{name}.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(pixels).save(path, exif=exif)
    upright = turned(Image.fromarray(pixels), orientation)
    rows, columns = np.nonzero(np.array(upright)[..., 0] > 128)
    edges = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    height, width = upright.size[::-1]
    if frame == "stored" and orientation >= 5:
        annotated = of("hare", HARES)
    elif frame == "shares":
        left, top, right, bottom = edges
        box = Box("hare", left / width, top / height, right / width, bottom / height)
        annotated = of("hare", box, size=UNIT)
    else:
        annotated = of("hare", Box("hare", *edges), size=(height, width))
    done([annotated], tmp_path / "images", out)
    (mask,) = masks(out).values()
    shown = np.array(read_image(tmp_path / "images" / "hare" / "hare.png"))[..., 0]
    assert (mask == np.where(shown > 128, 255, 0)).all()


def test_annotations_of_another_resolution_are_resized(images, out):
    """As those of Caltech Camera Traps, whose images are half as large as its boxes are for."""
    double = [HARES.scaled(2, 2), Bitmap.of("lynx", np.kron(expected("lynx"), np.ones((2, 2))) > 0)]
    done([of(name, *double, size=(2 * HEIGHT, 2 * WIDTH)) for name in NAMES], images, out)
    for name, mask in masks(out).items():
        assert (mask == expected(name.split("/")[1])).all()
    border = (Box("border", *(2 * edge for edge in LYNX)),)
    done([of(NAMES[0], double[0], size=(2 * HEIGHT, 2 * WIDTH), ignored=border)], images, out)
    both = np.where(expected("hare") > 0, 1, np.where(expected("lynx") > 0, 2, 0))
    assert (masks(out)[NAMES[0]] == both).all()


def test_annotations_of_another_shape_give_no_mask(images, out):
    outcome = done([of(NAMES[0], HARES, size=(99, WIDTH)), of(NAMES[1], LYNXES)], images, out)
    assert outcome.unread == (
        f"'{NAMES[0]}': its height and width are (16, 20), but its annotations are of (99, 20)",
    )
    assert list(masks(out)) == [NAMES[1]]


LABELS = {
    "their own": ("own", ["hare", "Hare"], {"day/hare/1.png", "night/hare/1.png"}),
    "all": ("all", ["dog"], set(NAMES)),
    "listed": ({"lynx": ["Big_cat"]}, ["big  CAT"], {"day/lynx/1.png", "night/lynx/1.png"}),
    "some listed": ({"lynx": ["cat"]}, ["hare", "cat"], set(NAMES)),
}


@pytest.mark.parametrize(("labels", "given", "expected_images"), LABELS.values(), ids=LABELS)
def test_labels_choose_the_shapes(images, out, labels, given, expected_images):
    annotated = [of(name, *(Box(label, *HARE) for label in given)) for name in NAMES]
    outcome = done(annotated, images, out, labels=labels)
    assert {*masks(out)} == {*outcome.written} == expected_images
    assert {*outcome.without_shape} == {*NAMES} - expected_images
    assert all((mask == expected("hare")).all() for mask in masks(out).values())


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
def test_a_label_is_known_in_any_form_of_unicode(tmp_path, out, forms):
    label, name = (normalize(form, "\u00e9lan") for form in forms)
    for shade, each in enumerate((name, "lynx")):
        image(tmp_path / "images" / each / "1.png", shade=shade)
    outcome = done([of(f"{name}/1.png", Box(label, *HARE))], tmp_path / "images", out)
    assert outcome.written == (f"{name}/1.png",)


WRONG_LABELS = {
    "an unknown class": ({"hares": ["a"]}, r"classes of the images, hare, lynx, got 'hares'. Did"),
    "another word": ("hare", "labels own, all, or those of each class; got 'hare'"),
    "a text": ({"hare": "dog"}, "a list of labels for class 'hare'; got one text"),
    "no label of a class": (
        "own",
        r"classes of the images, hare, lynx; the labels are cat, dog: say",
    ),
}


@pytest.mark.parametrize(("labels", "message"), WRONG_LABELS.values(), ids=WRONG_LABELS)
def test_labels_that_fit_nothing_are_refused(images, out, labels, message):
    with pytest.raises(UserError, match=message):
        done([of(NAMES[0], Box("dog", *HARE), Box("cat", *HARE))], images, out, labels=labels)
    assert not out.exists()


def test_a_label_that_no_shape_has_is_told(images, out):
    with pytest.warns(UserWarning, match="No annotation has the label 'hase' of class 'hare'. Did"):
        done([of(NAMES[0], HARES)], images, out, labels={"hare": ["hare", "hase"]})


def test_images_without_shapes_have_no_mask(images, out):
    """An empty mask would say that there is no object; a missing one says nothing."""
    outside = Box("lynx", -9, -9, -1, -1)
    annotated = [of(NAMES[0], HARES), of(NAMES[1]), of(NAMES[3], outside), of("day/owl/7.png")]
    outcome = done([*annotated, of("", unread=("lost",), size=None)], images, out)
    assert list(masks(out)) == [NAMES[0]]
    assert (outcome.written, outcome.without_annotation) == ((NAMES[0],), (NAMES[2],))
    assert sorted(outcome.without_shape) == [NAMES[1], NAMES[3]]
    assert outcome.strays == ("day/owl/7.png",)
    assert outcome.unread == ("lost",)


def test_what_became_of_them_is_told(images, out):
    annotated = [of(NAMES[0], HARES), of(NAMES[1], LYNXES, passed_over=("a point", "a line"))]
    annotated += [of(NAMES[2], HARES, unread=("entry 1: NaN",), passed_over=("a point",))]
    assert done(annotated, images, out).lines() == [
        "2 masks were written, such as day/hare/1.png",
        "1 images have no annotation, and so no mask, such as night/lynx/1.png",
        "1 annotations cannot be read, and their images have no mask, such as "
        "'night/hare/1.png': entry 1: NaN",
        "2 entries have no area: a point",
        "1 entries have no area: a line",
    ]


def test_annotations_of_one_image_in_several_files_are_drawn_together(images, out):
    done([of(NAMES[0], HARES), of(NAMES[0], Box("hare", *LYNX))], images, out)
    assert (masks(out)[NAMES[0]] == expected("hare") + expected("lynx")).all()


MATCHES = {
    "the whole path": ("day/hare/1.png", ["day/hare/1.png"]),
    "a longer one": ("C:/me/day/hare/1.png", ["day/hare/1.png"]),
    "without the suffix": ("night/lynx/1", ["night/lynx/1.png"]),
    "another suffix": ("night/lynx/1.jpg", ["night/lynx/1.png"]),
    "the file's name": ("photos/2.JPG", ["day/hare/2.jpg"]),
    "the file's name without suffix": ("2", ["day/hare/2.jpg"]),
    "the suffix decides": ("3.jpg", ["day/hare/3.jpg"]),
    "points in the name": ("a.b", ["day/lynx/a.b.png"]),
    "the copies of one image": ("4.png", ["day/lynx/4.png", "night/hare/4.png"]),
    "one of its copies": ("night/hare/4.png", ["night/hare/4.png"]),
    "out of the folder": ("../../etc/2.jpg", ["day/hare/2.jpg"]),
    "from the root": ("/2.jpg", ["day/hare/2.jpg"]),
    "composed otherwise": ("cafe\u0301.png", ["day/lynx/caf\u00e9.png"]),
    "nothing": ("7.png", []),
    "part of a name": ("hare/1.pn", []),
    "a folder": ("day/hare", []),
}


@pytest.fixture
def many(images):
    for shade, name in enumerate(
        ("day/hare/2.jpg", "day/hare/3.jpg", "night/lynx/3.png", "day/lynx/a.b.png"), 10
    ):
        image(images / name, shade=shade)
    for name in ("day/lynx/4.png", "night/hare/4.png", "day/lynx/caf\u00e9.png"):
        image(images / name, shade=99)
    return images


@pytest.mark.parametrize(("name", "found"), MATCHES.values(), ids=MATCHES)
def test_images_are_found_by_their_names(many, out, name, found):
    outcome = done([of(name, HARES)], many, out, labels="all")
    assert sorted(outcome.written) == found
    assert sorted(masks(out)) == [str(Path(each).with_suffix(".png")) for each in found]
    assert outcome.strays == (() if found else (name,))


UNCLEAR = {
    "several images": (["1.png"], r"belong to several .* '1.png' to day/hare/1.png, day/lynx/1"),
    "two names": (["a/2.jpg", "b/2.jpg"], r"a/2.jpg, b/2.jpg all seem to be of 'day/hare/2.jpg'"),
}


@pytest.mark.parametrize(("names", "message"), UNCLEAR.values(), ids=UNCLEAR)
def test_what_fits_several_is_refused(many, out, names, message):
    with pytest.raises(UserError, match=message):
        done([of(name, HARES) for name in names], many, out, labels="all")
    assert not out.exists()


def test_the_better_of_two_names_wins(many, out):
    outcome = done([of("b/2.jpg", HARES), of("hare/2.jpg", LYNXES)], many, out, labels="all")
    assert outcome.strays == ("b/2.jpg",)
    assert (masks(out)["day/hare/2.png"] == expected("lynx")).all()


def test_images_whose_masks_would_be_one_are_refused(images, out):
    image(images / "day/hare/1.jpg", shade=77)
    with pytest.raises(UserError, match=r"mask of both 'day/hare/1.[jp][pn]g' and 'day/hare/1"):
        done([of("hare/1.jpg", HARES), of("day/hare/1.png", HARES)], images, out)


def written_at(out):
    return {name: (out / name).stat().st_mtime_ns for name in masks(out)}


def test_a_second_call_goes_on_where_the_first_was_stopped(images, out, monkeypatch):
    annotated = [of(name, HARES, LYNXES) for name in NAMES]
    real, count = mask_file.write_atomically, []

    def stopped(path, content, **options):
        count.append(path)
        if len(count) > 2:
            raise KeyboardInterrupt
        return real(path, content, **options)

    monkeypatch.setattr(mask_file, "write_atomically", stopped)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    with pytest.raises(KeyboardInterrupt):
        done(annotated, images, out)
    monkeypatch.undo()
    before = written_at(out)
    assert len(before) == 2
    outcome = done(annotated, images, out)
    assert ({*outcome.kept}, len(outcome.written)) == ({*before}, 2)
    assert before.items() <= written_at(out).items()
    assert {*masks(out)} == {*NAMES}


CHANGES = {
    "a shape": (of(NAMES[0], Box("hare", *LYNX)), "lynx"),
    "its size": (of(NAMES[0], HARES.scaled(2, 2), size=(2 * HEIGHT, 2 * WIDTH)), "hare"),
    "no shape of this label": (of(NAMES[0], LYNXES), None),
    "nothing that can be read": (of(NAMES[0], HARES, unread=("?",)), None),
}


@pytest.mark.parametrize(("changed", "label"), CHANGES.values(), ids=CHANGES)
def test_a_mask_is_what_the_annotations_say_now(images, out, changed, label):
    others = [of(NAMES[3], LYNXES)]
    done([of(NAMES[0], HARES), *others], images, out)
    assert (masks(out)[NAMES[0]] == expected("hare")).all()
    outcome = done([changed, *others], images, out)
    assert outcome.kept == (NAMES[3],)
    found = masks(out).get(NAMES[0])
    assert found is None if label is None else (found == expected(label)).all()


def test_a_mask_follows_the_points_of_an_outline_and_the_size_of_the_image(images, out):
    for label in ("hare", "lynx"):
        outline = Polygon("hare", (np.array(OUTLINES[label], float),))
        done([of(NAMES[0], outline, size=None)], images, out)
        assert (masks(out)[NAMES[0]] == expected(label)).all()
    image(images / NAMES[0], (2 * HEIGHT, WIDTH))
    done([of(NAMES[0], outline, size=None)], images, out)
    assert masks(out)[NAMES[0]].shape == (2 * HEIGHT, WIDTH)


def test_masks_of_images_that_are_not_annotated_this_time_stay(images, out):
    done([of(NAMES[0], HARES)], images, out)
    done([of(NAMES[3], LYNXES)], images, out)
    assert [*masks(out)] == [NAMES[0], NAMES[3]]


@pytest.mark.parametrize("kind", ["another mask", "no image", "an empty file", "a folder"])
def test_a_file_that_was_not_drawn_from_annotations_is_kept(images, out, kind):
    path = out / NAMES[0]
    image(path)
    if kind == "a folder":
        path.unlink()
        path.mkdir()
    elif kind != "another mask":
        path.write_bytes(b"" if "empty" in kind else b"mine")
    before = None if kind == "a folder" else path.read_bytes()
    for annotated in (of(NAMES[0], HARES), of(NAMES[0], LYNXES)):
        with pytest.raises(UserError, match="drawn from annotations; it is another one: name"):
            done([annotated, of(NAMES[1], LYNXES)], images, out)
        assert path.is_dir() if before is None else path.read_bytes() == before


def test_nothing_is_written_through_links_or_into_the_images(images, out, tmp_path):
    with pytest.raises(UserError, match="another folder for masks"):
        done([of(NAMES[0], HARES)], images, images / ".." / "images")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    out.mkdir()
    (out / "day").symlink_to(elsewhere)
    with pytest.raises(UserError, match="nothing is written through a link"):
        done([of(NAMES[0], HARES)], images, out)
    assert not [*elsewhere.iterdir()]


def test_masks_may_lie_within_the_folder_of_the_images(images):
    done([of(name, HARES, LYNXES) for name in NAMES], images, images / "masks")
    again = done([of(name, HARES, LYNXES) for name in NAMES], images, images / "masks")
    assert len(again.kept) == 4


def test_one_command_writes_at_a_time(images, out):
    with locked(out), pytest.raises(HeldError, match="is being written by"):
        done([of(NAMES[0], HARES)], images, out)


def test_a_broken_image_costs_only_its_mask(images, out):
    (images / NAMES[0]).write_bytes(b"no image")
    outcome = done([of(NAMES[0], HARES), of(NAMES[1], LYNXES)], images, out)
    assert list(masks(out)) == [NAMES[1]]
    assert "its content is no known image format" in outcome.unread[0]


def test_a_size_of_one_pixel_asks_for_no_memory(images, out):
    """Of a file that says so, with a mask of many pixels."""
    huge = Bitmap.of("hare", np.ones((4000, 4000), bool))
    done([of(NAMES[0], huge, size=(1, 1))], images, out)
    assert (masks(out)[NAMES[0]] == 255).all()


def test_a_folder_of_one_domain_and_progress(tmp_path, images, capsys):
    """The paths below the named folder are those of the masks, and bars are on stderr."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_masks([of("1", HARES), of("lynx/1", LYNXES)][1:], images / "day", tmp_path / "m")
    assert list(masks(tmp_path / "m")) == ["lynx/1.png"]
    assert capsys.readouterr().out == ""


def test_images_in_deeper_folders_are_taken_or_skipped(images, out):
    image(images / "day/hare/deep/2.png", shade=77)
    annotated = [of(NAMES[0], HARES), of("2.png", HARES)]
    with pytest.raises(UserError, match="--subfolders take or skip"):
        done(annotated, images, out)
    for subfolders, count in (("skip", 1), ("take", 2)):
        done(annotated, images, out, subfolders=subfolders)
        assert len(masks(out)) == count


def test_of_what_a_user_names(tmp_path, images):
    _, at, files = FILES["COCO, boxes"]
    files = {at: files[at] | {"images": [files[at]["images"][0] | {"file_name": NAMES[0]}]}}
    write(tmp_path, files)
    outcome = done(read_annotations(str(tmp_path / at)), str(images), str(tmp_path / "masks"))
    assert outcome.written == (NAMES[0],)
