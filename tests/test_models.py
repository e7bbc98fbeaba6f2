"""Laws of every classifier: normalisation inside, files that come back, errors that mend."""

import pickle
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from lookright.errors import UserError
from lookright.models import (
    Classifier,
    SmallResNet,
    build_model,
    load_classifier,
    load_weights,
    open_model,
    read_weights,
    save_classifier,
)
from lookright.models.weights import fingerprint
from models_for_tests import SIZE, Flat, Tiny, same_state, state_of

NAMES = [
    "small_resnet",
    "resnet10t",
    "efficientnet_lite0",
    "mobilenetv3_small_050",
    "vit_tiny_patch16_224",
    "torchvision/mobilenet_v3_small",
    "torchvision/squeezenet1_1",
    "models_for_tests:Tiny",
]
every_name = pytest.mark.parametrize("name", NAMES)
CLASSES = ("cat", "dog", "owl")


def viewing(classes: int) -> nn.Module:
    """A network that can only read images laid out channel by channel."""

    class Viewing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(3 * SIZE * SIZE, classes)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(x.view(len(x), -1))

    return Viewing()


@every_name
def test_images_to_logits_and_gradients(name: str) -> None:
    model = build_model(name, CLASSES, 32)
    x = torch.rand(2, 3, 32, 32, requires_grad=True)
    logits = model(x)
    assert logits.shape == (2, 3)
    assert logits.dtype == torch.float32
    logits.logsumexp(1).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    assert all(p.grad is not None for p in model.parameters())
    assert (model.classes, model.image_size, model.architecture) == (CLASSES, 32, name)


@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [
        ("small_resnet", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ("resnet10t", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("tf_efficientnet_lite0", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ("torchvision/mobilenet_v3_small", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("models_for_tests:Tiny", (0, 0, 0), (1, 1, 1)),
    ],
)
def test_the_normalisation_is_inside(
    name: str, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    model = build_model(name, CLASSES, 32).eval()
    x = torch.rand(2, 3, 32, 32)
    normalised = torchvision.transforms.functional.normalize(x, list(mean), list(std))
    torch.testing.assert_close(model(x), model.network(normalised))


def test_the_normalisation_follows_device_and_type_and_stays_out_of_the_weights() -> None:
    model = build_model("small_resnet", CLASSES, 32).double()
    assert model(torch.rand(2, 3, 32, 32).double()).dtype == torch.float64
    assert all(key.startswith("network.") for key in model.state_dict())


def test_a_fingerprint_is_of_all_that_decides_the_answers() -> None:
    def of(**options: object) -> str:
        torch.manual_seed(0)
        return fingerprint(Classifier(SmallResNet(2, width=4), ("a", "b"), 8, **options))

    same = of()
    assert of() == same
    others = [of(mean=(0.5,) * 3), of(std=(0.5,) * 3), of(outputs="probabilities")]
    assert len({same, *others}) == 4

    def normalised(**plain: object) -> str:
        head = torchvision.transforms.Normalize(**{"mean": [0.5] * 3, "std": [0.5] * 3} | plain)
        return fingerprint(nn.Sequential(head, nn.Flatten(), nn.Linear(3, 2, bias=False).eval()))

    torch.manual_seed(0)
    one = normalised()
    found = {one}
    for plain in ({}, {"mean": [0.4] * 3}, {"std": torch.full((3,), 0.4)}):
        torch.manual_seed(0)
        found.add(normalised(**plain))
    assert len(found) == 3


def test_a_network_of_ones_own_gets_images_as_they_are() -> None:
    network = viewing(3)
    model = Classifier(network, CLASSES, SIZE)
    x = torch.rand(4, 3, SIZE, SIZE)
    torch.testing.assert_close(model(x), network(x))


def test_a_transformer_is_built_for_the_size_asked_for() -> None:
    for name, size in (
        ("vit_tiny_patch16_224", 48),
        ("swin_tiny_patch4_window7_224", 64),
        ("torchvision/vit_b_32", 96),
    ):
        assert build_model(name, CLASSES, size).eval()(torch.rand(1, 3, size, size)).shape == (1, 3)


@every_name
def test_a_file_brings_the_classifier_back(name: str, tmp_path: Path) -> None:
    model = build_model(name, CLASSES, 32)
    model(torch.rand(4, 3, 32, 32))  # so that the buffers of BatchNorm say something
    path = tmp_path / "model.safetensors"
    save_classifier(model, path)
    again = load_classifier(path, architecture=name if ":" in name else None)
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]
    assert same_state(state_of(model), state_of(again))
    assert again.classes == CLASSES
    assert again.image_size == 32
    assert again.architecture == name
    x = torch.rand(2, 3, 32, 32)
    assert torch.equal(model.eval()(x), again.eval()(x))


def test_a_module_of_ones_own_comes_back_when_it_is_given(tmp_path: Path) -> None:
    model = Classifier(Tiny(), CLASSES, SIZE, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    path = tmp_path / "model.safetensors"
    save_classifier(model, path)
    with pytest.raises(UserError, match=r"network=.*--architecture package\.module:function"):
        load_classifier(path)
    made = load_classifier(path, architecture="models_for_tests:Tiny")
    assert same_state(state_of(model), state_of(made))
    again = load_classifier(path, Tiny())
    x = torch.rand(2, 3, SIZE, SIZE)
    assert torch.equal(model.eval()(x), again.eval()(x))
    with pytest.raises(UserError, match="another model"):
        load_classifier(path, Flat())


@pytest.mark.parametrize(("mean", "std"), [((0, 0, 0), (1, 1, 1)), ((0.5,), (0.25,))])
def test_whole_numbers_and_one_for_all_channels_come_back(
    tmp_path: Path, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    path, names = tmp_path / "model.safetensors", [0, 1, 2]
    model = Classifier(Tiny(), names, SIZE, mean, std).eval()  # type: ignore[arg-type]
    save_classifier(model, path)
    again = load_classifier(path, Tiny()).eval()
    assert again.classes == ("0", "1", "2")
    x = torch.rand(2, 3, SIZE, SIZE)
    assert torch.equal(model(x), again(x))


def test_saving_twice_replaces_and_a_failure_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.safetensors"
    first = build_model("small_resnet", CLASSES, 32)
    save_classifier(first, path)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("lookright.models.stored.save_file", full)
        with pytest.raises(UserError, match="space"):
            save_classifier(build_model("small_resnet", CLASSES, 32), path)
    assert same_state(state_of(first), state_of(load_classifier(path)))
    second = build_model("small_resnet", CLASSES, 32)
    save_classifier(second, path)
    assert same_state(state_of(second), state_of(load_classifier(path)))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("smal_resnet", "small_resnet"),
        ("resnet81", "Did you mean"),
        ("efficientnet_lite", "Did you mean 'efficientnet_lite"),
        ("torchvision/resnet81", "resnet18"),
        ("models_for_tests:Tyni", "models_for_tests"),
        ("no_such_module:model", "no_such_module"),
        ("builtins:range", "torch.nn.Module"),
    ],
)
def test_a_wrong_name_is_mended(name: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as raised:
        build_model(name, CLASSES, 32)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("size", [0, 10_000_000])
def test_an_image_size_out_of_range_is_refused(size: int) -> None:
    with pytest.raises(UserError, match=f"image size of 1 to 8192 pixels; got {size}"):
        build_model("small_resnet", CLASSES, size)


def test_two_classes_at_least_and_one_source_of_weights(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least 2"):
        build_model("small_resnet", ["cat"], 32)
    with pytest.raises(UserError, match="not both"):
        build_model("resnet10t", CLASSES, 32, pretrained=True, weights=tmp_path / "w.pt")
    with pytest.raises(UserError, match="pretrained"):
        build_model("small_resnet", CLASSES, 32, pretrained=True)


@pytest.mark.filterwarnings("ignore:.*(took|is left out):UserWarning")
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("name", ["small_resnet", "resnet10t", "torchvision/squeezenet1_1"])
def test_weights_with_another_head_leave_it_out(name: str, suffix: str, tmp_path: Path) -> None:
    source = build_model(name, [str(i) for i in range(10)], 32).network
    path = tmp_path / f"weights{suffix}"
    state = source.state_dict()
    if suffix == ".pth":
        torch.save({"state_dict": state}, path)
    else:
        save_file(state, path)
    target = build_model(name, CLASSES, 32, weights=path).network
    other = {key for key, value in target.state_dict().items() if value.shape != state[key].shape}
    assert 1 <= len(other) <= 2
    for key, value in target.state_dict().items():
        assert key in other or torch.equal(value, state[key])
    same = build_model(name, [str(i) for i in range(10)], 32, weights=path).network
    assert all(torch.equal(value, state[key]) for key, value in same.state_dict().items())


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(build_model("mobilenetv3_small_050", CLASSES, 32).network.state_dict(), path)
    with pytest.raises(UserError, match="another model") as raised:
        build_model("small_resnet", CLASSES, 32, weights=path)
    assert "\n" not in str(raised.value)
    network = Tiny()
    before = state_of(network)
    state = dict(network.state_dict())
    state["first.weight"] = state["first.weight"][:4]
    with pytest.raises(UserError, match=r"1 of another shape.*first\.weight"):
        load_weights(network, state, "here")
    del state["first.weight"]
    with pytest.raises(UserError, match="1 parameters missing"):
        load_weights(network, state, "here")
    assert same_state(before, state_of(network))


class Evil:
    """A pickle that would write a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


def test_code_in_a_file_of_weights_does_not_run(tmp_path: Path) -> None:
    victim = tmp_path / "ran"
    torch.save({"w": torch.zeros(1), "x": Evil(victim)}, tmp_path / "zip.pt")
    assert read_weights(tmp_path / "zip.pt").keys() == {"w"}
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps({"x": Evil(victim)}))
    with pytest.raises(UserError, match="state dict of plain tensors") as raised:
        read_weights(tmp_path / "plain.pkl")
    assert "\n" not in str(raised.value)
    assert not victim.exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("keep", [0, 5, 100, 0.5, 0.999])
def test_a_truncated_file_is_one_clear_error(suffix: str, keep: float, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    state = Tiny().state_dict()
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    with pytest.raises(UserError, match="cannot be read as weights") as raised:
        read_weights(path)
    assert "\n" not in str(raised.value)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No file"):
        read_weights(tmp_path / "nowhere.safetensors")
    with pytest.raises(UserError, match="No file"):
        load_classifier(tmp_path)
    plain = tmp_path / "plain.safetensors"
    save_file(Tiny().state_dict(), plain)
    with pytest.raises(UserError, match="not of a lookright classifier"):
        load_classifier(plain)
    pth = tmp_path / "state.pth"
    torch.save(Tiny().state_dict(), pth)
    with pytest.raises(UserError, match="not of a lookright classifier"):
        load_classifier(pth)
    torch.save({"epoch": 3}, pth)
    with pytest.raises(UserError, match="not a state dict"):
        read_weights(pth)
    torch.save([1, 2], pth)
    with pytest.raises(UserError, match="not a state dict"):
        read_weights(pth)


@pytest.mark.parametrize("name", ["small.ckpt", "none.pth"])
def test_a_file_that_is_not_there_is_no_unknown_name(name):
    with pytest.raises(UserError, match=f"There is no file {name}"):
        open_model(name)
