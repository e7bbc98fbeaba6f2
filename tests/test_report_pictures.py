"""The PNG of one explanation and the terminal's table."""

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

import report_fixtures as fake
from lookright.errors import UserError
from lookright.report import explanation_figure, method_table, read_result


def inputs(side=32, **changes):
    torch.manual_seed(0)
    image = torch.rand(3, side, side)
    return {
        "image": image,
        "attacked": (image + 8 / 255).clamp(0, 1),
        "saliency": torch.rand(4, 4),
        "saliency_attacked": torch.rand(4, 4),
        "classes": ["cat $1$", "a very long name of a class that goes on", "dog_^{"],
        "probabilities": torch.tensor([0.7, 0.2, 0.1]),
        "probabilities_attacked": torch.tensor([0.1, 0.8, 0.1]),
    } | changes


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"label": 0, "mask": torch.ones(1, 32, 32).tril(), "title": "50% of $x"},
        {"saliency": torch.zeros(4, 4), "mask": torch.zeros(32, 32)},
        {"attacked": inputs()["image"]},
        {"image": torch.rand(3, 80, 120), "attacked": torch.rand(3, 80, 120)},
    ],
)
def test_explanation_is_a_png(tmp_path, changes):
    path = explanation_figure(tmp_path / "deep" / "e.png", **inputs(**changes))
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert np.asarray(picture.convert("L")).std() > 5
    assert [p.name for p in path.parent.iterdir()] == ["e.png"]


def test_a_learned_mask_is_one_more_column_that_darkens_what_it_leaves_out(tmp_path):
    masks = {"none": None, "all": torch.ones(1, 32, 32), "nothing": torch.zeros(32, 32)}
    widths, light = {}, {}
    for name, mask in masks.items():
        given = inputs(learned=mask, learned_attacked=mask)
        with Image.open(explanation_figure(tmp_path / f"{name}.png", **given)) as picture:
            pixels = np.asarray(picture.convert("L"))
        widths[name] = pixels.shape[1]
        light[name] = pixels[:, pixels.shape[1] // 2 : 3 * pixels.shape[1] // 4].mean()
    assert widths["all"] == widths["nothing"] == 4 * widths["none"] / 3
    assert light["nothing"] < light["all"] - 50


def test_explanation_leaves_graphs_alone(tmp_path):
    saliency = torch.rand(4, 4, requires_grad=True)
    explanation_figure(tmp_path / "e.png", **inputs(saliency=saliency))
    assert saliency.grad is None


def test_unwritable_picture(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"Expected to write"):
        explanation_figure(tmp_path / "file" / "e.png", **inputs())


def printed(folders, width=100):
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(method_table([read_result(folder) for folder in folders]))
    return console.export_text()


@pytest.mark.parametrize("seeds", [1, 3])
def test_table_fits_eighty_columns_with_every_figure_whole(tmp_path, seeds):
    folders = fake.write_all(tmp_path, (*fake.METHODS, *fake.LEARNED), seeds=seeds)
    wide, narrow = printed(folders, width=140), printed(folders, width=80)
    assert narrow.split() == wide.split()
    assert max(len(line.rstrip()) for line in wide.splitlines()) <= 80
    assert "…" not in narrow
    for figure in ("98.0%", "2.0%", "80.8%", "0.450", "0.860", "Comprehen-", "EGAT, term off"):
        assert figure in narrow
    assert narrow.count("learned mask on") == len(fake.LEARNED) * len(fake.DOMAINS)
    assert narrow.count("object 0.490") == len(fake.DOMAINS)
    assert ("± 1.0" in narrow, "± 0.0" in narrow) == (seeds == 3, seeds == 3)
    assert ("96.4\N{EN DASH}99.6" in narrow) == (seeds == 1)


def test_baselines_stand_below_the_methods_of_their_domain(tmp_path):
    lines = [
        line.split()
        for line in printed(fake.write_all(tmp_path, ("ERM", "AT"), seeds=1)).splitlines()
    ]
    rows = [line[3:] for line in lines if line[:3] == ["a", "random", "map"]]
    # On the object, stability, comprehensiveness on each of the two models.
    assert rows == [
        ["0.140", "0.750", f"{low}\N{EN DASH}{high}"]
        for low, high in (("0.411", "0.418"), ("0.409", "0.416"), ("0.408", "0.415"))
    ]
    bare = [fake.write(tmp_path / "bare", fake.result_json("ERM", full=False))]
    assert "random map" not in printed(bare)


def test_table_says_nothing_of_masks_where_none_is_learned(tmp_path):
    assert "learned mask" not in printed(fake.write_all(tmp_path, ("ERM", "AT"), seeds=1))


def test_table_prints_names_as_they_are(tmp_path):
    raw = fake.result_json("ERM", domains=("[red]home[/]",)) | {"name": "[bold]a[/bold]"}
    text = printed([fake.write(tmp_path / "r", raw)])
    assert "[red]home[/]" in text
    assert "[bold]a[/bold]" in text


def test_table_marks_what_is_suspect_and_what_is_only_to_be_known(tmp_path):
    raw = fake.result_json("AT", domains=("here",), full=False)
    raw["domains"]["here"]["warnings"] = ["12% of the explanations are empty."]
    text = printed([fake.write(tmp_path / "noted", raw)])
    assert "AT (note)" in text
    assert "page says what" in text
    assert "(suspect)" not in text
    checked = printed([fake.write(tmp_path / "checked", fake.result_json("AT"))])
    assert checked.count("(suspect)") == 2  # in one row, and in the caption
    assert "(suspect)" not in printed([fake.write(tmp_path / "fine", fake.result_json("EGAT"))])
