"""A library's weights see the images that the library would show them, bit for bit."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision.models as tv
from PIL import Image
from timm.data import create_transform, resolve_data_config

import lookright
from lookright import cli
from lookright.data import as_data, load_data, load_image
from lookright.data.images import read_image, square
from lookright.errors import UserError
from lookright.evaluation import Protocol
from lookright.methods import ERM
from lookright.models import (
    Classifier,
    ClassMap,
    Preprocessing,
    build_model,
    expected_images,
    load_classifier,
    open_model,
    save_classifier,
)
from lookright.spec import build, spec_of
from lookright.training import fit
from models_for_tests import SIZE, Smooth
from tiny import newest

QUICK = (
    "--protocol.limit 2 --protocol.stages.attacks.steps 1 --protocol.stages.attacks.restarts 1 "
    "--protocol.stages.attacks.curve [] --protocol.stages.explanations.fills [mean] "
    "--protocol.stages.explanations.removal_steps 1"
)

# One model for each way in which these libraries prepare images.
TIMM = [
    "resnet18",  # a share of 0.95 at 288 px, bicubic
    "resnet10t",
    "tf_efficientnet_b0",
    "inception_v3",  # mean and std of 0.5
    "mobilenetv3_large_100",
    "vit_tiny_patch16_224",
    "deit_tiny_patch16_224",
    "beit_base_patch16_224",
    "vit_base_patch32_clip_224",  # its own mean and std
    "vit_base_patch16_siglip_224",  # squash
    "eva02_base_patch14_448",  # squash
    "convnext_tiny",
    "vit_base_patch14_reg4_dinov2",
    "swin_tiny_patch4_window7_224",
    "regnety_002",
    "densenet121",
]
TORCHVISION = [
    "resnet18",
    "resnet50",
    "inception_v3",
    "googlenet",
    "mobilenet_v3_large",
    "efficientnet_b1",
    "efficientnet_b2",
    "efficientnet_v2_s",
    "convnext_tiny",
    "vit_h_14",  # mean and std of 0.5
    "vit_b_16",
    "swin_t",
    "maxvit_t",
    "regnet_y_128gf",
]
LIBRARY = [*TIMM, *(f"torchvision/{name}" for name in TORCHVISION)]


def theirs(name):
    """The library's own pipeline, from a PIL image to the input of the network."""
    if name.startswith("torchvision/"):
        return tv.get_model_weights(name.removeprefix("torchvision/")).DEFAULT.transforms()
    config = timm.get_pretrained_cfg(name).to_dict()
    return create_transform(**resolve_data_config(pretrained_cfg=config))


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A wide, a high and a small one, with structure at every scale."""
    folder = tmp_path_factory.mktemp("photographs")
    random = np.random.default_rng(0)
    for name, size in (("wide", (611, 403)), ("high", (340, 517)), ("small", (90, 71))):
        pixels = (random.random((29, 31, 3)) * 255).astype(np.uint8)
        image = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
        noise = random.integers(-20, 20, (size[1], size[0], 3))
        noisy = (np.array(image).astype(int) + noise).clip(0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"{name}.png")
    return folder


@pytest.mark.parametrize("name", LIBRARY)
def test_the_network_sees_what_the_library_shows_it(name, photographs):
    expected = expected_images(name)
    model = Classifier(
        torch.nn.Identity(),
        ("a", "b"),
        expected.image_size,
        expected.mean,
        expected.std,
        preprocessing=expected.preprocessing,
    )
    for path in sorted(photographs.iterdir()):
        image = load_image(path, model.image_size, model.preprocessing)
        seen = (image - model.mean[0]) / model.std[0]
        assert torch.equal(seen, theirs(name)(Image.open(path))), path.name


@pytest.mark.parametrize("mode", ["center", "squash", "border"])
@pytest.mark.parametrize("crop", [0.5, 0.875, 1.0, 1.15])
def test_every_mode_and_share_of_timm(mode, crop, photographs):
    mean = (0.2, 0.4, 0.6)
    config = {
        "input_size": (3, 64, 64),
        "crop_pct": crop,
        "crop_mode": mode,
        "interpolation": "bicubic",
        "mean": mean,
        "std": (1.0, 1.0, 1.0),
    }
    how = Preprocessing.of_timm(config)
    for path in sorted(photographs.iterdir()):
        wanted = create_transform(**config)(Image.open(path))
        seen = load_image(path, 64, how) - torch.tensor(mean).view(3, 1, 1)
        assert torch.equal(seen, wanted)


@pytest.mark.parametrize("name", ["inception_v3", "googlenet"])
def test_inception_and_googlenet_give_torchvisions_logits(name, tmp_path, photographs):
    """With the weights as torchvision keeps them: auxiliary heads in the file."""
    torch.manual_seed(0)
    whole = tv.get_model(name, weights=None, num_classes=7, init_weights=False)
    reference = tv.get_model(
        name, weights=None, num_classes=7, transform_input=True, init_weights=False
    ).eval()
    reference.load_state_dict(whole.state_dict())
    torch.save(whole.state_dict(), tmp_path / "w.pth")
    with pytest.warns(UserWarning, match=r"left out '(aux1|AuxLogits)'"):
        model = open_model(f"torchvision/{name}", weights=tmp_path / "w.pth")
    path = photographs / "wide.png"
    wanted = reference(theirs(f"torchvision/{name}")(Image.open(path))[None])
    seen = model(load_image(path, model.image_size, model.preprocessing)[None])
    torch.testing.assert_close(seen, wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["torchvision/inception_v3", "torchvision/googlenet"])
def test_inception_and_googlenet_are_trained(name):
    model = build_model(name, ("a", "b", "c"), 96)
    assert isinstance(model.train()(torch.rand(2, 3, 96, 96)), torch.Tensor)
    losses = ERM(model)(lookright.Batch(torch.rand(2, 3, 96, 96), torch.tensor([0, 2])))
    sum(losses.values()).backward()
    assert all(each.grad is not None for each in model.parameters())


def test_weights_in_a_file_are_known_by_their_hash(tmp_path, monkeypatch):
    newer, older = (expected_images("torchvision/resnet50") for _ in range(2))
    assert newer.preprocessing.crop == 224 / 232
    monkeypatch.setattr("lookright.models.library.content_hash", lambda path: "0676ba61f5e3aaaa")
    (tmp_path / "any.pth").write_bytes(b"")
    older = expected_images("torchvision/resnet50", tmp_path / "any.pth")
    assert older.preprocessing.crop == 224 / 256


def test_a_file_and_a_class_map_keep_the_preprocessing(tmp_path):
    for how in (None, Preprocessing(0.9, "border", "bicubic", (0.1, 0.2, 0.3))):
        model = Classifier(
            Smooth(),
            ("a", "b", "c"),
            SIZE,
            architecture="models_for_tests:Smooth",
            preprocessing=how,
        )
        save_classifier(model, tmp_path / "kept.safetensors")
        own = {"architecture": "models_for_tests:Smooth"}
        assert load_classifier(tmp_path / "kept.safetensors", **own).preprocessing == how
        opened = open_model(str(tmp_path / "kept.safetensors"), **own)
        assert opened.preprocessing == how
        assert ClassMap({"x": (0,), "y": (1, 2)}).onto(opened, 3).preprocessing == how
        assert build(spec_of(how)) == how
        without = open_model(str(tmp_path / "kept.safetensors"), preprocessing=False, **own)
        assert without.preprocessing is None
        other = Preprocessing(0.5)
        given = open_model(str(tmp_path / "kept.safetensors"), preprocessing=other, **own)
        assert given.preprocessing == other


def test_models_without_a_librarys_weights_see_the_central_square(tmp_path, photographs):
    for name in ("small_resnet", "resnet10t", "torchvision/squeezenet1_1", "models_for_tests:Tiny"):
        assert build_model(name, ("a", "b", "c"), 32).preprocessing is None
    path = photographs / "high.png"
    assert torch.equal(load_image(path, 48), square(read_image(path), 48).float() / 255)
    torch.save(
        build_model("resnet10t", ("a", "b", "c"), 32).network.state_dict(), tmp_path / "w.pth"
    )
    tuned = build_model("resnet10t", ("a", "b", "c"), 32, weights=tmp_path / "w.pth")
    assert tuned.preprocessing == expected_images("resnet10t").preprocessing
    with pytest.raises(UserError, match=r"crop is a share above 0"):
        Preprocessing(0)


@pytest.fixture
def pets(tmp_path, monkeypatch):
    """Wide photographs with an object in their left half, outside the central square in part."""
    random = np.random.default_rng(1)
    for name in ("cat", "dog", "owl"):
        for index in range(8):
            for kind in ("pets", "masks"):
                (tmp_path / kind / name).mkdir(parents=True, exist_ok=True)
            pixels = random.integers(0, 255, (40, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / name / f"{index}.png")
            mask = np.zeros((40, 64), np.uint8)
            mask[8:20, 8:24] = 255
            Image.fromarray(mask).save(tmp_path / "masks" / name / f"{index}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


HOW = Preprocessing(0.8, "squash", "bicubic")


@pytest.mark.parametrize("mode", ["center", "squash", "border"])
def test_masks_are_where_their_objects_are(mode, pets):
    """A photograph that is its own mask."""
    how = Preprocessing(0.8, mode, "bicubic")
    data = load_data("masks", 40, masks="masks", preprocessing=how)
    batch = data.samples("masks", [0])
    assert set(batch.masks.unique().tolist()) == {0, 1}
    assert (batch.images[:, :1].round() == batch.masks).float().mean() > 0.98


def test_two_ways_are_two_data_sets(pets):
    plain, other = load_data("pets", 32), load_data("pets", 32, preprocessing=HOW)
    assert plain.fingerprint("pets") != other.fingerprint("pets")
    assert spec_of(plain) != spec_of(other)
    again = build(spec_of(other))
    assert again.preprocessing == HOW
    assert torch.equal(again.samples("pets", [0]).images, other.samples("pets", [0]).images)
    assert not torch.equal(plain.samples("pets", [0]).images, other.samples("pets", [0]).images)
    assert as_data("pets", image_size=32, preprocessing=HOW).preprocessing == HOW


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_evaluations_show_each_model_its_own_images(pets, monkeypatch):
    shown = []
    see = lookright.models.Classifier.forward

    def seen(self, x):
        if len(x) == 2 and not self.training:
            shown.append(x.detach().clone())
        return see(self, x)

    for name, how in (("one", None), ("two", HOW)):
        torch.manual_seed(0)
        model = build_model("small_resnet", ("cat", "dog", "owl"), 32)
        model.preprocessing = how
        save_classifier(model, f"{name}.safetensors")
    monkeypatch.setattr(Classifier, "forward", seen)
    cli.main(f"evaluate one.safetensors two.safetensors --data pets {QUICK}".split())
    for how in (None, HOW):
        data = load_data("pets", 32, preprocessing=how)
        images = data.samples("pets", range(24)).images
        pairs = [x for x in shown if all((image == images).flatten(1).all(1).any() for image in x)]
        assert pairs, how
    told = newest("results/two").config
    assert told["model"]["preprocessing"]["init_args"]["mode"] == "squash"
    cli.main(
        f"evaluate two.safetensors --data pets {QUICK} --preprocessing false --output b".split()
    )
    assert newest("b/two").config["model"]["preprocessing"] is None
    line = f"evaluate two.safetensors --data pets {QUICK} --preprocessing.crop 0.5 --output c"
    cli.main(line.split())
    assert newest("c/two").config["model"]["preprocessing"]["init_args"]["crop"] == 0.5
    with pytest.raises(SystemExit):
        cli.main(
            [
                "claim",
                "one.safetensors",
                "--against",
                "two.safetensors",
                "--data",
                "pets",
                "--n",
                "2",
            ]
        )


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_run_from_a_librarys_weights_keeps_its_preprocessing(pets, capsys):
    torch.manual_seed(0)
    name = "resnet10t"
    torch.save(build_model(name, tuple("abcdefg"), 32).network.state_dict(), "w.pth")
    line = (
        f"train --method ERM --data pets --model {name} --image_size 32 --epochs 1 --batch_size 8"
    )
    cli.main(f"{line} --weights w.pth --run runs/tuned".split())
    cli.main(f"{line} --run runs/scratch".split())
    how = expected_images(name).preprocessing
    assert how.crop == 0.875
    tuned = json.loads(Path("runs/tuned/config.json").read_text())["data"]["spec"]["init_args"]
    assert tuned["preprocessing"] == spec_of(how)
    for run, expected in (("tuned", how), ("scratch", None)):
        opened = lookright.training.run.Run(f"runs/{run}")
        assert opened.model("last").preprocessing == expected
        assert opened.data().preprocessing == expected
        cli.main(f"evaluate runs/{run} {QUICK}".split())
        judged = newest(f"runs/{run}").config["judged"]["data"]["init_args"]
        assert judged["preprocessing"] == spec_of(expected)
    cli.main(f"{line} --weights w.pth --preprocessing false --run runs/plain".split())
    assert lookright.training.run.Run("runs/plain").model("last").preprocessing is None
    (image,) = Path("pets/cat").glob("0.png")
    capsys.readouterr()
    cli.main(f"explain runs/tuned {image} --attack fgsm --attack.eps 0".split())
    said = re.search(r"0.png: (\w+)", capsys.readouterr().out)
    model = lookright.training.run.Run("runs/tuned").model().eval()
    assert said[1] == model.classes[int(model(load_image(image, 32, how)[None]).argmax())]


def test_images_prepared_in_another_way_are_told(pets):
    model = Classifier(Smooth(), ("cat", "dog", "owl"), 32, preprocessing=HOW)
    protocol = Protocol(limit=2, stages=())
    with pytest.warns(UserWarning, match=r"expects images prepared by Preprocessing\(crop=0.8"):
        lookright.evaluate(model, load_data("pets", 32), protocol=protocol, progress=False)
    right = load_data("pets", 32, preprocessing=model.preprocessing)
    lookright.evaluate(model, right, protocol=protocol, progress=False)
    lookright.evaluate(model, "pets", protocol=protocol, progress=False)
    fit(ERM(model), load_data("pets", 32), run="run", epochs=1, progress=False)
    assert model.preprocessing is None


def test_another_size_keeps_the_share(tmp_path, photographs):
    torch.save(
        build_model("resnet10t", tuple("abcdefg"), 32).network.state_dict(), tmp_path / "w.pth"
    )
    model = open_model("resnet10t", weights=tmp_path / "w.pth", image_size=112)
    config = resolve_data_config({"img_size": 112}, timm.get_pretrained_cfg("resnet10t").to_dict())
    config["input_size"] = (3, 112, 112)
    path = photographs / "wide.png"
    wanted = create_transform(**config)(Image.open(path))
    seen = load_image(path, 112, model.preprocessing)
    assert torch.equal((seen - model.mean[0]) / model.std[0], wanted)
    assert replace(model.preprocessing, crop=1.0) != model.preprocessing
