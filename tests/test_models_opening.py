"""Any model: what somebody else saved gives the logits and gradients of what it was made from."""

import json
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from lookright.attacks import FGSM, PGD
from lookright.errors import UserError
from lookright.explainers import GradCAM, InputGradient, IntegratedGradients
from lookright.models import (
    Classifier,
    build_model,
    load_classifier,
    open_model,
    save_classifier,
)
from lookright.models.weights import fingerprint
from lookright.modes import frozen
from models_for_tests import CLASSES, SIZE, Tiny

NAMES = ("cat", "dog", "owl")
BATCH = torch.export.Dim("batch")


class Opaque(nn.Module):
    """Attention over the places of a feature map: no single map says where the network looked."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, 2, 1)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.first(x).flatten(2).mT[:, None]
        seen = nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)
        return self.head(seen.mean((1, 2)))


def export(network: nn.Module, path: Path, batch: int | None = None) -> None:
    x = torch.rand(batch or 2, 3, SIZE, SIZE)
    free = None if batch else ({0: BATCH},)
    torch.export.save(torch.export.export(network, (x,), dynamic_shapes=free), path)


def script(network: nn.Module, path: Path) -> None:
    torch.jit.save(torch.jit.script(network), path)


def trace(network: nn.Module, path: Path) -> None:
    x = torch.rand(2, 3, SIZE, SIZE)
    torch.jit.save(torch.jit.trace(network, x, check_trace=False), path)


def state_dict(network: nn.Module, path: Path) -> None:
    torch.save(network.state_dict(), path)


def classifier(network: nn.Module, path: Path) -> None:
    save_classifier(Classifier(network, NAMES, SIZE, architecture="models_for_tests:Tiny"), path)


SAVED = {
    "scripted": (script, "net.pt", {"image_size": SIZE}),
    "traced": (trace, "net.ts", {"image_size": SIZE}),
    "exported": (export, "net.pt2", {}),
    "classifier": (classifier, "net.safetensors", {"architecture": "models_for_tests:Tiny"}),
    "state dict": (state_dict, "net.pth", {"image_size": SIZE}),
}


pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")


@pytest.fixture
def eager() -> nn.Module:
    torch.manual_seed(0)
    network = Tiny()
    network(torch.rand(8, 3, SIZE, SIZE))
    return network.eval()


def opened(kind: str, network: nn.Module, folder: Path) -> Classifier:
    save, name, options = SAVED[kind]
    save(network, folder / name)
    if kind == "state dict":
        return open_model("models_for_tests:Tiny", weights=folder / name, **options)
    return open_model(str(folder / name), **options)


@pytest.mark.parametrize("kind", SAVED)
def test_it_is_the_model_that_was_saved(kind: str, eager: nn.Module, tmp_path: Path) -> None:
    model = opened(kind, eager, tmp_path)
    x = torch.rand(5, 3, SIZE, SIZE)
    y = torch.arange(5) % CLASSES
    assert model.image_size == SIZE
    assert len(model.classes) == CLASSES
    for count in (1, 3, 5):
        torch.testing.assert_close(model(x[:count]), eager(x[:count]))
    for attack in (FGSM(), PGD(steps=3, random_start=False)):
        torch.testing.assert_close(attack(model, x, y), attack(eager, x, y))
    for explainer in (InputGradient(), IntegratedGradients(steps=3)):
        for keep in (False, True):
            with torch.set_grad_enabled(keep):
                for ours, theirs in zip(explainer(model, x), explainer(eager, x), strict=True):
                    torch.testing.assert_close(ours, theirs)
    before = [module.training for module in model.modules()]
    with frozen(model):
        model(x)
    assert [module.training for module in model.modules()] == before


@pytest.mark.parametrize("kind", SAVED)
def test_gradcam_sees_the_same_map_or_says_what_to_do(
    kind: str, eager: nn.Module, tmp_path: Path
) -> None:
    model = opened(kind, eager, tmp_path)
    x = torch.rand(4, 3, SIZE, SIZE)
    if kind in ("scripted", "traced"):
        for explainer in (GradCAM(), GradCAM(layer="first")):
            with pytest.raises(UserError, match=r"TorchScript.*InputGradient") as raised:
                explainer(model, x)
            assert "\n" not in str(raised.value)
        return
    ours, theirs = GradCAM()(model, x)[1], GradCAM()(eager, x)[1]
    assert theirs.abs().sum() > 0
    torch.testing.assert_close(ours, theirs)


def test_an_exported_program_with_attention_has_no_single_map(tmp_path: Path) -> None:
    path = tmp_path / "net.pt2"
    export(Opaque().eval(), path)
    with pytest.raises(UserError, match=r"no feature map.*InputGradient"):
        GradCAM()(open_model(str(path)), torch.rand(2, 3, SIZE, SIZE))


def test_mean_and_std_of_a_program_are_given(eager: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    script(eager, path)
    x = torch.rand(2, 3, SIZE, SIZE)
    mean, std = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]
    model = open_model(str(path), image_size=SIZE, mean=mean, std=std)
    normal = (x - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    torch.testing.assert_close(model(x), eager(normal))
    for wrong in ([0.1], [0.1, 0.2, 0.0]):
        with pytest.raises(UserError, match=r"three numbers for std \(above 0 for std\)"):
            open_model(str(path), image_size=SIZE, std=wrong)


def test_a_name_gets_as_many_classes_as_its_weights(tmp_path: Path) -> None:
    for name in ("resnet10t", "torchvision/squeezenet1_1", "small_resnet"):
        path = tmp_path / "weights.safetensors"
        source = build_model(name, [str(i) for i in range(7)], 64).eval()
        save_file(source.network.state_dict(), path)
        model = open_model(name, weights=path, image_size=64)
        x = torch.rand(2, 3, 64, 64)
        torch.testing.assert_close(model(x), source(x))
        assert model.classes == tuple("0123456")
    torch.save(source.network.state_dict(), tmp_path / "w.pt")
    assert open_model("small_resnet", weights=tmp_path / "w.pt", image_size=64).image_size == 64


@pytest.mark.filterwarnings("ignore:.*is left out:UserWarning")
def test_a_name_may_have_two_heads(tmp_path: Path) -> None:
    name, options = "deit_tiny_distilled_patch16_224", {"depth": 1, "embed_dim": 12, "num_heads": 1}
    with pytest.MonkeyPatch.context() as patch:
        create = timm.create_model
        patch.setattr(timm, "create_model", lambda *given, **more: create(*given, **more | options))
        theirs = timm.create_model(name, num_classes=5)
        torch.save(theirs.state_dict(), tmp_path / "a.pth")
        model = open_model(name, weights=tmp_path / "a.pth")
        assert len(model.classes) == 5
        tuned = build_model(name, ("a", "b", "c"), 224, weights=tmp_path / "a.pth").network
    assert torch.equal(tuned.cls_token, theirs.cls_token)
    assert tuned.head.weight.shape == tuned.head_dist.weight.shape == (3, 12)
    assert not tuned.head.weight.any()
    assert not tuned.head_dist.weight.any()


def test_the_size_is_that_of_the_architecture(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    for name, size in (("resnet10t", 176), ("torchvision/squeezenet1_1", 224)):
        save_file(build_model(name, NAMES, 64).network.state_dict(), path)
        assert open_model(name, weights=path).image_size == size
    with pytest.raises(UserError, match=r"image size that small_resnet was made for: --image_size"):
        open_model("small_resnet", weights=path)


def without_arguments() -> nn.Module:
    return Tiny(4)


def of_so_many(count: int) -> nn.Module:
    return Tiny(count)


def two_outputs() -> nn.Module:
    class Two(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return x, x

    return Two()


def test_a_function_is_called_with_the_number_of_classes_or_with_nothing() -> None:
    module = "test_models_opening"
    model = open_model(f"{module}:without_arguments", image_size=SIZE)
    assert model.classes == tuple("0123")
    assert open_model("models_for_tests:Tiny", image_size=SIZE, count=5).classes == tuple("01234")
    assert open_model("models_for_tests:Tiny", image_size=SIZE, classes=NAMES).classes == NAMES
    with pytest.raises(UserError, match=r"cannot be called with .*--classes"):
        open_model(f"{module}:of_so_many", image_size=SIZE)


def test_a_thousand_classes_are_those_of_imagenet(tmp_path: Path) -> None:
    model = open_model("models_for_tests:Tiny", image_size=SIZE, count=1000)
    assert model.classes[402] == "acoustic guitar"


def in_training(tmp_path: Path) -> str:
    trace(Tiny().train(), tmp_path / "net.ts")
    return str(tmp_path / "net.ts")


def fixed(tmp_path: Path) -> str:
    export(Tiny().eval(), tmp_path / "net.pt2", batch=4)
    return str(tmp_path / "net.pt2")


def of_state(tmp_path: Path, name: str = "net.pt") -> str:
    torch.save(Tiny().state_dict(), tmp_path / name)
    return str(tmp_path / name)


def of_text(tmp_path: Path) -> str:
    (tmp_path / "net.pt2").write_text("no program")
    return str(tmp_path / "net.pt2")


@pytest.mark.parametrize(
    ("make", "options", "says"),
    [
        (
            in_training,
            {"image_size": SIZE},
            r"in a second pass.*model\.eval\(\)",
        ),
        (in_training, {}, "image size that .* was made for: --image_size"),
        (fixed, {}, "a fixed batch size of 4: .*Dim"),
        (of_state, {"image_size": SIZE}, "not a TorchScript program.*architecture.*--weights"),
        (lambda at: of_state(at, "net.pth"), {}, "does not look like a model.*architecture"),
        (of_text, {}, "cannot be read as a program"),
        (lambda at: str(at / "none.pt"), {}, "No file at .*none.pt"),
        (lambda at: str(at / "none.safetensors"), {}, "No file of weights"),
        (lambda at: "resnet10t", {}, "needs weights for an evaluation: --weights"),
        (lambda at: "resnet11t", {}, "No model is called 'resnet11t'.*Did you mean 'resnet1"),
        (lambda at: "resnet10t", {"weights": Path("a"), "pretrained": True}, "not both"),
        (fixed, {"weights": Path("a")}, "already contains its weights"),
        (lambda at: "test_models_opening:two_outputs", {"image_size": 9}, r"logits \(B, K\)"),
        (lambda at: "models_for_tests:Flat", {"image_size": 9}, "could not be run on images of 9"),
        (lambda at: "models_for_tests:Flat", {"image_size": 0}, "1 to 8192 pixels; got 0"),
        (
            lambda at: "models_for_tests:Flat",
            {"image_size": SIZE, "classes": ["a", "b"]},
            "has 3 classes, but 2 names",
        ),
    ],
)
def test_a_mistake_is_one_clear_line(make, options, says, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=says) as raised:
        open_model(make(tmp_path), **options)
    assert "\n" not in str(raised.value)


class Shifted(nn.Module):
    """A program whose answers depend on what is neither a parameter nor a buffer."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by
        self.head = nn.Linear(3, CLASSES)
        nn.init.constant_(self.head.weight, 0.5)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head((x - self.by).mean((2, 3)))


@pytest.mark.parametrize("save", [script, trace, None], ids=["scripted", "traced", "frozen"])
def test_programs_with_other_constants_are_other_models(save, tmp_path):
    def made(by: float) -> str:
        path, network = tmp_path / "net.pt", Shifted(by).eval()
        if save is None:
            torch.jit.save(torch.jit.freeze(torch.jit.script(network)), path)
        else:
            save(network, path)
        return fingerprint(open_model(str(path), image_size=SIZE, count=CLASSES))

    assert made(0.5) == made(0.5)
    assert made(0.5) != made(0.9)


def test_arrays_of_a_module_count():
    def made(by: float) -> str:
        network = Shifted(0.0)
        network.table = np.array([by])
        return fingerprint(network)

    assert made(0.5) == made(0.5)
    assert made(0.5) != made(0.9)


def test_a_frozen_program_has_no_modes_to_change(tmp_path):
    path = tmp_path / "net.pt"
    torch.jit.save(torch.jit.freeze(torch.jit.script(Tiny().eval())), path)
    model = open_model(str(path), image_size=SIZE, count=CLASSES)
    with frozen(deepcopy(model)) as nothing:
        assert nothing is None


def test_tied_weights_are_saved_and_loaded(tmp_path):
    class Tied(Tiny):
        def __init__(self) -> None:
            super().__init__()
            self.again = nn.Conv2d(*self.first.weight.shape[1::-1], 3)
            self.again.weight = self.first.weight

    model = Classifier(Tied(), NAMES, SIZE)
    save_classifier(model, tmp_path / "net.safetensors")
    found = load_classifier(tmp_path / "net.safetensors", Tied())
    x = torch.rand(2, 3, SIZE, SIZE)
    torch.testing.assert_close(found.eval()(x), model.eval()(x))


@pytest.mark.parametrize(
    ("name", "value"), [("outputs", "guesses"), ("preprocessing", {"resize": 3})]
)
def test_what_a_file_says_wrongly_is_one_line(tmp_path, name, value):
    path = tmp_path / "net.safetensors"
    save_classifier(Classifier(Tiny(), NAMES, SIZE), path)
    with safe_open(path, "pt") as file:
        about, names = json.loads(file.metadata()["lookright"]), file.keys()
        state = {each: file.get_tensor(each) for each in names}
    save_file(state, path, metadata={"lookright": json.dumps(about | {name: value})})
    with pytest.raises(UserError, match=r"cannot be read: it is damaged"):
        load_classifier(path, Tiny())
