"""Class maps: probabilities of classes add up to those of groups, and every mistake is one line."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lookright.attacks import PGD
from lookright.errors import UserError
from lookright.explainers import GradCAM, InputGradient
from lookright.models import Classifier, ClassMap, Mapped, read_class_map, read_classes
from lookright.models.class_names import imagenet_classes
from models_for_tests import SIZE, Tiny, same_state, state_of

DATA = ("cat", "dog", "owl")
MODEL = ("tabby, tabby cat", "Persian cat", "beagle", "husky", "barn owl", "crane", "crane")


@st.composite
def maps(draw: st.DrawFn) -> tuple[int, list[list[int]]]:
    """A number of classes, and two or more groups of them that share none."""
    count = draw(st.integers(2, 12))
    owner = draw(st.lists(st.integers(0, 4), min_size=count, max_size=count))
    groups = [[at for at, of in enumerate(owner) if of == group] for group in range(1, 5)]
    groups = [group for group in groups if group]
    return count, groups if len(groups) > 1 else [[0], list(range(1, count))]


@given(maps(), st.floats(0.1, 50), st.integers(0, 100))
def test_probabilities_add_up(drawn: tuple[int, list[list[int]]], scale: float, seed: int) -> None:
    count, groups = drawn
    logits = scale * torch.randn(4, count, generator=torch.Generator().manual_seed(seed))
    logits = logits.double().requires_grad_()
    mapped = Mapped(nn.Identity(), groups)(logits)
    kept = [index for group in groups for index in group]
    restricted = torch.full_like(logits, -torch.inf)
    restricted[:, kept] = logits[:, kept]
    summed = torch.stack([restricted.softmax(1)[:, group].sum(1) for group in groups], 1)
    torch.testing.assert_close(mapped.softmax(1), summed)
    (gradient,) = torch.autograd.grad(mapped[:, 0].sum(), logits)
    torch.testing.assert_close(gradient.sum(1), torch.ones(4).double())
    outside = [index for index in range(count) if index not in groups[0]]
    assert (gradient[:, outside] == 0).all()


def test_all_classes_one_by_one_are_the_model_itself() -> None:
    network = Tiny(4).eval()
    x = torch.rand(3, 3, SIZE, SIZE)
    torch.testing.assert_close(Mapped(network, [[0], [1], [2], [3]])(x), network(x))
    torch.testing.assert_close(Mapped(network, [[2], [0]])(x), network(x)[:, [2, 0]])


def test_a_mapped_model_is_attacked_and_explained_as_any_other() -> None:
    torch.manual_seed(0)
    inner = Classifier(Tiny(7), MODEL, SIZE, (0.1, 0.2, 0.3), (0.5, 0.5, 0.5)).eval()
    model = ClassMap({"cat": (0, 1), "dog": (2, 3)}).onto(inner, 7)
    assert model.classes == ("cat", "dog")
    assert model.image_size == SIZE
    x, y = torch.rand(4, 3, SIZE, SIZE), torch.tensor([0, 1, 0, 1])
    wanted = torch.stack([inner(x)[:, :2].logsumexp(1), inner(x)[:, 2:4].logsumexp(1)], 1)
    torch.testing.assert_close(model(x), wanted)
    before = state_of(model)
    loss = nn.CrossEntropyLoss()
    attacked = PGD(steps=5)(model, x, y)
    assert loss(model(attacked), y) > loss(model(x), y)
    for explainer in (GradCAM(), GradCAM(layer="second"), InputGradient()):
        assert explainer(model, x)[1].shape[0] == 4
    assert same_state(before, state_of(model))


def test_others_are_one_more_class_that_takes_the_rest() -> None:
    inner = Classifier(Tiny(7), MODEL, SIZE).eval()
    chosen = ClassMap({"cat": (0, 1), "dog": (2, 3)})
    model = chosen.onto(inner, 7, others=True)
    assert model.classes == ("cat", "dog", "other")
    x = torch.rand(4, 3, SIZE, SIZE)
    probabilities = inner(x).softmax(1)
    wanted = torch.stack([probabilities[:, list(of)].sum(1) for of in ((0, 1), (2, 3), (4, 5, 6))])
    torch.testing.assert_close(model(x).softmax(1), wanted.T)
    assert ClassMap({"a": (0, 1, 2), "b": (3, 4, 5, 6)}).onto(inner, 7, True).classes == ("a", "b")
    with pytest.raises(UserError, match="a class called 'other'"):
        ClassMap({"cat": (0,), "other": (1,)}).onto(inner, 7, True)


@pytest.mark.parametrize("name", ["map.yaml", "map.json"])
def test_indices_ranges_and_names(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text('{"dog": ["2-3"], "owl": "barn owl", "cat": ["tabby cat", "Persian cat"]}')
    found = read_class_map(path, DATA, MODEL)
    assert list(found.groups.items()) == [("cat", (0, 1)), ("dog", (2, 3)), ("owl", (4,))]


def test_the_names_of_imagenet(tmp_path: Path) -> None:
    names = imagenet_classes(1000)
    assert names is not None
    path = Path(__file__).parent.parent / "examples" / "pacs_imagenet.yaml"
    pacs = ("dog", "elephant", "giraffe", "guitar", "horse", "house", "person")
    groups = read_class_map(path, pacs, names).groups
    assert groups["elephant"] == (101, 385, 386)
    assert groups["guitar"] == (402, 546)
    assert groups["horse"] == (339,)
    assert {names[index] for index in groups["dog"]} >= {"Chihuahua", "Mexican hairless", "beagle"}
    assert not {"timber wolf", "sea lion"} & {names[at].partition(",")[0] for at in groups["dog"]}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("dog: [2, 3]\ncat: [3]", "class 3 to 'cat' and to 'dog': leave it to one"),
        ("dog: [2]\ncat: [7]", "from 0 to 6 for 'cat' in .*got 7"),
        ("dog: [3-2]\ncat: [1]", "the lower one of a range first; got 3-2"),
        ("dog: [beagel]\ncat: [1]", "no class 'beagel', .*'dog' in .*Did you mean 'beagle'"),
        ("dog: [crane]\ncat: [1]", "several classes 'crane', .*by its index, one of 5, 6"),
        ("dgo: [2]\ncat: [1]", r"names 'dgo', .*\(cat, dog, owl\)\. Did you mean 'dog'"),
        ("dog: [2]", "has 1 of the data's classes: at least 2"),
        ("dog: []\ncat: [1]", "gives 'dog' no class"),
        ("dog:\ncat: [1]", "gives 'dog' no class"),
        ("dog: {a: 2}\ncat: [1]", "no class '{'a': 2}'"),
        ("yes: [2]\ncat: [1]", "names 'yes', which is not a class of the data"),
        ("dog: [2]\ndog: [3]\ncat: [1]", "'dog' stands twice"),
        ("dog: &a [2, *a]\ncat: [1]", "used twice, by an alias"),
        (f"dog: {'[' * 3000}\ncat: [1]", "cannot be read as YAML or JSON"),
        ("- dog", "Expected lines such as"),
        ("dog: [2", "cannot be read as YAML or JSON"),
        (None, "No file at"),
    ],
)
def test_a_wrong_map_is_one_clear_line(text: str | None, says: str, tmp_path: Path) -> None:
    path = tmp_path / "map.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=says) as raised:
        read_class_map(path, DATA, MODEL)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_names_of_classes_from_a_file(tmp_path: Path, encoding: str) -> None:
    for name, text in (
        ("names.txt", "cat\n\n dog, hound \nowl\n"),
        ("names.yaml", "[cat, 'dog, hound', owl]"),
        ("names.json", '{"classes": ["cat", "dog, hound", "owl"]}'),
    ):
        (tmp_path / name).write_text(text, encoding)
        assert read_classes(tmp_path / name) == ("cat", "dog, hound", "owl")
    (tmp_path / "names.yaml").write_text("cat")
    with pytest.raises(UserError, match="two or more class names"):
        read_classes(tmp_path / "names.yaml")
