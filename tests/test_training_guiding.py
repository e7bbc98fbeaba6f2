"""A guide gets the masks it needs, or the training says at once what is missing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from lookright.attacks import ExplanationChange
from lookright.batch import Batch
from lookright.data import load_data
from lookright.errors import UserError
from lookright.explainers import Captum
from lookright.guides import (
    Guide,
    HumanMask,
    LearnedMask,
    MeanTeacher,
    PrecomputedMask,
    RandomMask,
    Swapped,
)
from lookright.methods import ALIGN, DRE, EGAT, ERM, RRR, MaskAlignment
from lookright.training import Run, fit
from test_data_folder import grow, paint
from test_training import ATTACK, QUICK
from tiny import Blobs, tiny_classifier


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Masked(Blobs):
    """Blobs of which every `each`th has a mask and a guide; 0 for none."""

    has_masks = True

    def __init__(self, each: int) -> None:
        super().__init__()
        self.each = each

    def masked(self, domain: str) -> Sequence[bool]:
        return [self.each > 0 and index % self.each == 0 for index in range(self.n)]

    tool_masked = masked

    def samples(self, domain: str, indices: Sequence[int]) -> Batch:
        batch = super().samples(domain, indices)
        has = torch.tensor(self.masked(domain))[list(indices)]
        masks = has.view(-1, 1, 1, 1) * torch.ones(8, 8)
        return replace(batch, masks=masks, has_mask=has, tool_masks=masks, has_tool_mask=has)


def train(run: Path, guide: Guide | None, data: Blobs, **options) -> Run:
    model = tiny_classifier()
    method = EGAT(model, ATTACK, guide=guide) if guide else ERM(model)
    return fit(method, data, "train", run, **(QUICK | {"epochs": 1} | options))


@pytest.mark.parametrize("guide", [HumanMask(), PrecomputedMask(), Swapped()])
@pytest.mark.parametrize("data", [Blobs(), Masked(0)])
def test_a_guide_without_its_masks_is_refused_before_anything_is_written(tmp_path, guide, data):
    what = "tool_masks" if guide.needs_tool_masks else "masks"
    words = what.replace("_", " ")
    message = (
        f"EGAT guided by {type(guide).__name__} needs {words}, and none of the [0-9]+ training "
        rf"images of Blobs \(train\) has one: .*\(--{what}\)"
    )
    with pytest.raises(UserError, match=message) as caught:
        train(tmp_path / "run", guide, data)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def told(run: Run) -> list[str]:
    """The lines of its log, but for that on the coarse maps of images of 8 px."""
    lines = (run.folder / "log.txt").read_text().splitlines()
    return [line for line in lines if "2 x 2 places" not in line]


@pytest.mark.parametrize("guide", [HumanMask(), PrecomputedMask()])
def test_how_many_images_are_guided_is_told_where_it_is_a_part(tmp_path, guide):
    data = Masked(2)
    where = data.split("train", "train").where
    count = sum(index % 2 == 0 for _, index in where)
    what = "tool masks" if guide.needs_tool_masks else "masks"
    with pytest.warns(UserWarning, match=f"{count} of {len(where)} training images have {what}"):
        run = train(tmp_path / "run", guide, data)
    log = told(run)
    assert f" {count} of {len(where)} training images have {what} for" in log[0]
    assert len(log) == 2


@pytest.mark.parametrize(("guide", "each"), [(HumanMask(), 1), (RandomMask(), 0), (None, 2)])
@pytest.mark.filterwarnings("error", "ignore:The maps of .* have 2 x 2 places")
def test_nothing_is_told_where_all_is_there_or_nothing_is_needed(tmp_path, guide, each):
    run = train(tmp_path / "run", guide, Masked(each))
    assert len(told(run)) == 1


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_run_goes_on_with_its_guides_wherever_they_lie_and_with_no_others(tmp_path):
    root = grow(tmp_path / "pets", "cat", "dog", n=20)
    for number in range(20):
        paint(tmp_path / "sam" / "cat" / f"{number}.png", 100)

    def again(**options) -> Run:
        data = load_data(root, image_size=32, **options)
        model = tiny_classifier(data=data)
        method = EGAT(model, ATTACK, guide=PrecomputedMask())
        return fit(method, data, "pets", tmp_path / "run", **QUICK, resume=True)

    run = again(tool_masks=tmp_path / "sam")
    assert run.config["data"]["spec"]["init_args"]["tool_masks"] == "../sam"
    assert run.data_spec["init_args"]["tool_masks"] == str(tmp_path / "sam")
    moved = (tmp_path / "sam").rename(tmp_path / "segmenter")
    again(tool_masks=moved)
    for number in range(10):  # not all of them are test images
        (moved / "cat" / f"{number}.png").unlink()
    with pytest.raises(UserError, match=r"of another config: data.samples"):
        again(tool_masks=moved)


class Gives(nn.Module):
    """A masker that gives masks of a side, and of a value or of none."""

    def __init__(self, side: int, channels: int = 1, value: float | None = None) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, channels, 1)
        self.side, self.value = side, value

    def forward(self, x):
        pooled = self.layer(nn.functional.adaptive_avg_pool2d(x, self.side))
        return pooled.sigmoid() if self.value is None else 0 * pooled + self.value


@pytest.mark.parametrize("wrong", [Gives(2, 2), Gives(2, value=1.5), Gives(2, value=-0.1)])
def test_a_masker_that_gives_no_masks_is_refused_before_the_first_step(tmp_path, wrong):
    with pytest.raises(
        UserError, match=r"A masker gives masks|A mask is from 0 to 1, but Gives gave"
    ):
        train(tmp_path / "run", LearnedMask(wrong), Blobs())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("side", [1, 2])
def test_masks_of_any_size_have_a_loss(side):
    batch = Batch(torch.rand(4, 3, 8, 8), torch.arange(4) % 3)
    (loss,) = LearnedMask(Gives(side)).losses(tiny_classifier(), batch).values()
    assert loss.isfinite()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda model: LearnedMask(fill="noise"), "Unknown fill 'noise'"),
        (lambda model: RRR(model, MeanTeacher()), "HumanMask or LearnedMask, got MeanTeacher"),
        (lambda model: EGAT(model, explainer=Captum("Saliency")), "has no gradients to train"),
        (lambda model: ALIGN(model, explainer=Captum("Saliency")), "has no gradients to train"),
        (lambda model: MaskAlignment(model, explainer=Captum("Saliency")), "has no gradients"),
        (lambda model: DRE(model, explainer=Captum("Saliency")), "has no gradients to train"),
        (lambda model: ExplanationChange(Captum("Saliency")), "has no gradients to train"),
    ],
)
def test_what_cannot_be_trained_by_is_refused_at_once(make, said):
    with pytest.raises(UserError, match=said):
        make(tiny_classifier())
