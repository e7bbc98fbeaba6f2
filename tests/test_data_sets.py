"""A folder is compared with what is published: what is missing, extra, other, broken or twice."""

import shutil
from dataclasses import replace
from pathlib import PurePosixPath

import pytest

from lookright import cli
from lookright.data import sets
from lookright.data.sets import (
    SETS,
    compare_contents,
    counts_table,
    find,
    mistakes,
    published_set,
    remarks,
)
from lookright.data.sets.published import Version
from lookright.errors import UserError
from published import LAYOUTS, files_of, jpeg, shrunk
from test_data_archives import laid_out

TOTALS = {
    "vlcs": (10729, {"VOC2007": 3376, "LabelMe": 2656, "SUN09": 3282, "Caltech101": 1415}, 5),
    "pacs": (
        9991,
        {"art_painting": 2048, "cartoon": 2344, "photo": 1670, "sketch": 3929},
        7,
    ),
    "office_home": (
        15588,
        {"Art": 2427, "Clipart": 4365, "Product": 4439, "Real World": 4357},
        65,
    ),
    "terra_incognita": (24788, {"L100": 4879, "L38": 9767, "L43": 4020, "L46": 6122}, 10),
}


@pytest.mark.parametrize("name", SETS)
def test_the_published_counts_are_those_of_the_papers(name):
    total, domains, classes = TOTALS[name]
    published = SETS[name]
    version = published.versions[0]
    assert (version.total, dict(version.domains)) == (total, domains)
    assert len(published.classes) == classes
    assert published.domains.keys() == domains.keys()
    assert version.classes.keys() == domains.keys()
    assert all(of.keys() == published.classes.keys() for of in version.classes.values())


def test_terra_incognita_is_published_in_two_sizes():
    assert [each.total for each in SETS["terra_incognita"].versions] == [24788, 24330]


SPELLED = [
    ("pacs", "Art Painting/DOG/1.jpg", "art_painting/dog/1.jpg"),
    ("pacs", "PACS/Raw images/kfold/art_painting/dog/1.png", "art_painting/dog/1.png"),
    ("pacs", "P/guitar/1.png", "photo/guitar/1.png"),
    ("office_home", "x/Real/Alarm Clock/1.jpg", "Real World/Alarm_Clock/1.jpg"),
    ("office_home", "Real_World/alarm-clock/1.jpg", "Real World/Alarm_Clock/1.jpg"),
    ("office_home", "RealWorld/TV/1.jpg", "Real World/TV/1.jpg"),
    ("terra_incognita", "location_38/opossum/1.jpg", "L38/opossum/1.jpg"),
    ("terra_incognita", "Loc_38/landscape/1.jpg", "L38/empty/1.jpg"),
    ("terra_incognita", "L100/cat/1.jpg", "L100/cat/1.jpg"),
    ("vlcs", "PASCAL/train/4/imgs_1.jpg", "VOC2007/person/train_imgs_1.jpg"),
    ("vlcs", "VLCS/SUN/test/0/test_imgs_1.jpg", "SUN09/bird/test_imgs_1.jpg"),
    ("vlcs", "VLCS/SUN/full/0/train_imgs_1.jpg", None),
    ("vlcs", "Caltech101/bird/a.jpg", "Caltech101/bird/a.jpg"),
    ("vlcs", "Caltech101/bird/deeper/a.jpg", None),
    ("vlcs", "Caltech101/plane/a.jpg", None),
    ("vlcs", "bird/a.jpg", None),
]


@pytest.mark.parametrize(("name", "path", "place"), SPELLED)
def test_domains_and_classes_are_known_in_other_spellings(name, path, place):
    found = SETS[name].find(PurePosixPath(path))
    assert (str(found[1].path) if found else None) == place


@pytest.mark.parametrize("name", ["PACS", "office-home", "Office Home", "VLCS", "TerraIncognita"])
def test_sets_are_known_in_other_spellings(name):
    assert published_set(name).title in ("PACS", "Office-Home", "VLCS", "Terra Incognita")


def test_another_set_is_refused_with_the_nearest_name():
    with pytest.raises(UserError, match="Did you mean 'pacs'"):
        published_set("packs")


def compared(published, folder, listed=10):
    found = find(published, folder)
    contents = compare_contents(found)
    return mistakes(found, contents, listed), remarks(found, contents, listed)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("above", ["", "x/y z/"], ids=["here", "deeper"])
def test_the_published_set_has_no_mistake_however_deep_it_lies(name, above, tmp_path):
    published = shrunk(name)
    laid_out(tmp_path, files_of(published, above + LAYOUTS[name]))
    wrong, _ = compared(published, tmp_path)
    assert wrong == []


def pacs(tmp_path, **names):
    published = shrunk("pacs")
    laid_out(tmp_path, files_of(published, "{domain}/{label}/{at}.jpg", **names))
    return published


def test_names_are_no_mistake_but_are_told(tmp_path):
    published = pacs(tmp_path, art_painting="Art Painting", dog="Dog")
    wrong, told = compared(published, tmp_path)
    assert wrong == []
    assert told == ["Other names (2): Art Painting is art_painting; Dog is dog"]


def other_folder(root):
    laid_out(root, {"watercolour/dog/1.jpg": jpeg(901), "photo/cow/2.jpg": jpeg(902)})


def truncated(root):
    whole = (root / "photo/dog/1.jpg").read_bytes()
    (root / "photo/dog/1.jpg").write_bytes(whole[:-40])
    (root / "photo/dog/2.jpg").write_bytes(b"<html>")


def leak(root):
    (root / "sketch/dog/1.jpg").write_bytes((root / "photo/dog/1.jpg").read_bytes())


def swapped(root):
    (root / "photo/dog/1.jpg").rename(root / "photo/horse/new.jpg")


def renamed(root):
    (root / "photo/dog").rename(root / "photo/Dog")
    (root / "Photo").mkdir()
    (root / "photo/horse").rename(root / "Photo/horse")


def without(*paths):
    def remove(root):
        for path in paths:
            each = root / path
            shutil.rmtree(each) if each.is_dir() else each.unlink()

    return remove


WRONG = {
    "a domain is missing": (without("photo"), ["Missing domains (1): photo"]),
    "a class is missing": (
        without("photo/dog"),
        ["Missing classes (1): dog in photo", "Other counts (1): 12 images in photo, published 15"],
    ),
    "an image is missing": (
        without("photo/dog/1.jpg"),
        ["Other counts (1): 14 images in photo, published 15"],
    ),
    "an image in another class": (
        swapped,
        ["Other counts (2): 2 of dog in photo, published 3; 2 of horse in photo, published 1"],
    ),
    "folders of neither": (
        other_folder,
        [
            "Folders that are no domain or class of the set (2): photo/cow (1 images); "
            "watercolour (1 images)"
        ],
    ),
    "two names": (
        renamed,
        ["Several names for one domain or class (2): Photo and photo; dog and Dog"],
    ),
    "a leak": (
        leak,
        [
            "The same file in several domains, a leak (1): photo/dog/1.jpg = sketch/dog/1.jpg",
        ],
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_makes_it_another_set_is_told_exactly(what, tmp_path):
    change, expected = WRONG[what]
    published = pacs(tmp_path)
    change(tmp_path)
    assert compared(published, tmp_path)[0] == expected


def test_images_that_cannot_be_read_are_named_with_the_reason(tmp_path):
    published = pacs(tmp_path)
    truncated(tmp_path)
    (line,) = compared(published, tmp_path)[0]
    assert line.startswith("Files that are no readable image (2): photo/dog/1.jpg: ")
    assert "photo/dog/2.jpg: its content is no known image format" in line


def test_copies_within_a_domain_are_told_and_no_mistake(tmp_path):
    published = pacs(tmp_path)
    content = (tmp_path / "photo/dog/1.jpg").read_bytes()
    (tmp_path / "photo/dog/2.jpg").write_bytes(content)
    wrong, told = compared(published, tmp_path)
    assert wrong == []
    assert told == [
        "The same file more than once in a domain (1): photo/dog/1.jpg = photo/dog/2.jpg"
    ]


def test_masks_beside_the_images_are_not_taken_for_them(tmp_path):
    published = shrunk("pacs")
    files = files_of(published, "images/{domain}/{label}/{at}.jpg")
    masks = [*files_of(published, "masks/{domain}/{label}/{at}.jpg").items()][1:]
    laid_out(tmp_path, files | dict(masks))
    assert find(published, tmp_path).root == tmp_path / "images"
    wrong, told = compared(published, tmp_path)
    assert wrong == []
    assert told == [f"Not looked at (1): {len(masks)} in other folders"]


KNOWN = {
    "the total": lambda whole: Version(whole.source, whole.total),
    "domains": lambda whole: Version(whole.source, whole.total, whole.domains),
    "classes": lambda whole: whole,
}


@pytest.mark.parametrize("known", KNOWN)
def test_any_published_version_is_right_and_the_others_are_told(known, tmp_path):
    published = shrunk("pacs")
    (first,) = published.versions
    fewer = {domain: dict.fromkeys(of, 1) for domain, of in first.classes.items()}
    second = Version.of("the second", fewer)
    several = replace(published, versions=(first, KNOWN[known](second)))
    smaller = replace(published, versions=(second,))
    laid_out(tmp_path, files_of(smaller, "{domain}/{label}/{at}.jpg"))
    wrong, told = compared(several, tmp_path)
    assert wrong == []
    assert told == [f"Also published (1): {first.total}, the test"]
    (row,) = (each for each in cells(several, tmp_path) if each[0] == "all")
    assert row == ["all", "7", "7", "7", "7", "28"]
    (tmp_path / "photo/dog/1.jpg").rename(tmp_path / "photo/dog/2.jpg")
    laid_out(tmp_path, {"photo/dog/3.jpg": jpeg(700)})
    assert (
        "Other counts (4): 7 images in art_painting, published" in compared(several, tmp_path)[0][0]
    )


def cells(published, folder):
    """The rows of the table, as texts."""
    table = counts_table(find(published, folder))
    columns = [[str(cell) for cell in column.cells] for column in table.columns]
    return [list(row) for row in zip(*columns, strict=True)]


def test_only_as_many_are_named_as_asked_for(tmp_path):
    published = pacs(tmp_path)
    without("photo/dog", "photo/horse", "photo/house")(tmp_path)
    named = {listed: compared(published, tmp_path, listed)[0][0] for listed in (0, 2)}
    assert named[0] == "Missing classes (3): dog in photo; horse in photo; house in photo"
    assert named[2] == "Missing classes (3): dog in photo; horse in photo; and 1 more"


REFUSED = {
    "nothing": ({}, "it holds no folders of images"),
    "a single domain": ({"dog/1.jpg": b"x"}, "it holds dog: name the folder of PACS"),
    "another set": ({"Art/Bed/1.jpg": b"x"}, "it holds Art"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_folder_of_something_else_is_refused(what, tmp_path):
    files, said = REFUSED[what]
    laid_out(tmp_path, files)
    with pytest.raises(UserError, match=said):
        find(SETS["pacs"], tmp_path)
    with pytest.raises(UserError, match="there is none"):
        find(SETS["pacs"], tmp_path / "nowhere")


def test_the_verb_says_it_all_and_its_code_is_1_for_another_set(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sets, "SETS", {"pacs": pacs(tmp_path)})
    cli.main(["data", "check", "pacs", str(tmp_path)])
    assert capsys.readouterr().out.endswith("PACS, as published.\n")
    leak(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["data", "check", "pacs", str(tmp_path)])
    said = capsys.readouterr()
    assert stopped.value.code == 1
    assert said.err.count("\n") == 1
    assert "is not PACS as published. The same file in several domains" in " ".join(
        said.err.split()
    )


def test_the_table_shows_found_and_published_where_they_differ(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sets, "SETS", {"pacs": pacs(tmp_path)})
    without("photo/dog/1.jpg")(tmp_path)
    with pytest.raises(SystemExit):
        cli.main(["data", "check", "pacs", str(tmp_path)])
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert rows["dog"] == ["1", "2", "2/3", "1", "6"]
    assert rows["all"] == ["13", "14", "14/15", "13", "54"]


def test_of_many_classes_only_those_that_differ_have_a_row(tmp_path):
    published = shrunk("office_home")
    laid_out(tmp_path, files_of(published, LAYOUTS["office_home"]))
    found = find(published, tmp_path)
    assert counts_table(found).row_count == 1
    (found.root / "Art" / "Bed" / "00001.jpg").unlink()
    assert counts_table(find(published, tmp_path)).row_count == 2


@pytest.mark.parametrize("words", [["check", "pacs"], ["prepare", "pacs", "x"]])
def test_the_verb_says_what_it_needs(words, capsys):
    with pytest.raises(SystemExit):
        cli.main(["data", *words])
    assert f"Expected lookright data {words[0]} NAME" in capsys.readouterr().err
