"""What was found is said before anything is trained or judged."""

import pytest
from rich.console import Console

from lookright.data import Seen, load_data
from lookright.data.overview import judged_table, require_classes, training_table
from lookright.errors import UserError
from lookright.evaluation import Protocol, evaluate
from lookright.methods import ERM
from lookright.verbs.train import train
from test_data_folder import paint
from test_data_layout import varied
from tiny import tiny_classifier


def text(table) -> str:
    console = Console(width=100)
    with console.capture() as seen:
        console.print(table)
    return seen.get()


def rows(said: str) -> list[list[str]]:
    return [line.split() for line in said.splitlines() if line.strip()]


@pytest.fixture
def pets(tmp_path):
    root = varied(tmp_path / "pets", "photo/cat", "photo/dog", "sketch/cat", "sketch/dog", n=20)
    paint(root / "@eaDir" / "thumb.png")
    return root


def test_the_table_counts_what_each_domain_has(pets):
    data = load_data(pets, image_size=4)
    said = text(training_table(data, ["photo"]))
    counts = [str(len(data.split("photo", part))) for part in ("train", "validation", "test")]
    assert "pets: 2 classes (cat, dog)" in said
    photo, sketch = (
        [*line.split()] for line in said.splitlines() if line.split()[:1] in (["photo"], ["sketch"])
    )
    assert photo == ["photo", "trained", "on", "40", *counts]
    assert sketch == ["sketch", "40"]
    assert "Left out: 1 files and folders of operating systems" in said
    judged = {"photo": 6, "sketch": 40}
    said = rows(text(judged_table(data, judged, Seen.in_domains(data, ["photo"]))))
    assert ["photo", "in", "distribution", "40", "6"] in said
    assert ["sketch", "unseen", "40", "40"] in said
    said = rows(text(judged_table(data, judged, Seen())))
    assert ["photo", "40", "6"] in said
    assert ["sketch", "40", "40"] in said


def test_it_is_said_before_a_training(pets, monkeypatch, capsys):
    said: list[str] = []

    def fit(*given, **options):
        said.append(capsys.readouterr().err)

    monkeypatch.setattr("lookright.verbs.train.fit", fit)
    with pytest.raises(AttributeError):
        train(ERM, str(pets), ["photo"], image_size=8)
    assert "trained on" in said[0]
    assert "validation" in said[0]


def test_it_is_said_before_a_model_is_judged(pets, capsys):
    data = load_data(pets, image_size=8)
    evaluate(tiny_classifier(data=data), data, protocol=Protocol(stages=(), limit=4))
    said = capsys.readouterr().err
    assert said.index("judged") < said.index("evaluating")
    assert "unseen" not in said
    model, protocol = tiny_classifier(data=data), Protocol(stages=(), limit=4)
    evaluate(model, data, protocol=protocol, progress=False)
    assert capsys.readouterr().err == ""


def test_a_class_without_an_image_to_train_on_is_asked_about(tmp_path, monkeypatch):
    root = varied(tmp_path / "set", *(f"{part}/{c}" for part in ("train", "val") for c in "ab"))
    paint(root / "val" / "c" / "0.png", 250)
    with pytest.warns(UserWarning, match="no images of c"):
        data = load_data(root, image_size=8, layout="parts")
    with pytest.raises(UserError, match=r"train part of set; there is none of c: .*--incomplete"):
        require_classes(data, ["set"])
    done: list[str] = []
    monkeypatch.setattr("lookright.verbs.train.fit", lambda *a, **b: done.append("fit"))
    options = {"data": str(root), "image_size": 8, "layout": "parts"}
    with (
        pytest.warns(UserWarning, match="no images of c"),
        pytest.raises(UserError, match="none of c"),
    ):
        train(ERM, **options)
    assert not done
    with pytest.warns(UserWarning, match="no images of c"), pytest.raises(AttributeError):
        train(ERM, **options, incomplete=True)
    assert done
