"""The masker that begins with a copy of the classifier's network."""

import pytest
import torch
from torch import Tensor, nn

from lookright.batch import Batch
from lookright.errors import UserError
from lookright.guides import LearnedMask, PyramidMasker
from lookright.guides.masker import load_masker, save_masker
from lookright.methods.align import ALIGN
from lookright.models import Classifier, build_model
from lookright.training import Run, fit
from test_training import QUICK, Hook
from tiny import Blobs

TINY = "test_resnet"


def classifier(name: str = TINY) -> Classifier:
    torch.manual_seed(0)
    return build_model(name, Blobs().classes, 32).eval()


def begun(model: Classifier, stride: int = 4) -> PyramidMasker:
    masker = PyramidMasker(stride, width=8)
    masker.begin(model)
    return masker


def images(count: int = 3) -> torch.Tensor:
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", [TINY, "test_efficientnet", "test_convnext", "vgg11"])
def test_masks_have_the_stride_and_every_weight_learns(name):
    masker = begun(classifier(name)).train()
    masks = masker(images())
    assert masks.shape == (3, 1, 8, 8)
    assert ((masks > 0) & (masks < 1)).all()
    masks.sum().backward()
    still = [key for key, p in masker.named_parameters() if p.grad is None]
    assert not still


def test_it_begins_with_the_classifiers_features_and_learns_apart_from_it():
    model = classifier()
    masker = begun(model)
    own = dict(model.network.state_dict())
    copied = masker.body.network.state_dict()
    assert copied
    assert all(torch.equal(value, own[key]) for key, value in copied.items())
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    guide = LearnedMask(masker).train()
    x = images()
    guide.losses(model, Batch(x, torch.tensor([0, 1, 0])))["masker"].backward()
    with torch.no_grad():
        for p in masker.parameters():
            p.sub_(p.grad)
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())
    masker.begin(model)
    assert not torch.equal(masker.body.network.bn1.weight, model.network.bn1.weight), "once"


def test_a_rate_of_its_own_is_that_of_the_layers_which_are_not_copied():
    masker = begun(classifier())
    rates = {
        id(p): rate
        for part, rate in LearnedMask(masker, masker_lr=6.0).rates.items()
        for p in part.parameters()
    }
    copied = {id(p) for p in masker.body.parameters()}
    assert rates == {id(p): 6.0 for p in masker.parameters() if id(p) not in copied}
    assert len(rates) > 0


def test_a_mask_depends_on_its_own_image_alone():
    masker, x = begun(classifier()).train(), images()
    alone = torch.cat([masker(each[None]) for each in x])
    assert torch.allclose(masker(x), alone, atol=1e-6)


def test_it_is_made_again_from_its_file_alone(tmp_path):
    model = classifier()
    model.mean.fill_(0.3)
    masker, path = begun(model), tmp_path / "m.safetensors"
    save_masker(masker, path)
    for again in (load_masker(path), load_masker(path, PyramidMasker(4, width=8))):
        assert torch.equal(again(images()), masker(images()))


def test_a_file_names_no_code(tmp_path, monkeypatch):
    (tmp_path / "planted.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    masker, path = begun(classifier()), tmp_path / "m.safetensors"
    masker.body.architecture = "planted:network"
    save_masker(masker, path)
    for mine in (None, PyramidMasker(4, width=8)):
        with pytest.raises(UserError, match="not of a masker"):
            load_masker(path, mine)


def interrupt(module: object) -> None:
    raise KeyboardInterrupt


def test_a_run_learns_keeps_repeats_and_resumes_it(tmp_path):
    def run(folder: str, **options) -> Run:
        torch.manual_seed(0)
        guide = LearnedMask(PyramidMasker(4, width=8), warm_up=0.0)
        method = ALIGN(classifier(), guide, mixup=0.0)
        data = Blobs(image_size=32)
        return fit(method, data, "train", tmp_path / folder, **QUICK, **options)

    def learned(run: Run) -> Tensor:
        return run.masker("last")(images())

    one = run("one")
    assert torch.equal(learned(one), learned(run("other")))
    assert not torch.allclose(learned(one), begun(classifier())(images()))
    with pytest.raises(UserError, match="Stopped after epoch 1"):
        run("cut", callbacks=[Hook(interrupt, 2)])
    assert torch.equal(learned(run("cut", resume=True)), learned(one))
    again = one.method("last")
    assert isinstance(again.guide, LearnedMask)
    assert torch.equal(again.guide.masker(images()), learned(one))


@pytest.mark.parametrize(
    ("model", "stride", "message"),
    [
        ("small_resnet", 4, "network of timm, and small_resnet gives none"),
        ("vit_tiny_patch16_224", 8, r"strides 16: the stride .*, got 8"),
        (TINY, 3, r"strides 2, 4, 8, 16, 32: .*, got 3"),
        (TINY, 32, "not the last, got 32"),
    ],
)
def test_a_network_without_such_features_is_one_clear_line(model, stride, message):
    with pytest.raises(UserError, match=message):
        PyramidMasker(stride).begin(build_model(model, ("a", "b"), 224))


def test_it_needs_the_classifier_first_and_options_in_range():
    with pytest.raises(UserError, match="begin"):
        PyramidMasker()(images())
    with pytest.raises(UserError, match="Identity gives none"):
        PyramidMasker().begin(nn.Identity())
    for wrong in ({"stride": 0}, {"width": 12}):
        with pytest.raises(UserError, match="A pyramid needs"):
            PyramidMasker(**wrong)
