"""Names against indices: what a model's classes are called, in which order, and what is asked."""

import json
import re
import warnings
from unicodedata import normalize

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import nn

from lookright.data import HuggingFace, load_data
from lookright.errors import UserError
from lookright.loading import load_subject
from lookright.model_options import ModelOptions
from lookright.models import Classifier, open_model, read_class_map, read_classes, save_classifier

SIZE = 8


class Told(nn.Module):
    """Logits that are highest for the class that the image's grey level says, out of `count`."""

    def __init__(self, count=12):
        super().__init__()
        self.count = count
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        index = (x.mean((1, 2, 3)) * 100).round().long().clamp(0, self.count - 1)
        return self.scale * (4.0 * nn.functional.one_hot(index, self.count) - 1)


def told(count):
    return Told(count)


def folder(root, names, levels=None):
    """Two images a class, whose grey level is the index that the model was trained with."""
    for at, name in enumerate(names):
        level = round((levels or {}).get(name, at) * 2.55)
        (root / name).mkdir(parents=True)
        for image in range(2):
            pixels = np.full((SIZE, SIZE, 3), level, np.uint8)
            pixels[0, 0] = image
            Image.fromarray(pixels).save(root / name / f"{image}.png")
    return str(root)


def model_of(count):
    return f"test_models_class_names:told{count}"


def told2():
    return Told(2)


def told3():
    return Told(3)


def told5():
    return Told(5)


def told12():
    return Told(12)


def accuracy(subject):
    """Over all images."""
    right = []
    for domain in subject.data.domains:
        count = len(subject.data.keys(domain))
        batch = subject.data.samples(domain, list(range(count)))
        right.append(subject.model(batch.images).argmax(1) == batch.labels)
    return torch.cat(right).float().mean().item()


def opened(data, count, **options):
    return load_subject(model_of(count), data, ModelOptions(image_size=SIZE, **options))


NUMBERED = {
    "numbers": [str(i) for i in range(12)],
    "numbers from 1": [str(i) for i in range(1, 13)],
    "numbers in names": [f"class_{i}" for i in range(12)],
    "numbers before names": [f"{i}. bird" for i in range(12)],
}


@pytest.mark.filterwarnings("ignore:.*are taken in the order:UserWarning")
@pytest.mark.parametrize("kind", NUMBERED)
def test_numbered_classes_are_asked_for_and_each_answer_works(kind, tmp_path):
    names = NUMBERED[kind]
    for order, trained in (("alphabetical", sorted(names)), ("numerical", names)):
        levels = {name: index for index, name in enumerate(trained)}
        data = folder(tmp_path / order, names, levels)
        with pytest.raises(UserError, match=r"alphabetical \(.*numerical \(.*--class_order") as of:
            opened(data, 12)
        assert "\n" not in str(of.value)
        assert accuracy(opened(data, 12, class_order=order)) == 1
        wrong = {"alphabetical": "numerical", "numerical": "alphabetical"}[order]
        assert accuracy(opened(data, 12, class_order=wrong)) < 0.5
        (tmp_path / "names.txt").write_text("\n".join(trained))
        assert accuracy(opened(data, 12, classes=tmp_path / "names.txt")) == 1


def test_an_order_that_is_the_same_either_way_is_stated(tmp_path):
    with pytest.warns(UserWarning, match=r"in the order of the data's \(cat, dog, owl\)"):
        subject = opened(folder(tmp_path / "a", ["cat", "dog", "owl"]), 3)
    assert accuracy(subject) == 1
    for names in (["0", "1", "2", "3", "4"], ["01", "02", "03", "04", "10"]):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            subject = opened(folder(tmp_path / names[0], names), 5)
        assert accuracy(subject) == 1
        assert len(caught) == (names[0] == "01")


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
def test_names_in_another_form_of_unicode_are_those_of_the_data(tmp_path, forms):
    own, theirs = ([normalize(form, each) for each in ("caf\u00e9", "owl")] for form in forms)
    model = Classifier(Told(2), own, SIZE, architecture="test_models_class_names:told2")
    save_classifier(model, tmp_path / "a.safetensors")
    options = ModelOptions(architecture="test_models_class_names:told2")
    subject = load_subject(
        str(tmp_path / "a.safetensors"), folder(tmp_path / "data", theirs), options
    )
    assert subject.model.classes == subject.data.classes == ("caf\u00e9", "owl")
    assert accuracy(subject) == 1


def test_a_saved_model_without_names_still_has_none(tmp_path):
    data = folder(tmp_path / "data", NUMBERED["numbers"])
    save_classifier(open_model(model_of(12), image_size=SIZE), tmp_path / "a.safetensors")
    options = {"architecture": model_of(12)}
    with pytest.raises(UserError, match="--class_order"):
        load_subject(str(tmp_path / "a.safetensors"), data, ModelOptions(**options))
    named = Classifier(Told(12), [str(i) for i in range(12)], SIZE, architecture=model_of(12))
    save_classifier(named, tmp_path / "b.safetensors")
    subject = load_subject(str(tmp_path / "b.safetensors"), data, ModelOptions(**options))
    assert accuracy(subject) == 1


def test_labels_of_a_saved_set_keep_their_order(tmp_path):
    datasets = pytest.importorskip("datasets", reason="needs the extra 'datasets'")
    datasets.disable_progress_bars()
    names = ["owl", "cat", "dog"]
    kinds = {"image": datasets.Image(), "label": datasets.ClassLabel(names=names)}
    grey = [Image.fromarray(np.full((8, 8, 3), round(i * 2.55), np.uint8)) for i in range(3)]
    rows = {"image": grey, "label": [0, 1, 2]}
    datasets.Dataset.from_dict(rows, features=datasets.Features(kinds)).save_to_disk(tmp_path / "s")
    assert HuggingFace(tmp_path / "s", SIZE).classes == tuple(names)
    with pytest.warns(UserWarning, match=r"in the order of the data's \(owl, cat, dog\)"):
        assert accuracy(opened(str(tmp_path / "s"), 3)) == 1


def named(tmp_path, names):
    (tmp_path / "names.txt").write_text("\n".join(names))
    return {"classes": tmp_path / "names.txt"}


FIVE = ["cat", "dog", "fox", "owl", "yak"]


def test_some_of_the_models_classes_need_no_map(tmp_path):
    levels = {"dog": 1, "owl": 4}  # the model takes an owl for a yak, which the data lack
    data = folder(tmp_path / "data", ["dog", "owl"], levels)
    with pytest.warns(UserWarning, match="data has 2 of the model's 5 classes.*counts as wrong"):
        subject = opened(data, 5, **named(tmp_path, FIVE))
    assert subject.model.classes == subject.data.classes == tuple(FIVE)
    assert accuracy(subject) == 0.5
    assert subject.model(torch.zeros(1, 3, SIZE, SIZE)).shape == (1, 5)


def test_some_of_the_numbers_of_a_model_without_names_are_no_names(tmp_path):
    data = folder(tmp_path / "data", ["1", "3"])
    with pytest.raises(UserError, match="name them by --classes FILE"):
        opened(data, 5)


def test_folders_called_by_wordnet_ids_are_those_of_imagenet(tmp_path):
    data = folder(tmp_path / "data", ["n01440764", "n02124075"])
    model = open_model("test_models_class_names:told", image_size=SIZE, count=1000)
    save_classifier(model, tmp_path / "a.safetensors")
    options = ModelOptions(architecture="test_models_class_names:told")
    with pytest.warns(UserWarning, match="2 of the model's 1000 classes"):
        subject = load_subject(str(tmp_path / "a.safetensors"), data, options)
    assert subject.model.classes[285] == "n02124075"


def test_two_classes_of_one_name_are_told_apart_first(tmp_path):
    data = folder(tmp_path / "data", ["cat", "dog"])
    with pytest.raises(UserError, match="several classes called 'dog'"):
        opened(data, 3, **named(tmp_path, ["cat", "dog", "dog"]))


HINTS = [
    (["tabby", "beagle", "husky"], ["cat", "dog"]),
    (["Cat", "Big Dog", "Barn-Owl"], ["big_dog", "barn owl", "cat"]),
    (["cat", "Cat", "dog"], ["CAT", "DOG", "owl"]),
    (["yes", "no", "2"], ["oui", "non", "deux"]),
    (["a: b", "[x]", "c, d"], ["#1", "'", '"']),
    (["crane", "crane", "owl"], ["bird", "machine"]),
    (["2", "0", "1"], ["a", "b", "c"]),
    (["0-1", "1-2", "5-9"], ["young", "old"]),
    (["ein", "zwei", "drei"], ["1", "2", "no"]),
    (None, ["cat", "dog"]),
]


@pytest.mark.filterwarnings("ignore:.*left out:UserWarning")
@pytest.mark.parametrize(("model", "wanted"), HINTS)
def test_the_hint_of_a_message_works_when_it_is_followed(model, wanted, tmp_path):
    data = folder(tmp_path / "data", wanted)
    options = {} if model is None else named(tmp_path, model)
    with pytest.raises(UserError, match=r"--class_map FILE, such as one that holds \{") as raised:
        opened(data, 3, **options)
    said = str(raised.value)
    assert "\n" not in said
    hint = said.partition("such as one that holds ")[2]
    (tmp_path / "map.yaml").write_text(hint)
    subject = opened(data, 3, class_map=tmp_path / "map.yaml", **options)
    assert len(subject.model.classes) >= 2
    assert set(subject.model.classes) <= set(wanted)


def test_names_that_differ_in_case_or_spaces_are_suggested_and_not_guessed(tmp_path):
    data = folder(tmp_path / "data", HINTS[1][1])
    with pytest.raises(UserError) as raised:
        opened(data, 3, **named(tmp_path, HINTS[1][0]))
    hint = json.loads(str(raised.value).partition("holds ")[2])
    assert hint == {"barn owl": ["Barn-Owl"], "big_dog": ["Big Dog"], "cat": ["Cat"]}


STRINGS = ("0", "1", "10", "11", "2", "20-30")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"2": ["2"], "10": ["10"]}', {"10": (2,), "2": (4,)}),
        ("2: ['2']\n10: [2-2]", {"10": (2,), "2": (4,)}),
        ("2: [2-2]\n10: [0]", {"10": (0,), "2": (2,)}),
        ("2: ['2']\n10: ['20-30']", {"10": (5,), "2": (4,)}),
        ("2: [0-1]\n10: [3-4]", {"10": (3, 4), "2": (0, 1)}),
        ("2: ['5']\n10: [3]", {"10": (3,), "2": (5,)}),
        ("2: [0]\n10: [1]", {"10": (1,), "2": (0,)}),
    ],
)
def test_a_name_of_the_model_wins_over_an_index(text, found, tmp_path):
    path = tmp_path / "map.yaml"
    path.write_text(text)
    assert read_class_map(path, ("10", "2"), STRINGS).groups == found


def test_a_number_that_is_a_name_and_another_index_is_asked_for_and_each_answer_works(tmp_path):
    path = tmp_path / "map.yaml"
    path.write_text("a: [2]\nb: [0]")
    with pytest.raises(UserError, match="the name of class 4 of the model and the index of") as of:
        read_class_map(path, ("a", "b"), STRINGS)
    answers = re.findall(r"write ('2') in quotes .*, or (2-2) for", str(of.value))[0]
    for answer, index in zip(answers, (4, 2), strict=True):
        path.write_text(f"a: [{answer}]\nb: [0]")
        assert read_class_map(path, ("a", "b"), STRINGS).groups["a"] == (index,)


def test_names_stay_as_they_are_written(tmp_path):
    names = ["yes", "no", "010", "1.0", "1e3", "0x1F", "2001-01-02", "12:30", "true", "7", "~x"]
    path = tmp_path / "names.yaml"
    path.write_text("\n".join(f"- {name}" for name in names))
    assert yaml.safe_load(path.read_text()) != names
    assert read_classes(path) == tuple(names)
    path.write_text("\n".join(f"{name}: [{name}]" for name in names if name != "7"))
    groups = read_class_map(path, names, names).groups
    assert all(names[index] == name for name, (index,) in groups.items())
    for bad in ("- [a]\n- b", "- {a: 1}\n- b", "-\n- b", "classes: 3"):
        path.write_text(bad)
        with pytest.raises(UserError, match="two or more class names"):
            read_classes(path)


def test_the_order_of_a_folder_is_that_of_imagefolder(tmp_path):
    from torchvision.datasets import ImageFolder

    names = ["10", "2", "Zebra", "apple", "class_1", "class_10", "class_2", "Äpfel"]
    root = folder(tmp_path / "data", names)
    assert list(load_data(root, SIZE).classes) == ImageFolder(root).classes
