"""ALIGN's lemmas: both sides by hand, the theorems on any outputs, and what is false."""

import json
from dataclasses import asdict

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from lookright.claims import Inequality, Outputs, change, compare_lemma, measure_lemmas
from lookright.errors import UserError

seeds = st.integers(0, 2**32 - 1)
scales = st.floats(0.01, 30)


def logits_of(*probabilities):
    return torch.tensor(probabilities, dtype=torch.float64).log()


def rows(outputs):
    return {each.lemma: each for each in measure_lemmas(outputs)}


def random_outputs(seed, scale, n=7, classes=4):
    random = torch.Generator().manual_seed(seed)
    source, target = scale * torch.randn(2, n, classes, generator=random)
    swapped = source + scale * torch.randn(3, n, classes, generator=random)
    return Outputs(source, target, swapped, torch.randint(classes, (n,), generator=random))


def test_both_sides_by_hand():
    """Two images of two classes; the shift moves the first by 0.3 and the second by 0.1."""
    source, target = logits_of([0.8, 0.2], [0.4, 0.6]), logits_of([0.5, 0.5], [0.5, 0.5])
    swapped = logits_of([0.7, 0.3], [0.4, 0.6])[None]
    found = rows(Outputs(source, target, swapped, torch.tensor([0, 1])))
    square = (0.5 + 0.5) / 2 - (2 * 0.2**2 + 2 * 0.4**2) / 2
    entropy = torch.tensor([0.8, 0.6]).log().mean().item() - torch.tensor(0.5).log().item()
    ways = [0.8 / 0.5, 0.5 / 0.2, 0.5 / 0.4, 0.6 / 0.5]
    logs = torch.tensor(ways, dtype=torch.float64).log()
    moved = (max(logs[0], logs[1]) + max(logs[2], logs[3])) / 2
    expected = {
        "Lemma 1": (0.2, 0.1),
        "Lemma 2": (square, 4 * 0.1),
        "Lemma 2, paired": (square, 4 * 0.2),
        "Lemma 3": (entropy, 0.1 / 0.5),
        "Lemma 3, logits": (entropy, 2 * torch.tensor(0.3 / 0.2).log().item()),
        "Lemma 3, paired": (entropy, 2 * moved.item()),
    }
    assert found.keys() == expected.keys()
    for name, sides in expected.items():
        assert (found[name].left, found[name].right) == pytest.approx(sides, abs=1e-6)
        assert found[name].n == 2
        assert found[name].held == (sides[0] <= sides[1])


def test_the_change_is_the_total_variation():
    before, after = logits_of([0.5, 0.3, 0.2]), logits_of([0.1, 0.3, 0.6])
    assert change(before, after).item() == pytest.approx(0.4)
    certain = torch.tensor([[500.0, 0.0], [0.0, 500.0]])
    assert change(certain[:1], certain[1:]).item() == pytest.approx(1)


@given(seeds, scales)
def test_the_theorems_hold_on_any_outputs(seed, scale):
    found = rows(random_outputs(seed, scale))
    always = [each for each in found.values() if each.always]
    assert [each.lemma for each in always] == ["Lemma 2, paired", "Lemma 3, paired"]
    assert all(each.held for each in always)


@given(seeds, scales)
def test_lemmas_1_and_3_hold_where_the_shift_is_one_of_the_swaps(seed, scale):
    """The assumption under which the published bounds are sound: eps is over the shift's too."""
    outputs = random_outputs(seed, scale)
    outputs = Outputs(outputs.source, outputs.swapped[0], outputs.swapped, outputs.labels)
    found = rows(outputs)
    assert found["Lemma 1"].held
    assert found["Lemma 3"].held
    assert found["Lemma 3, logits"].held


def test_the_paired_constants_cannot_be_smaller():
    """A model that is sure and wrong, moved a little: its loss has the steepest gradient there."""
    sure = torch.tensor([[0.001, 0.999]]).log()
    surer = torch.tensor([[0.0005, 0.9995]]).log()
    found = rows(Outputs(sure, surer, sure[None], torch.tensor([0])))["Lemma 2, paired"]
    assert found.left / found.right > 0.99
    far, farther = torch.tensor([[0.0, 40.0]]), torch.tensor([[-1.0, 41.0]])
    found = rows(Outputs(far, farther, far[None], torch.tensor([0])))["Lemma 3, paired"]
    assert found.left / found.right > 0.99


def test_lemma_2_is_false_as_published():
    """Right on every image of the source, wrong on every one of the target, and E f the same."""
    source = 20 * F.one_hot(torch.tensor([0, 1, 0, 1])).double()
    target = source.flip(1)
    found = rows(Outputs(source, target, source[None], torch.tensor([0, 1, 0, 1])))
    assert found["Lemma 2"].left == pytest.approx(2)
    assert found["Lemma 2"].right == pytest.approx(0)
    assert not found["Lemma 2"].held
    assert found["Lemma 2, paired"].held


def test_lemma_1_is_false_of_backgrounds_that_no_swap_has_shown():
    """Indifferent to every background of the source, and thrown by one that only the target has."""
    source = logits_of([0.9, 0.1], [0.2, 0.8])
    found = rows(Outputs(source, source.flip(1), source[None], torch.tensor([0, 1])))
    assert found["Lemma 1"].right == 0
    assert not found["Lemma 1"].held
    assert not found["Lemma 3"].held


def test_lemma_3_has_no_constant_for_all_models():
    """The gap grows without end while eps, a change of probabilities, is at most 1."""
    gaps = []
    for sure in (1.0, 10.0, 100.0):
        source = torch.tensor([[sure, 0.0]])
        outputs = Outputs(source, source.flip(1), source.flip(1)[None], torch.tensor([0]))
        assert outputs.sensitivity.max() <= 1
        gaps.append(rows(outputs)["Lemma 3"].left)
    assert gaps == pytest.approx([1, 10, 100])


def test_two_models_are_told_apart_by_their_sensitivity():
    source, swapped = logits_of([0.8, 0.2]), logits_of([0.7, 0.3])[None]
    label = torch.tensor([0])
    less = Outputs(source, logits_of([0.5, 0.5]), source[None], label)
    more = Outputs(source, logits_of([0.6, 0.4]), swapped, label)
    told = compare_lemma(more, less, ("AT", "EGAT"))
    assert told.statement.startswith("EGAT is less sensitive to the background than AT (0.0000 < ")
    assert (told.left, told.right) == pytest.approx((0.3, 0.2))
    assert not told.held
    assert compare_lemma(less, more, ("EGAT", "AT")) == told


def test_the_sentence_has_both_sides():
    row = Inequality("Lemma 1", "mean change <= eps", 0.5, 0.25, 40)
    assert (
        row.sentence == "Lemma 1: mean change <= eps: 0.5000 <= 0.2500 did not hold on 40 images."
    )
    row = Inequality("Lemma 2, paired", "a <= b", 0.25, 0.5, 40, always=True)
    assert (
        row.sentence == "Lemma 2, paired: a <= b: 0.2500 <= 0.5000 held on 40 images (always true)."
    )
    assert Inequality(**json.loads(json.dumps(asdict(row)))) == row


def test_outputs_that_do_not_fit_are_refused():
    logits, labels = torch.zeros(3, 2), torch.zeros(3, dtype=torch.int64)
    for source, target, swapped, y in [
        (logits, logits[:2], logits[None], labels),
        (logits, logits, logits, labels),
        (logits, logits, logits[None][:0], labels),
        (logits, logits, logits[None], labels[:2]),
    ]:
        with pytest.raises(UserError, match="Lemmas need logits"):
            Outputs(source, target, swapped, y)
