"""Masks in every way that people store them say the same, or are refused with the mend."""

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lookright import cli
from lookright.batch import Batch
from lookright.data import ImageData, MaskValues, as_data, load_data
from lookright.errors import UserError
from lookright.metrics import localisation_iou, localisation_mass, pointing_game
from lookright.training import Run

SIZE, COUNT = 64, 4
Grid = NDArray[Any]
Made = Callable[[Grid, Grid], Image.Image]

VOC = [0, 0, 0, 128, 0, 0, 0, 128, 0, *[7] * (252 * 3), 224, 224, 192]
PHOTO = np.random.default_rng(0).integers(1, 256, (SIZE, SIZE, 3), dtype=np.uint8)


def places(index: int) -> tuple[Grid, Grid]:
    """A disc, which is the object, and the ring around it."""
    rows, columns = np.indices((SIZE, SIZE))
    distance = np.hypot(rows - 24 - 4 * (index % COUNT), columns - 30)
    return distance < 14, (distance >= 14) & (distance < 17)


def grey(objects: Grid, border: Grid, level: Any, ring: int = 0, kind: Any = np.uint8) -> Grid:
    return np.where(objects, level, np.where(border, ring, 0)).astype(kind)


def levels(level: int, ring: int = 0, kind: Any = np.uint8) -> Made:
    return lambda objects, border: Image.fromarray(grey(objects, border, level, ring, kind))


def half(objects: Grid, border: Grid, *numbers: int, ring: int = 0) -> Image.Image:
    """The upper and lower parts of the object have different numbers."""
    upper = np.indices(objects.shape)[0] < SIZE // 2
    return Image.fromarray(grey(objects, border, np.where(upper, *numbers), ring))


def palette(level: int, ring: int, colours: list[int]) -> Made:
    def made(objects: Grid, border: Grid) -> Image.Image:
        image = Image.fromarray(grey(objects, border, level, ring), "P")
        image.putpalette(colours)
        return image

    return made


def colours(inner: Any, ring: Any = (0, 0, 0)) -> Made:
    return lambda objects, border: Image.fromarray(
        np.where(objects[..., None], inner, np.where(border[..., None], ring, 0)).astype(np.uint8)
    )


def cut_out(objects: Grid, border: Grid, opaque: int = 255) -> Image.Image:
    alpha = np.where(objects, opaque, 0)[..., None].astype(np.uint8)
    return Image.fromarray(np.concatenate([PHOTO, alpha], -1))


FORMS: dict[str, tuple[str, Made]] = {
    "0 and 255": ("png", levels(255)),
    "0 and 1": ("png", levels(1)),
    "one bit": ("png", lambda o, b: levels(255)(o, b).convert("1")),
    "a class number": ("png", levels(2)),
    "a high class number": ("png", levels(181)),
    "class numbers": ("png", lambda o, b: half(o, b, 3, 17)),
    "16 bits, 0 and 1": ("png", levels(1, 0, np.uint16)),
    "16 bits, 0 and 65535": ("png", levels(65535, 0, np.uint16)),
    "16 bits, 0 and 255": ("png", levels(255, 0, np.uint16)),
    "16 bits, a number": ("tif", levels(26001, 0, np.uint16)),
    "32 bits": ("tif", levels(1, 0, np.int32)),
    "floating point": ("tif", levels(1, 0, np.float32)),
    "a red object": ("png", colours((128, 0, 0))),
    "a dark blue object": ("png", colours((0, 0, 1))),
    "a red channel with the number": ("png", colours((2, 0, 0))),
    "grey in RGB": ("png", colours((2, 2, 2))),
    "a cut-out": ("png", cut_out),
    "a half transparent cut-out": ("png", lambda o, b: cut_out(o, b, 128)),
    "a cut-out on black": ("png", colours(PHOTO)),
    "a white cut-out": ("png", lambda o, b: Image.merge("LA", [Image.new("L", o.shape, 255),
                                                                levels(255)(o, b)])),
    "a palette": ("png", palette(1, 0, [0, 0, 0, 128, 0, 0])),
    "a palette as GIF": ("gif", palette(1, 0, [0, 0, 0, 128, 0, 0])),
    "a palette of greys": ("png", palette(2, 0, [0, 0, 0, 90, 90, 90, 60, 60, 60])),
    "a palette whose first colour is not black": ("png", lambda o, b: palette(
        0, 1, [128, 0, 0, 0, 0, 0])(o, ~o)),
    "JPEG": ("jpg", levels(255)),
    "JPEG of a lower level": ("jpg", levels(128)),
    "JPEG in RGB": ("jpg", colours((255, 255, 255))),
    "JPEG noise in PNG": ("png", lambda o, b: Image.fromarray(
        (grey(o, b, 247) + np.random.default_rng(0).integers(0, 9, o.shape)).astype(np.uint8))),
}  # fmt: skip
BORDERED: dict[str, tuple[str, Made]] = {
    "1 with a border of 255": ("png", levels(1, 255)),
    "15 with a border of 255": ("png", levels(15, 255)),
    "numbers with a border of 255": ("png", lambda o, b: half(o, b, 3, 17, ring=255)),
    "16 bits with a border of 65535": ("png", levels(1, 65535, np.uint16)),
    "a border of -1": ("tif", levels(1, -1, np.int32)),
    "VOC's palette": ("png", palette(1, 255, VOC)),
    "a palette with a high number": (
        "png",
        palette(62, 255, [0, 0, 0, *range(1, 254), *VOC[:512]]),
    ),
    "a palette with a white border": ("png", palette(1, 255, [*VOC[:-3], 255, 255, 255])),
    "VOC's colours": ("png", colours((128, 0, 0), (224, 224, 192))),
}
TOLD: dict[str, tuple[str, Made, MaskValues]] = {
    "a pet's trimap": (
        "png",
        lambda o, b: Image.fromarray(np.where(o, 1, np.where(b, 3, 2)).astype(np.uint8)),
        MaskValues(object=(1,), ignore=(3,)),
    ),
    "a matte's trimap": ("png", levels(255, 128), MaskValues(ignore=(128,))),
    "a white object and border": ("png", levels(255, 1), MaskValues((255,), (1,))),
    "inverted": (
        "png",
        lambda o, b: Image.fromarray(np.where(o, 0, np.where(b, 7, 255)).astype(np.uint8)),
        MaskValues(object=(0,), ignore=(7,)),
    ),
    "an inverted bit and a border": (
        "png",
        lambda o, b: Image.fromarray(np.where(o, 0, np.where(b, 255, 1)).astype(np.uint8)),
        MaskValues(object=(0,), ignore=(255,)),
    ),
}
EVERY = {
    **{name: (*row, None, False) for name, row in FORMS.items()},
    **{name: (*row, None, True) for name, row in BORDERED.items()},
    **{name: (*row, True) for name, row in TOLD.items()},
    "soft above 65535": ("tif", levels(100_000, 0, np.int32), MaskValues(soft=True), False),
}


def written(root: Path, suffix: str, made: Made, count: int = COUNT) -> tuple[Path, Path]:
    """Images and their masks, in folders."""
    for index in range(count):
        place = Path("ab"[index % 2]) / f"{index}.png"
        for folder in ("images", "masks"):
            (root / folder / place).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(PHOTO ^ np.uint8(index)).save(root / "images" / place)
        made(*places(index)).save((root / "masks" / place).with_suffix(f".{suffix}"))
    return root / "images", root / "masks"


def of_folder(root: Path, suffix: str, made: Made, values: MaskValues | None) -> ImageData:
    images, masks = written(root, suffix, made)
    return load_data(images, SIZE, masks=masks, mask_values=values, cache=False)


def of_tools(root: Path, suffix: str, made: Made, values: MaskValues | None) -> ImageData:
    images, masks = written(root, suffix, made)
    return load_data(images, SIZE, tool_masks=masks, tool_mask_values=values)


def of_column(root: Path, suffix: str, made: Made, values: MaskValues | None) -> ImageData:
    datasets = pytest.importorskip("datasets", reason="needs the extra 'datasets'")
    datasets.disable_progress_bars()

    def encoded(image: Image.Image, kind: str) -> dict[str, Any]:
        image.save(file := io.BytesIO(), {"jpg": "JPEG", "tif": "TIFF"}.get(kind, kind.upper()))
        return {"bytes": file.getvalue(), "path": None}

    order = [0, 2, 1, 3]
    rows = {
        "image": [encoded(Image.fromarray(PHOTO), "png")] * COUNT,
        "label": [index % 2 for index in order],
        "mask": [encoded(made(*places(index)), suffix) for index in order],
    }
    features = datasets.Features(
        image=datasets.Image(), label=datasets.ClassLabel(names=["a", "b"]), mask=datasets.Image()
    )
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(root / "data")
    return load_data(root / "data", SIZE, mask_values=values)


def of_tensors(root: Path, suffix: str, made: Made, values: MaskValues | None) -> ImageData:
    numbers = [np.array(made(*places(index))) for index in (0, 2, 1, 3)]
    masks = torch.stack([torch.from_numpy(each.astype(np.float64)) for each in numbers])
    masks = masks.to({np.dtype(bool): torch.bool, np.dtype(np.uint8): torch.uint8}.get(
        numbers[0].dtype, torch.int64))  # fmt: skip
    images = torch.zeros(COUNT, 3, SIZE, SIZE, dtype=torch.uint8)
    return as_data((images, torch.tensor([0, 0, 1, 1]), masks), mask_values=values)


WAYS = {"folder": of_folder, "tools": of_tools, "column": of_column, "tensors": of_tensors}


def read(data: ImageData) -> Batch:
    (domain,) = data.domains
    batch = data.samples(domain, range(COUNT))
    if batch.masks is not None:
        return batch
    known = {"masks": batch.tool_masks, "has_mask": batch.has_tool_mask}
    return Batch(batch.images, batch.labels, ignored=batch.tool_ignored, **known)


def expected() -> tuple[Tensor, Tensor]:
    every = [places(index) for index in (0, 2, 1, 3)]
    objects, borders = (
        torch.from_numpy(np.stack(each))[:, None] for each in zip(*every, strict=True)
    )
    return objects, borders


def is_of_numbers(name: str) -> bool:
    """Whether a tensor can hold the mask as it is."""
    suffix, made, *_ = EVERY[name]
    return suffix in ("png", "tif") and made(*places(0)).mode in ("1", "L", "I", "I;16")


ROWS = [(name, way) for name in EVERY for way in WAYS if way != "tensors" or is_of_numbers(name)]


@pytest.mark.parametrize(("name", "way"), ROWS)
def test_a_map_of_the_object_scores_one(tmp_path: Path, name: str, way: str) -> None:
    suffix, made, values, bordered = EVERY[name]
    batch = read(WAYS[way](tmp_path, suffix, made, values))
    objects, borders = expected()
    assert batch.masks is not None
    assert batch.has_mask is not None
    assert batch.has_mask.all()
    assert torch.equal(batch.masks, objects.float())
    if bordered:
        assert batch.ignored is not None
        assert torch.equal(batch.ignored, borders)
    else:
        assert batch.ignored is None
    saliency = (objects + 3 * borders * bordered)[:, 0].float()
    for metric in (localisation_mass, pointing_game, localisation_iou):
        assert metric(saliency, batch.masks, batch.ignored).tolist() == pytest.approx([1] * COUNT)


SOFT = np.linspace(0, 255, SIZE).astype(np.uint8)[None].repeat(SIZE, 0)
EDGED = np.array(Image.fromarray(places(0)[0]).convert("L").resize((SIZE // 2, SIZE // 2)).resize(
    (SIZE, SIZE), Image.Resampling.BICUBIC))  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mask", [SOFT, EDGED], ids=["a ramp", "soft edges"])
def test_soft_masks_keep_their_levels(tmp_path: Path, mask: Grid, way: str) -> None:
    """Also those few of a set that have few levels, which alone would be class numbers."""

    def made(objects: Grid, border: Grid) -> Image.Image:
        first = objects[24].any() and not objects[38].any()
        return Image.fromarray(mask if first else grey(objects, border, 100, 3))

    batch = read(WAYS[way](tmp_path, "png", made, None))
    assert batch.masks is not None
    assert batch.ignored is None
    assert torch.equal(batch.masks[0, 0] * 255, torch.from_numpy(mask).float())
    assert set((batch.masks[1] * 255).unique().tolist()) == {0, 3, 100}


AMBIGUOUS: dict[str, tuple[str, list[Made]]] = {
    "a pet's trimap": ("values 1, 2, 3, and none has a 0", [TOLD["a pet's trimap"][1]]),
    "a pet's trimap beside an empty mask": (
        "values 1, 2, 3, and none has a 0",
        [TOLD["a pet's trimap"][1], levels(0)],
    ),
    "a matte's trimap": ("has the values 0, 128, 255", [levels(255, 128)]),
    "few grey levels": (r"soft(=True\)\)| true) if these are soft edges", [levels(255, 64)]),
    "eleven levels": (
        r"values 0, 25, 50, 75, 100, 125, ..., 250: .* if these are soft edges",
        [lambda o, b: Image.fromarray((np.indices(o.shape)[0] % 11 * 25).astype(np.uint8))],
    ),
    "an object or a border of 255": (
        "255 is the object in .* a border beside the values 0, 1, 255",
        [levels(255), levels(1, 255)],
    ),
    "16 bits, 65535 as an object or a border": (
        "65535 is the object in .* a border beside",
        [levels(65535, 0, np.uint16), levels(1, 65535, np.uint16)],
    ),
    "numbers in JPEG": ("as PNG; .* JPEG changes", [levels(2)]),
    "a photograph": ("looks like a photograph", [lambda o, b: Image.fromarray(PHOTO)]),
    "many dark levels": (
        "has 60 values from 0 to 59",
        [lambda o, b: Image.fromarray((np.indices(o.shape)[0] % 60).astype(np.uint8))],
    ),
    "colours without black": (
        "none has a 0 for the background",
        [lambda o, b: Image.fromarray(np.where(o[..., None], [255, 0, 0], 255).astype(np.uint8))],
    ),
}


FILES_ONLY = ("a photograph", "numbers in JPEG", "colours without black")
REFUSED = [
    (name, way) for name in AMBIGUOUS for way in WAYS if way != "tensors" or name not in FILES_ONLY
]


@pytest.mark.parametrize(("name", "way"), REFUSED)
def test_what_stays_ambiguous_is_refused_with_the_mend(tmp_path: Path, name: str, way: str) -> None:
    says, forms = AMBIGUOUS[name]
    made = iter(forms * COUNT * 2)
    with pytest.raises(UserError, match=says) as caught:
        WAYS[way](
            tmp_path,
            "jpg" if "JPEG" in name else "png",
            lambda o, b: next(made)(o, b),
            None,
        )
    assert "\n" not in str(caught.value)


def two_domains(root: Path, first: Made, second: Made) -> Path:
    """Masks of the first form in one domain, of the second in another; without those of b."""
    for domain, made in (("here", first), ("there", second)):
        images, masks = written(root / domain, "png", made)
        for kind, folder in (("images", images), ("masks", masks)):
            (root / kind).mkdir(exist_ok=True)
            folder.rename(root / kind / domain)
    return root / "images"


def test_masks_mean_the_same_whichever_domain_is_read_first(tmp_path: Path) -> None:
    """Domains that disagree are read alike together, and refused where one was read alone."""
    soft: Made = lambda objects, border: Image.fromarray(SOFT)  # noqa: E731
    given = {"masks": tmp_path / "masks", "image_size": SIZE}
    root = two_domains(tmp_path, levels(100, 3), soft)
    together = load_data(root, **given)
    assert set((together.samples("here", [0]).masks * 255).unique().tolist()) == {0, 3, 100}
    for domain in ("here", "there"):
        apart = load_data(root, read=False, **given)
        apart.read([domain])
        if domain == "here":
            with pytest.raises(
                UserError, match=r"has only the values 0, 3, 100, but .* soft edges"
            ):
                apart.samples("there", [0])
        else:
            assert set((apart.samples("here", [0]).masks * 255).unique().tolist()) == {0, 3, 100}
    told = load_data(root, read=False, mask_values=MaskValues(soft=True), **given)
    assert set((told.samples("here", [0]).masks * 255).unique().tolist()) == {0, 3, 100}


def test_an_ignored_border_that_turns_out_soft_is_read_again(tmp_path: Path) -> None:
    soft: Made = lambda objects, border: Image.fromarray(SOFT)  # noqa: E731
    root = two_domains(tmp_path, levels(3, 255), soft)
    for cache in (True, False):
        data = load_data(root, SIZE, masks=tmp_path / "masks", cache=cache)
        seen = data.samples("here", range(COUNT))
        assert seen.ignored is None or not seen.ignored.any()
        assert set((seen.masks * 255).unique().tolist()) == {0, 3, 255}


@pytest.mark.parametrize("hard", [colours((128, 0, 0)), palette(2, 255, VOC)])
def test_colours_beside_soft_masks_are_no_grey_levels(tmp_path: Path, hard: Made) -> None:
    soft: Made = lambda objects, border: Image.fromarray(SOFT)  # noqa: E731
    root = two_domains(tmp_path, hard, soft)
    seen = load_data(root, SIZE, masks=tmp_path / "masks").samples("here", range(COUNT))
    assert torch.equal(seen.masks, expected()[0].float())


def test_values_that_contradict_each_other_or_belong_to_nothing_are_refused(tmp_path: Path) -> None:
    images, masks = written(tmp_path, "png", colours((128, 0, 0)))
    values = MaskValues(object=(1,))
    for says, given in {
        "either soft masks or numbers": lambda: MaskValues((1,), soft=True),
        "got 3 as both": lambda: MaskValues((1, 3), (3,)),
        "it has colours": lambda: load_data(images, SIZE, masks=masks, mask_values=values),
        "--masks with --mask_values": lambda: load_data(images, SIZE, mask_values=values),
        "--tool_masks with --tool_mask_values": lambda: load_data(
            images, SIZE, masks=masks, tool_mask_values=values),
        "for Shortcut": lambda: load_data("Shortcut", mask_values=values),
        "give it to load_data": lambda: as_data(images, mask_values=values),
        "got soft masks": lambda: as_data(
            (torch.rand(4, 3, 8, 8), torch.arange(4) % 2, torch.rand(4, 8, 8)),
            mask_values=values),
    }.items():  # fmt: skip
        with pytest.raises(UserError, match=says) as caught:
            given()
        assert "\n" not in str(caught.value)


def test_a_run_keeps_what_its_masks_mean(tmp_path: Path) -> None:
    """Trained and evaluated on trimaps, by the command line."""
    images, masks = written(tmp_path, "png", TOLD["a pet's trimap"][1], 24)
    given = ["--data", str(images), "--masks", str(masks), "--image_size", "16"]
    run = str(tmp_path / "run")
    train = ["train", "--method", "rrr", *given, "--run", run, "--epochs", "1"]
    with pytest.raises(UserError, match=re.escape("--mask_values.object [1]")):
        cli.run(train)
    with pytest.warns(UserWarning, match="RRR has terms that a map which says nothing satisfies"):
        cli.run([*train, "--mask_values.object", "[1]", "--mask_values.ignore", "[3]"])
    data = Run(Path(run)).data()
    assert data.mask_values == MaskValues((1,), (3,))
    ignored = data.samples("images", [0]).ignored
    assert ignored is not None
    assert ignored.any()
    again = Run(Path(run)).data(mask_values=MaskValues((1,), (2,))).samples("images", [0])
    assert again.ignored is not None
    assert torch.equal(again.masks, data.samples("images", [0]).masks)
    assert again.ignored.sum() > ignored.sum()


def stored(root: Path, masks: dict[str, NDArray[Any]]) -> Path:
    """Images with these masks beside them, in images/ and masks/."""
    chance = np.random.default_rng(0)
    for name, mask in masks.items():
        image = chance.integers(0, 255, (SIZE, SIZE, 3))
        for folder, pixels in (("images", image), ("masks", mask)):
            path = root / folder / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(path)
    return root / "images"


def test_class_numbers_beside_a_soft_mask_are_asked_about(tmp_path):
    classes = np.indices((SIZE, SIZE))[0] % 3
    soft = np.linspace(0, 255, SIZE * SIZE).reshape(SIZE, SIZE)
    root = stored(tmp_path, {"a/0": classes, "a/1": classes, "b/0": soft})
    given = {"image_size": SIZE, "masks": tmp_path / "masks"}
    with pytest.raises(UserError, match=r"the values 0, 1, 2, but .* soft edges.*--mask_values"):
        load_data(root, **given)
    assert load_data(root, **given, mask_values=MaskValues(soft=True)).has_masks


def test_numbers_that_the_user_names_are_no_noise(tmp_path):
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[2:4], mask[4:6], mask[6:8] = 1, 254, 255
    root = stored(tmp_path, {"a/0": mask, "b/0": mask})
    values = MaskValues(object=(1,), ignore=(254,))
    data = load_data(root, image_size=SIZE, masks=tmp_path / "masks", mask_values=values)
    batch = data.samples("images", [0])
    assert batch.masks[0, 0, :, 0].nonzero()[:, 0].tolist() == [2, 3]
    assert batch.ignored[0, 0, :, 0].nonzero()[:, 0].tolist() == [4, 5]
