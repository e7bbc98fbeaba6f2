"""A masker learned beside the classifier is kept, found and resumed with it."""

import pytest
import torch
from torch import Tensor, nn

from lookright.errors import UserError
from lookright.guides import ConvMasker, LearnedMask
from lookright.guides.masker import load_masker, masks_of, save_masker
from lookright.methods.align import ALIGN
from lookright.methods.egat import EGAT
from lookright.methods.erm import ERM
from lookright.models import load_classifier, read_weights, save_classifier
from lookright.training import Run, fit
from lookright.training.module import Module
from test_training import ATTACK, QUICK, Hook, Keep, same_weights, train
from tiny import Blobs, tiny_classifier


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Brightness(nn.Module):
    """A masker of one's own, with a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(3.0))
        self.register_buffer("level", torch.tensor(0.5))

    def forward(self, images: Tensor) -> Tensor:
        return (self.scale * (images.mean(1, keepdim=True) - self.level)).sigmoid()


def small() -> LearnedMask:
    return LearnedMask(ConvMasker(grid=4, width=16), warm_up=0.4)


class KeepMasks(Keep):
    """The masker's weights at the end of each epoch."""

    def on_train_epoch_end(self, trainer, pl_module):
        state = pl_module.method.guide.masker.state_dict()
        self.epochs.append({name: value.clone() for name, value in state.items()})


METHODS = {
    "align": lambda model: ALIGN(model, small()),
    "align-mixup": lambda model: ALIGN(model, small(), mixup=1.0),
    "egat": lambda model: EGAT(model, ATTACK, guide=small()),
}
every_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def same_run(one: Run, other: Run) -> bool:
    files = [one.best, one.last, one.masker_file("best"), one.masker_file("last")]
    return all(same_weights(path, other.folder / path.relative_to(one.folder)) for path in files)


def same_masks(one: nn.Module, other: nn.Module) -> bool:
    images = torch.rand(5, 3, 9, 7)
    return torch.equal(one.eval()(images), other.eval()(images))


@every_method
def test_a_run_stopped_before_or_after_the_warm_up_resumes_bit_for_bit(tmp_path, method):
    whole = train(tmp_path / "whole", method, callbacks=[masks := KeepMasks()])
    first, _, last = masks.epochs
    assert not all(torch.equal(first[name], value) for name, value in last.items())
    for epoch in (2, 3):
        stop = Hook(interrupt, epoch)
        with pytest.raises(UserError, match=f"Stopped after epoch {epoch - 1}"):
            train(tmp_path / str(epoch), method, callbacks=[stop])
        assert same_run(whole, train(tmp_path / str(epoch), method, resume=True))


def interrupt(module: Module) -> None:
    raise KeyboardInterrupt


def test_a_run_gives_its_masker_back_and_a_finished_one_gives_it_to_the_method(tmp_path):
    def own(model) -> ALIGN:
        return ALIGN(model, LearnedMask(Brightness(), warm_up=0.0))

    trained = own(tiny_classifier())
    run = fit(trained, Blobs(), "train", tmp_path / "run", **QUICK)
    with pytest.raises(
        UserError, match=r"last-masker.* your own masker module; give the module as masker="
    ):
        run.masker("last")
    again = run.masker("last", Brightness())
    assert again.scale != 3
    assert same_masks(again, trained.guide.masker)
    finished = own(tiny_classifier())
    fit(finished, Blobs(), "train", run.folder, **QUICK, resume=True)
    assert same_masks(finished.guide.masker, again)


def test_a_run_that_learned_no_mask_has_none(tmp_path):
    run = train(tmp_path / "run", ERM, epochs=1)
    assert run.masker() is None
    assert run.masker("last", Brightness()) is None
    assert not [*run.folder.rglob("*masker*")]


def test_best_is_chosen_after_the_warm_up_alone_and_the_masker_is_of_that_epoch(
    tmp_path, monkeypatch
):
    scores = {1: 0.9, 2: 0.95, 3: 0.3, 4: 0.5, 5: 0.5, 6: 0.4}

    def planted(module):
        module.log("val/accuracy", scores[module.current_epoch + 1])

    def method(model) -> ALIGN:
        return ALIGN(model, LearnedMask(ConvMasker(4, 16), warm_up=1 / 3))

    monkeypatch.setattr(Module, "on_validation_epoch_end", planted)
    masks = KeepMasks()
    run = train(tmp_path / "run", method, epochs=6, callbacks=[keep := Keep(), masks])
    lines = (run.folder / "log.txt").read_text().splitlines()
    log = [line for line in lines if " | " in line]
    assert [number for number, line in enumerate(log, 1) if line.endswith("best")] == [
        1,
        2,
        3,
        4,
        5,
    ]
    for path, kept in ((run.best, keep.epochs[4]), (run.masker_file("best"), masks.epochs[4])):
        best = read_weights(path)
        assert all(torch.equal(best[name], value) for name, value in kept.items())
    with pytest.raises(UserError, match="Stopped after epoch 3"):
        train(tmp_path / "cut", method, epochs=6, callbacks=[Hook(interrupt, 4)])
    assert same_run(run, train(tmp_path / "cut", method, epochs=6, resume=True))


def test_a_conv_masker_is_built_again_from_its_file_alone(tmp_path):
    masker = ConvMasker(grid=5, width=48)
    save_masker(masker, tmp_path / "m.safetensors")
    assert same_masks(masker, load_masker(tmp_path / "m.safetensors"))
    assert not [*tmp_path.glob("*.partial")]


def test_maskers_that_share_or_transpose_a_tensor_are_kept(tmp_path):
    def linked() -> nn.Module:
        first, second = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        second.weight = first.weight
        first.bias = nn.Parameter(torch.rand(3, 2).t()[0])
        return nn.Sequential(first, second)

    torch.manual_seed(0)
    masker = linked()
    save_masker(masker, tmp_path / "m.safetensors")
    assert same_masks(masker, load_masker(tmp_path / "m.safetensors", linked()))


def test_files_that_hold_no_masker_are_one_clear_line(tmp_path):
    path = tmp_path / "m.safetensors"
    with pytest.raises(UserError, match="No file of weights"):
        load_masker(path)
    save_classifier(tiny_classifier(), path)
    with pytest.raises(UserError, match="holds weights, but not of a masker: expected a file"):
        load_masker(path)
    save_masker(ConvMasker(4, 16), path)
    with pytest.raises(UserError, match="holds the weights of another model"):
        load_masker(path, ConvMasker(4, 32))
    with pytest.raises(UserError, match="holds weights, but not of a lookright classifier"):
        load_classifier(path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(UserError, match="cannot be read as weights"):
        load_masker(path)


def test_a_masker_that_gives_no_masks_is_one_clear_line():
    images = torch.rand(2, 3, 8, 8)
    assert masks_of(ConvMasker(4, 16), images).shape == (2, 1, 8, 8)
    for wrong in (nn.Flatten(), nn.Conv2d(3, 2, 1), nn.Identity()):
        with pytest.raises(UserError, match=r"\(B, 1, h, w\), but this one gave"):
            masks_of(wrong, images)
