"""What is found in a folder: parts, deeper folders, rubbish, odd files and odd names."""

import json
import os
import socket
import warnings
from pathlib import Path
from unicodedata import normalize

import datasets
import pytest

from lookright.data import Seen, Selected, load_data
from lookright.data.layout import find_images
from lookright.data.listing import Lister
from lookright.errors import UserError
from lookright.spec import build, spec_of
from test_data_folder import grow, paint, refused
from test_data_hugging_face import table

SIX = ("train/cat", "train/dog", "val/cat", "val/dog", "test/cat", "test/dog")


def varied(root: Path, *names: str, n: int = 8) -> Path:
    """As grow, but no two images are equal."""
    for at, name in enumerate(names):
        for i in range(n):
            paint(root / name / f"{i}.png", (at * n + i) % 256)
    return root


@pytest.mark.parametrize(
    "names",
    [
        ("train", "test"),
        ("train", "val"),
        ("training", "valid"),
        ("Train", "Test", "VALIDATION"),
        ("train2017", "val2017"),
        ("train_set", "dev"),
        ("training-data", "testing_data", "photo"),
    ],
)
def test_folders_called_as_parts_are_asked_about(tmp_path, names):
    root = grow(tmp_path / "set", *(f"{name}/{c}" for name in names for c in ("cat", "dog")))
    refused("Say --layout parts or --layout domains", root, image_size=4)
    data = load_data(root, image_size=4, layout="domains")
    assert set(data.domains) == set(names)
    assert not data.parts_given


@pytest.mark.parametrize("other", ["Dog", "alarm clock", "ALARM-CLOCK"])
def test_a_class_that_domains_spell_in_two_ways_is_asked_about(tmp_path, other):
    one = "dog" if other == "Dog" else "alarm_clock"
    root = grow(tmp_path / "set", "photo/cat", f"photo/{one}", "sketch/cat", f"sketch/{other}")
    refused(f"spell one class '{min(one, other)}' and '{max(one, other)}'", root, image_size=4)
    grow(tmp_path / "set", f"photo/{other}")
    with pytest.warns(UserWarning, match="has no images of"):
        assert {one, other} < set(load_data(root, image_size=4).classes)


COMPOSED = ("caf\u00e9", "chien \u00e9")
"""A domain and a class, whose names the other form of Unicode spells with more characters."""


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_forms_of_unicode_make_no_other_domain_or_class(tmp_path, form):
    """Archives from a Mac have decomposed names, for which folders and masks are still found."""
    domain, label = (normalize(form, name) for name in COMPOSED)
    root = varied(
        tmp_path / "set", f"{domain}/{label}", f"{domain}/owl", "b/owl", f"b/{COMPOSED[1]}"
    )
    paint(tmp_path / "masks" / COMPOSED[0] / COMPOSED[1] / "0.png")
    paint(tmp_path / "masks" / "b" / normalize("NFD", COMPOSED[1]) / "7.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = load_data(root, image_size=4, masks=tmp_path / "masks")
    assert (data.domains, data.classes) == (("b", COMPOSED[0]), (COMPOSED[1], "owl"))
    assert data.names(COMPOSED[0])[0] == f"{domain}/{label}/0.png"
    assert [[*data.masked(each)].index(True) for each in (COMPOSED[0], "b")] == [0, 7]
    assert [data.masked(each).count(True) for each in data.domains] == [1, 1]
    assert len(data.samples(COMPOSED[0], range(16))) == 16


def test_a_class_in_two_forms_of_unicode_in_one_domain_is_one(tmp_path):
    names = [normalize(form, COMPOSED[1]) for form in ("NFC", "NFD")]
    flat = load_data(varied(tmp_path / "flat", *names, "owl"), image_size=4)
    assert (flat.classes, flat.labels("flat").count(0)) == ((COMPOSED[1], "owl"), 16)
    folders = [
        normalize(form, f"{COMPOSED[0]}/{each}") for form in ("NFC", "NFD") for each in ("a", "b")
    ]
    deep = load_data(varied(tmp_path / "deep", *folders), image_size=4)
    assert (deep.domains, deep.labels(COMPOSED[0])) == ((COMPOSED[0],), [0] * 16 + [1] * 16)


@pytest.mark.parametrize("names", [("train", "sketch"), ("test",), ("trains", "tests"), ("a", "b")])
def test_other_names_of_domains_are_not_asked_about(tmp_path, names):
    root = grow(tmp_path / "set", *(f"{name}/{c}" for name in names for c in ("cat", "dog")))
    assert set(load_data(root, image_size=4).domains) == set(names)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("train", "val", "test"), {"train": {"train"}, "val": {"validation"}, "test": {"test"}}),
        (("train", "test"), {"train": {"train", "validation"}, "test": {"test"}}),
        (("train", "val"), {"train": {"train", "validation"}, "val": {"test"}}),
        (("val",), {"val": {"test"}}),
    ],
)
def test_given_parts_are_kept(tmp_path, names, expected):
    folders = [f"{name}/{c}" for name in names for c in ("cat", "dog")]
    root = varied(tmp_path / "set", *folders, n=12)
    data = load_data(root, image_size=4, layout="parts")
    assert (data.domains, data.classes, data.parts_given) == (("set",), ("cat", "dog"), True)
    found: dict[str, set[str]] = {}
    for name, part in zip(data.names("set"), data.parts("set"), strict=True):
        found.setdefault(name.partition("/")[0], set()).add(part)
    assert found == expected
    assert len(data.split("set", "test")) == 24
    assert Seen().unseen(data, "set") == [at for _, at in data.split("set", "test").where]
    assert build(spec_of(data)).parts("set") == data.parts("set")
    kept = Selected(data, ["dog", "cat"])
    assert (kept.parts_given, kept.parts("set")) == (True, data.parts("set"))


def test_a_test_image_that_is_also_trained_on_is_not_judged(tmp_path):
    root = varied(tmp_path / "set", *SIX)
    (root / "test/cat/copy.png").write_bytes((root / "train/cat/0.png").read_bytes())
    data = load_data(root, image_size=4, layout="parts")
    unseen = Seen.in_domains(data, ["set"]).unseen(data, "set")
    assert len(unseen) == 16
    assert "test/cat/copy.png" not in [data.names("set")[at] for at in unseen]


def test_a_folder_that_is_no_part_is_refused(tmp_path):
    root = grow(tmp_path / "set", *SIX, "photo/cat", "photo/dog")
    refused("called train, val or test; got 'photo'", root, image_size=4, layout="parts")


def test_splits_of_a_saved_data_set_are_asked_about_too(tmp_path):
    splits = {"train": table(4), "validation": table(4, 1), "test": table(6, 2)}
    datasets.DatasetDict(splits).save_to_disk(str(tmp_path / "pets"))
    refused("has train, validation, test: are these the parts", tmp_path / "pets")
    data = load_data(tmp_path / "pets", layout="parts")
    assert data.domains == ("pets",)
    assert list(data.parts("pets")) == ["train"] * 4 + ["validation"] * 4 + ["test"] * 6


@pytest.mark.parametrize("deep", ["cat/more/a.png", "cat/a/b/c/d.png"])
def test_deeper_images_are_asked_about(tmp_path, deep):
    root = grow(tmp_path / "set", "cat", "dog")
    paint(root / deep)
    refused("decide about .* by --subfolders take or skip", root)
    taken = load_data(root, image_size=4, subfolders="take")
    assert deep in taken.names("set")
    assert taken.labels("set").count(0) == 4
    skipped = load_data(root, image_size=4, subfolders="skip")
    assert len(skipped.names("set")) == 6
    assert "1 images in deeper folders, such as" in " ".join(skipped.passed_over)


def test_a_class_only_of_deeper_images_is_asked_about(tmp_path):
    root = grow(tmp_path / "set", "cat", "dog/brown", "dog/black")
    refused("--subfolders take or skip", root)
    data = load_data(root, image_size=4, subfolders="take")
    assert data.classes == ("cat", "dog")
    assert data.labels("set") == [0] * 3 + [1] * 6


RUBBISH = [
    "__MACOSX/cat/._0.png",
    "@eaDir/0.png",
    "photo/@eaDir/0.png",
    "photo/cat/@eaDir/0.png",
    "lost+found/x/0.png",
    ".ipynb_checkpoints/0.png",
    "photo/.ipynb_checkpoints/0.png",
    "photo/cat/.DS_Store",
    "photo/cat/Thumbs.db",
    "Thumbs.db",
    "photo/desktop.ini",
    "$RECYCLE.BIN/S-1/0.png",
    "photo/cat/notes.txt",
]


@pytest.mark.parametrize("name", RUBBISH)
def test_rubbish_is_passed_over_and_counted(tmp_path, name):
    names = ("photo/cat", "photo/dog", "sketch/cat", "sketch/dog")
    root = grow(tmp_path / "pets", *names)
    assert load_data(root, image_size=4).passed_over == []
    paint(root / name) if name.endswith("png") else (root / name).write_text("x")
    data = load_data(root, image_size=4)
    assert (data.domains, data.classes) == (("photo", "sketch"), ("cat", "dog"))
    assert [len(data.names(domain)) for domain in data.domains] == [6, 6]
    (line,) = data.passed_over
    assert line.startswith("1 ")


@pytest.mark.parametrize(
    "made",
    [
        ("runs/pets-erm-0/config.json", "runs/pets-erm-0/checkpoints/best.safetensors"),
        ("results/abc/result.json", "results/abc/images.png"),
        ("results/resnet/results/abc/result.json",),
        ("results/of-may/resnet/results/abc/result.json", "results/notes/a"),
        ("demo/erm-0/config.json", "demo/erm-0/checkpoints/x", "demo/first-look.png"),
        ("judged/ERM/results/abc/result.json", "judged/AT/results/abc/result.json"),
        ("pets-erm-0/config.json", "pets-erm-0/checkpoints/x", "pets-erm-0/tensorboard/0.png"),
    ],
)
def test_runs_and_results_are_no_domains(tmp_path, made):
    root = grow(tmp_path / "pets", "photo/cat", "photo/dog", "sketch/cat", "sketch/dog")
    for name in made:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("{}")
    data = load_data(root, image_size=4)
    assert data.domains == ("photo", "sketch")
    assert "folders of runs and results" in data.passed_over[0]


def test_a_domain_that_holds_a_result_too_is_a_domain(tmp_path):
    root = grow(tmp_path / "pets", "photo/cat", "photo/dog", "sketch/cat", "sketch/dog")
    (root / "photo" / "abc").mkdir()
    (root / "photo" / "abc" / "result.json").write_text("{}")
    assert load_data(root, image_size=4).domains == ("photo", "sketch")


def test_a_class_called_results_is_a_class(tmp_path):
    data = load_data(grow(tmp_path / "desks", "results", "runs"), image_size=4)
    assert data.classes == ("results", "runs")


@pytest.mark.parametrize("kind", ["pipe", "socket", "link to itself"])
@pytest.mark.parametrize("where", ["images", "masks"])
def test_what_no_read_ends_is_passed_over_with_a_word(tmp_path, monkeypatch, kind, where):
    monkeypatch.chdir(tmp_path)
    root, masks = grow(Path("pets"), "cat", "dog"), grow(Path("masks"), "cat", "dog")
    odd = Path("pets" if where == "images" else "masks") / "cat" / "odd.png"
    if kind == "pipe":
        os.mkfifo(odd)
    elif kind == "socket":
        socket.socket(socket.AF_UNIX).bind(str(odd))
    else:
        odd.symlink_to(odd.name)
    with pytest.warns(UserWarning, match=r"1 pipes, sockets, devices .* '.*odd.png'"):
        data = load_data(root, image_size=4, masks=masks)
    assert len(data.names("pets")) == 6


def test_links_that_point_back_are_followed_once_and_told(tmp_path):
    root, masks = grow(tmp_path / "pets", "cat", "dog"), grow(tmp_path / "masks", "cat", "dog")
    for name in ("back", "again"):
        (masks / "cat" / name).symlink_to(masks)
    with pytest.warns(UserWarning, match="2 links to folders that were listed before"):
        data = load_data(root, image_size=4, masks=masks)
    assert data.has_masks
    for name in ("back", "again"):
        (root / "cat" / name).symlink_to(root)
    with pytest.warns(UserWarning, match="links to folders that were listed before"):
        assert "dog/0.png" in load_data(root, image_size=4, subfolders="take").names("pets")


@pytest.mark.parametrize("hidden", ["pets/photo/cat", "masks/photo/cat", "pets/photo"])
def test_a_folder_that_cannot_be_listed_is_told(tmp_path, monkeypatch, hidden):
    names = ("photo/cat", "photo/dog")
    root, masks = grow(tmp_path / "pets", *names), grow(tmp_path / "masks", *names)
    real = os.scandir

    def scandir(folder):
        if Path(folder) == tmp_path / hidden:
            raise PermissionError(13, "Permission denied")
        return real(folder)

    monkeypatch.setattr("lookright.data.listing.os.scandir", scandir)
    refused(f"list the folder '.*{hidden}', .*Permission denied", root, masks=masks, image_size=4)


ODD_NAMES = [os.fsdecode(b"caf\xe9"), os.fsdecode(b"\xff\xfe"), "caf\u00e9", "a\nb", "x;y,'z\""]


@pytest.mark.parametrize("odd", ODD_NAMES)
def test_any_name_of_a_file_works(tmp_path, odd):
    root = grow(tmp_path / odd, f"{odd}/{odd}", f"{odd}/dog")
    paint(root / odd / odd / f"{odd}.png", 99)
    masks = paint(tmp_path / "masks" / odd / odd / f"{odd}.png", 255).parents[2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = load_data(root, image_size=4, masks=masks)
    (domain,) = data.domains
    texts = [data.name, domain, *data.classes, *data.names(domain), data.fingerprint(domain)]
    assert "".join(texts).encode()
    assert sum(data.masked(domain)) == 1
    assert len(data.split(domain, "all")) == 7
    (root / odd / odd / f"{odd}.png").write_bytes(b"no")
    with pytest.raises(UserError, match="readable image") as caught:
        load_data(root, image_size=4)
    assert str(caught.value).encode()


def test_rows_without_a_class_are_refused_where_they_are_used(tmp_path):
    names = datasets.ClassLabel(names=["cat", "dog"])
    splits = {"photo": table(4), "sketch": table(4, label=(names, [0, -1, 1, -1]))}
    datasets.DatasetDict(splits).save_to_disk(str(tmp_path / "pets"))
    data = load_data(tmp_path / "pets", image_size=4, read=False)
    assert data.labels("photo") == [0, 1, 0, 1]
    assert len(data.samples("photo", [0, 1])) == 2
    assert Selected(data, ["dog", "cat"]).labels("sketch") == [1, 0]
    says = r"domain 'sketch' .*'label' has none in 2 rows, such as sketch\[1\]"
    for use in (lambda: data.read(["sketch"]), lambda: data.samples("sketch", [0])):
        with pytest.raises(UserError, match=says):
            use()


def test_a_column_of_several_classes_is_refused_where_it_is_used(tmp_path):
    several = datasets.Sequence(datasets.ClassLabel(names=["cat", "dog"]))
    rows = table(4, labels=(several, [[0], [0, 1], [], [1]]))
    rows.save_to_disk(str(tmp_path / "pets"))
    assert load_data(tmp_path / "pets", image_size=4).classes == ("cat", "dog")
    refused("'labels'; it has several", f"{tmp_path}/pets?label=labels")


@pytest.mark.parametrize("kind", ["absolute", "above", "link out", "device"])
def test_a_row_names_no_file_outside_of_its_data_set(tmp_path, kind):
    outside = paint(tmp_path / "secret.png")
    root = tmp_path / "pets"
    path = {"absolute": str(outside), "above": "../secret.png", "link out": "link.png"}
    image = {"bytes": None, "path": path.get(kind, "/dev/zero")}
    rows = [{"image": image, "label": "cat"}, {"image": image, "label": "dog"}]
    schema = datasets.Features({"image": datasets.Image(), "label": datasets.Value("string")})
    rows = datasets.Dataset.from_list(rows, features=schema)
    (root).mkdir()
    (root / "link.png").symlink_to(outside)
    rows.cast_column("image", RAW).save_to_disk(str(root))
    restore(root)
    with pytest.raises(UserError, match="2 of 2 are damaged"):
        load_data(root, image_size=4)


RAW = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}


def restore(root: Path) -> None:
    """The column of structs is one of images again, as in a set that somebody has edited."""
    info = root / "dataset_info.json"
    known = json.loads(info.read_text())
    known["features"]["image"] = {"_type": "Image"}
    info.write_text(json.dumps(known))


def test_many_images_are_listed_in_a_moment(tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for index in range(20_000):
        os.close(os.open(folder / f"{index}.png", os.O_CREAT))
    counted: list[int] = []
    found = Lister(counted.append)(folder)
    assert (len(found.images), counted) == (20_000, [20_000])


def test_a_validation_image_that_is_also_trained_on_chooses_no_epoch(tmp_path):
    kinds = (f"{part}/{name}" for part in ("train", "val", "test") for name in ("cat", "dog"))
    root = varied(tmp_path / "set", *kinds)
    (root / "val/cat/copy.png").write_bytes((root / "train/cat/0.png").read_bytes())
    data = load_data(root, image_size=4, layout="parts")
    with pytest.warns(UserWarning, match=r"1 validation images of set are copies .*val/cat/copy"):
        parts = dict(zip(data.names("set"), data.parts("set"), strict=True))
    assert parts["val/cat/copy.png"] == "train"
    assert [*parts.values()].count("validation") == 16


FLAT = ("cat", "dog")
NESTED = tuple(f"{domain}/{name}" for domain in ("day", "night") for name in FLAT)


@pytest.mark.parametrize(
    ("folders", "link", "to"),
    [
        (FLAT, "cat/loop", ".."),
        (FLAT, "cat/more", "../dog"),
        (FLAT, "ape", "cat"),
        (FLAT, "loop", "."),
        (NESTED, "day/cat/up", ".."),
        (NESTED, "day/up", ".."),
        (NESTED, "day/lynx", "cat"),
        (NESTED, "day/ape", "../night/cat"),
        (NESTED, "dawn", "day"),
        (NESTED, "ape", "day/cat"),
        (NESTED, "loop", "."),
    ],
)
def test_a_link_back_brings_no_image_into_another_class(tmp_path, folders, link, to):
    root, links = grow(tmp_path / "pets", *folders), tmp_path / "links" / "pets"
    for name in folders:
        (links / name).parent.mkdir(parents=True, exist_ok=True)
        (links / name).symlink_to(root / name)
    linked = load_data(links, image_size=4)
    (root / link).symlink_to(to)
    with pytest.warns(UserWarning, match=f"1 links to folders that were .* '.*{link}'"):
        data = load_data(root, image_size=4, subfolders="take")
    for each in (data, linked):
        assert each.classes == FLAT
        names = [name for domain in each.domains for name in each.names(domain)]
        assert names == [f"{name}/{i}.png" for name in folders for i in range(3)]


def test_of_a_root_that_is_none_deep_folders_are_not_listed(tmp_path):
    grow(tmp_path, "a/b/c/d/e/cat")
    listed = []
    with pytest.raises(UserError, match="Expected images in"):
        find_images(tmp_path, lister=Lister(listed.append))
    assert len(listed) == 5
    assert len(Lister().below(tmp_path)) == 3


def test_splits_have_the_same_columns_and_may_have_more_classes(tmp_path):
    def save(name: str, **splits) -> Path:
        datasets.DatasetDict(splits).save_to_disk(str(tmp_path / name))
        return tmp_path / name

    day = {"domain": (datasets.Value("string"), ["day"] * 4)}
    said = "same columns in all splits.*'domain': give all"
    refused(said, save("a", first=table(4), second=table(4, 1, **day)))
    refused(said, save("b", first=table(4, **day), second=table(4, 1)))
    more = {"label": (datasets.ClassLabel(names=["owl", "cat"]), [0, 1, 0, 1])}
    data = load_data(save("c", first=table(4), second=table(4, 1, **more)))
    assert data.classes == ("cat", "dog", "owl")
    assert (data.labels("first"), data.labels("second")) == ([0, 1, 0, 1], [2, 0, 2, 0])
