"""Where Grad-CAM looks: the map of every kind of layout, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from timm.models import crossvit, mlp_mixer, mvitv2, nest, volo
from torch import Tensor, nn
from torchvision.models import SwinTransformer, VisionTransformer

from lookright.errors import UserError
from lookright.explainers import GradCAM
from lookright.explainers.layers import find_layer
from lookright.explainers.outputs import outputs_of
from lookright.explainers.paths import on_every_path
from lookright.models import Classifier, ClassMap, SmallResNet, open_model
from lookright.modes import frozen
from models_for_tests import Tiny, same_state, state_of

FIRST, LAST = "channels first", "channels last"
NETWORK = {"embed_dim": 16, "depth": 3, "num_heads": 2, "img_size": 32, "patch_size": 8}
STAGES = {"embed_dims": (8, 8, 8, 16), "img_size": 64}


def made(name: str, **settings: object) -> Callable[[], nn.Module]:
    return lambda: timm.create_model(name, num_classes=3, **settings)


def mixer(**settings: object) -> Callable[[], nn.Module]:
    sizes = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "num_blocks": 2}
    return lambda: mlp_mixer.MlpMixer(num_classes=3, **sizes, **settings)


def mvit(class_token: bool) -> nn.Module:
    settings = mvitv2.MultiScaleVitCfg((1, 1, 1, 2), embed_dim=8, use_cls_token=class_token)
    return mvitv2.MultiScaleVit(settings, img_size=64, num_classes=3)


KINDS = {
    # name: how it is built, the right layer, and its layout (tokens: how many before the patches)
    "beit": (made("beit_base_patch16_224", **NETWORK), "norm", 1),
    "beit-token": (
        made("beit_base_patch16_224", global_pool="token", **NETWORK),
        "blocks.2.norm1",
        1,
    ),
    "cait": (made("cait_xxs24_224", **NETWORK), "blocks", 0),
    "coat_lite": (
        made("coat_lite_tiny", serial_depths=(1, 1, 1, 2), **STAGES),
        "serial_blocks4.1.norm1",
        1,
    ),
    "convit": (made("convit_tiny", local_up_to_layer=1, **NETWORK), "blocks.2.norm1", 1),
    "deit-distilled": (
        made("deit_tiny_distilled_patch16_224", **NETWORK),
        "blocks.2.norm1",
        2,
    ),
    "eva-registers": (made("vit_tiny_patch16_dinov3_qkvb", **NETWORK), "norm", 5),
    "eva-token": (
        made("eva02_tiny_patch14_224", global_pool="token", **NETWORK),
        "blocks.2.norm1",
        1,
    ),
    "hiera": (
        made("hiera_tiny_224", img_size=(64, 64), embed_dim=8, num_heads=1, stages=(1, 1, 2, 1)),
        "blocks.4",
        0,
    ),
    "hybrid": (
        made("vit_tiny_r_s16_p8_224", img_size=64, embed_dim=16, depth=2, num_heads=2),
        "blocks.1.norm1",
        1,
    ),
    "levit": (
        made("levit_128s", img_size=128, embed_dim=(16, 16, 16), num_heads=(2, 2, 2)),
        "stages",
        0,
    ),
    "levit_conv": (
        made("levit_conv_128s", img_size=128, embed_dim=(16, 16, 16), num_heads=(2, 2, 2)),
        "stages",
        FIRST,
    ),
    "mambaout": (made("test_mambaout"), "stages", LAST),
    "mixer": (mixer(), "norm", 0),
    "mvit": (lambda: mvit(False), "norm", 0),
    "mvit-token": (lambda: mvit(True), "stages.3.blocks.1.norm1", 1),
    "nest": (
        lambda: nest.Nest(64, embed_dims=(8, 8, 16), num_heads=(1, 1, 2), depths=(1, 1, 1)),
        "norm",
        LAST,
    ),
    "pit": (
        made("pit_ti_224", img_size=64, base_dims=(8, 8, 8), depth=(1, 1, 2), heads=(1, 2, 2)),
        "transformers.2.blocks.1.norm1",
        1,
    ),
    "resmlp": (
        mixer(block_layer=mlp_mixer.ResBlock, mlp_ratio=4, norm_layer=mlp_mixer.Affine),
        "norm",
        0,
    ),
    "sequencer": (
        made("sequencer2d_s", layers=(1,) * 4, hidden_sizes=(4,) * 4, **STAGES),
        "norm",
        LAST,
    ),
    "tnt": (
        made(
            "tnt_s_legacy_patch16_224",
            **{"img_size": 32, "embed_dim": 16, "inner_dim": 8, "depth": 3},
            **{"num_heads_outer": 2, "num_heads_inner": 2},
        ),
        "blocks.2.norm_out",
        1,
    ),
    "torchvision swin": (
        lambda: SwinTransformer([4, 4], 8, [1, 1], [1, 2], [4, 4], num_classes=3),
        "norm",
        LAST,
    ),
    "torchvision vit": (
        lambda: VisionTransformer(32, 8, 3, 2, 16, 16, num_classes=3),
        "encoder.layers.encoder_layer_2.ln_1",
        1,
    ),
    "twins": (
        made(
            "twins_svt_small", num_heads=(1, 1, 2, 2), depths=(1, 1, 1, 2), wss=(2,) * 4, **STAGES
        ),
        "norm",
        0,
    ),
    "vit": (made("vit_tiny_patch16_224", **NETWORK), "blocks.2.norm1", 1),
    "vit-average": (made("vit_tiny_patch16_224", global_pool="avg", **NETWORK), "norm", 1),
    "vit-attention-pool": (
        made("vit_tiny_patch16_224", global_pool="map", class_token=False, **NETWORK),
        "norm",
        0,
    ),
    "volo": (
        lambda: volo.VOLO(
            (1, 1, 1, 2), 32, num_classes=3, embed_dims=(8, 16, 16, 16), num_heads=(1, 2, 2, 2)
        ),
        "network.4",
        LAST,
    ),
    "xcit": (made("xcit_nano_12_p16_224", **NETWORK), "cls_attn_blocks.1.norm1", 1),
}
SIDES = {"levit": 128, "levit_conv": 128}
LARGE = {
    *("coat_lite", "hiera", "hybrid", "mambaout", "mvit", "mvit-token", "nest", "pit", "sequencer"),
    "twins",
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def network_of(kind: str) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    network = KINDS[kind][0]().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any() or (parameter.ndim == 2 and len(parameter) == 3):
                parameter.normal_(generator=torch.Generator().manual_seed(1))
    side = SIDES.get(kind, 64 if kind in LARGE else 32)
    return network, torch.rand(3, 3, side, side)


def arranged(output: Tensor, layout: str | int) -> Tensor:
    if isinstance(layout, int):
        output = output[:, layout:]
        side = int(output.shape[1] ** 0.5)
        return output.mT.reshape(len(output), -1, side, side)
    return output.movedim(3, 1) if layout == LAST else output


def reference(network: nn.Module, name: str, layout: str | int, x: Tensor, y: Tensor) -> Tensor:
    """The paper's formula at a layer that is known."""
    kept: list[Tensor] = []

    def keep(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        kept[:] = [output.detach().requires_grad_()]
        return kept[0].clone()

    handle = network.get_submodule(name).register_forward_hook(keep)
    score = network(x).gather(1, y[:, None]).sum()
    handle.remove()
    (gradient,) = torch.autograd.grad(score, kept[0])
    weights = arranged(gradient, layout).mean((2, 3), keepdim=True)
    return (weights * arranged(kept[0], layout)).sum(1).relu().detach()


@every_kind
def test_the_map_is_the_one_at_the_right_layer(kind: str) -> None:
    network, x = network_of(kind)
    _, layer, layout = KINDS[kind]
    for label in range(3):
        y = torch.full((3,), label)
        right = reference(network, layer, layout, x, y)
        with torch.no_grad():
            found = GradCAM()(network, x, y)[1]
        named = GradCAM(layer)(network, x, y)[1]
        for saliency in (found, named):
            assert (saliency - right).abs().max() <= 1e-4 * right.max()
    assert find_layer(network, x).module is network.get_submodule(layer)


@every_kind
def test_searching_leaves_the_network_as_it_was(kind: str) -> None:
    network, x = network_of(kind)
    network(x)  # ConViT keeps its positions after the first call
    network.train()
    nn.init.zeros_(list(network.parameters())[-1])
    before, chance = state_of(network), torch.get_rng_state()
    find_layer(network, x)
    assert same_state(before, state_of(network))
    assert torch.equal(chance, torch.get_rng_state())


@pytest.mark.parametrize("kind", ["beit-token", "mixer", "nest", "tnt", "volo"])
def test_wrapped_in_training_it_is_the_same_map(kind: str) -> None:
    network, x = network_of(kind)
    classifier = Classifier(network, ("a", "b", "c"), x.shape[-1], (0.5,) * 3, (0.2,) * 3)
    model = ClassMap({"a": (0,), "b": (1,)}).onto(classifier, count=3)
    y = torch.tensor([0, 1, 0])
    right = reference(network, *KINDS[kind][1:], (x - 0.5) / 0.2, y)
    _, saliency = GradCAM()(model, x.requires_grad_(), y)
    assert saliency.grad_fn is not None
    assert find_layer(model, x).module is network.get_submodule(KINDS[kind][1])
    assert right.any()
    assert (saliency - right).abs().max() <= 1e-4 * right.max()


NETWORKS = (SmallResNet(3, 4), Tiny(), timm.create_model("test_convnext"))


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: type(network).__name__)
def test_on_every_path_means_that_a_cut_leaves_no_gradient(network: nn.Module) -> None:
    with frozen(network):
        logits, outputs = outputs_of(network, torch.rand(1, 3, 32, 32))
        passed = on_every_path(logits)
        for output in outputs:
            module = network.get_submodule(output.name)
            handle = module.register_forward_hook(lambda module, inputs, output: output.detach())
            left = network(torch.rand(1, 3, 32, 32, requires_grad=True))
            handle.remove()
            assert (output.value.grad_fn in passed) is not left.requires_grad, output.name
    assert passed


# --- Refusals --------------------------------------------------------------------------------


class Own(nn.Module):
    """A small ViT of one's own, which reads the mean of its tokens, or the first."""

    def __init__(self, first: bool = False, blocks: int = 2) -> None:
        super().__init__()
        self.first = first
        self.patch = nn.Conv2d(3, 8, 4, 4)
        self.blocks = nn.ModuleList(OwnBlock() for _ in range(blocks))
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patch(x).flatten(2).mT
        for block in self.blocks:
            tokens = block(tokens)
        tokens = self.norm(tokens)
        return self.head(tokens[:, 0] if self.first else tokens.mean(1))


class OwnBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.weights, self.mix = nn.Linear(8, 24), nn.Softmax(-1), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x)[:, None].chunk(3, -1)
        return x + self.mix(self.weights(q @ k.mT) @ v)[:, 0]


class Both(nn.Module):
    """The mean of two networks."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = Tiny(), Tiny()

    def forward(self, x: Tensor) -> Tensor:
        return self.one(x) + self.other(x)


class Aside(nn.Module):
    """A last map that the logits are not made of, and one that they ignore."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.aside, self.ignored = Tiny(), nn.Conv2d(3, 4, 1), nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        logits = self.inner(x + 0 * self.ignored(x))
        self.seen = self.aside(x)
        return logits


REFUSED: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "coat": (
        made(
            "coat_tiny", img_size=64, embed_dims=(8,) * 4, serial_depths=(1,) * 4, parallel_depth=1
        ),
        64,
    ),
    "crossvit": (
        lambda: crossvit.CrossVit(
            48,
            (1.0, 1.0),
            (8, 16),
            num_classes=3,
            embed_dim=(8, 16),
            depth=((1, 1, 0),) * 2,
            num_heads=(2, 2),
            mlp_ratio=(2.0, 2.0, 1.0),
        ),
        48,
    ),
    "efficientvim": (made("efficientvim_m1"), 64),
    "tokens of one's own": (Own, 16),
    "a class token of one's own": (lambda: Own(first=True), 16),
    "two networks": (Both, 16),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_network_without_one_map_is_refused_with_candidates(name: str) -> None:
    make, side = REFUSED[name]
    network = make().eval()
    x = torch.rand(2, 3, side, side)
    with torch.no_grad(), pytest.raises(UserError, match="no feature map") as raised:
        GradCAM()(network, x)
    message = str(raised.value)
    assert "\n" not in message
    named = message.split("such as ")[1].split(" (")[0]
    network.get_submodule(named)


def test_following_the_refusal_gives_the_map() -> None:
    torch.manual_seed(0)
    network, x = Own().eval(), torch.rand(2, 3, 16, 16)
    with pytest.raises(UserError, match=r"norm \(1, 16, 8\)"):
        GradCAM()(network, x)
    with pytest.raises(UserError, match=r"grid=") as raised:
        GradCAM("norm")(network, x)
    assert "(1, 16, 8)" in str(raised.value)
    saliency = GradCAM("norm", lambda tokens: arranged(tokens, 0))(network, x)[1]
    y = network(x).argmax(1)
    torch.testing.assert_close(saliency.detach(), reference(network, "norm", 0, x, y))


def test_a_layer_that_the_logits_ignore_is_refused_or_passed_over() -> None:
    network, x = Aside().eval(), torch.rand(2, 3, 12, 12)
    assert find_layer(network, x).module is network.inner.act
    for layer in ("aside", "ignored"):
        with pytest.raises(UserError, match=f"do not depend on .*'{layer}'"):
            GradCAM(layer)(network, x)


@pytest.mark.parametrize("kind", ["vit", "tnt", "beit-token"])
def test_final_tokens_of_which_only_the_class_is_read_are_refused(kind: str) -> None:
    network, x = network_of(kind)
    with pytest.raises(UserError, match=r"do not depend on .*'norm'"):
        GradCAM("norm")(network, x)


def test_tokens_that_form_no_square_are_refused() -> None:
    settings = NETWORK | {"img_size": (16, 64)}
    network = timm.create_model("vit_tiny_patch16_224", num_classes=3, **settings).eval()
    with pytest.raises(UserError, match="square"):  # 2 x 8 tokens are not 4 x 4
        GradCAM()(network, torch.rand(1, 3, 16, 64))
    with pytest.raises(UserError, match="grid="):
        GradCAM("blocks.1")(network, torch.rand(1, 3, 16, 64))


def test_images_that_are_no_squares_are_explained_where_channels_lie_as_known() -> None:
    network = timm.create_model("test_mambaout", num_classes=3).eval()
    assert GradCAM()(network, torch.rand(1, 3, 64, 128))[1].shape == (1, 2, 4)
    assert GradCAM()(SmallResNet(3, 4).eval(), torch.rand(1, 3, 32, 64))[1].shape == (1, 8, 16)


@pytest.mark.parametrize("kind", ["vit", "beit-token", "xcit"])
def test_a_head_that_starts_at_zero_hides_no_layer(kind: str) -> None:
    network, x = network_of(kind)
    nn.init.zeros_(network.head.weight)
    assert find_layer(network, x).module is network.get_submodule(KINDS[kind][1])


@pytest.mark.parametrize(
    ("kind", "layer", "shape"),
    [
        ("mixer", "blocks.0", (4, 4)),
        ("twins", "blocks.0.0", (16, 16)),
        ("nest", "levels.0", (16, 16)),
        ("mambaout", "stages.0", (16, 16)),
        ("vit", "blocks.0.mlp.fc1", (4, 4)),
        ("hiera", "blocks.0", None),  # its tokens are not yet in rows
        ("vit", "blocks.0.attn.qkv", (4, 4)),
    ],
)
def test_the_layout_of_a_named_layer_is_known(
    kind: str, layer: str, shape: tuple[int, int] | None
) -> None:
    network, x = network_of(kind)
    if shape is None:
        with pytest.raises(UserError, match="grid="):
            GradCAM(layer)(network, x)
    else:
        assert GradCAM(layer)(network, x)[1].shape == (3, *shape)


def test_a_method_that_only_has_the_name_of_timms_is_no_trouble() -> None:
    network, x = Tiny().eval(), torch.rand(1, 3, 12, 12)
    network.forward_intermediates = lambda first, second: None
    assert find_layer(network, x).module is network.act


# --- Exported programs -----------------------------------------------------------------------


def exported(network: nn.Module, x: Tensor, path: Path) -> Classifier:
    batch = ({0: torch.export.Dim("batch")},)
    torch.export.save(torch.export.export(network, (x,), dynamic_shapes=batch), path)
    return open_model(str(path))


@pytest.mark.parametrize("kind", ["torchvision swin"])
def test_an_exported_program_has_the_map_of_its_network(kind: str, tmp_path: Path) -> None:
    network, x = network_of(kind)
    with torch.no_grad():
        right = GradCAM()(network, x)[1]
        found = GradCAM()(exported(network, x, tmp_path / "net.pt2"), x)[1]
    assert right.any()
    assert (found - right).abs().max() <= 1e-4 * right.max()


class Reshapes(nn.Module):
    """Asks the image for the size of the batch, and pools what it has rearranged."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Conv2d(3, 8, 3, 2, 1), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        seen = self.first(x).relu()
        return self.head(seen.reshape(x.shape[0], 8, -1).mean(2))


def test_an_exported_program_may_ask_for_sizes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, x = Reshapes().eval(), torch.rand(2, 3, 12, 12)
    saliency = GradCAM()(exported(network, x, tmp_path / "net.pt2"), x)[1]
    y = network(x).argmax(1)
    features = network.first(x).relu()
    right = (network.head.weight[y][:, :, None, None] * features).sum(1).relu() / 36
    assert right.any()
    torch.testing.assert_close(saliency, right)


@pytest.mark.parametrize("kind", ["resmlp", "vit"])
def test_an_exported_program_of_tokens_is_refused(kind: str, tmp_path: Path) -> None:
    network, x = network_of(kind)
    model = exported(network, x, tmp_path / "net.pt2")
    with pytest.raises(UserError, match="no feature map"):
        GradCAM()(model, x)


def test_the_map_is_found_alike_in_mixed_precision_and_without_an_image() -> None:
    network = timm.create_model("cait_xxs24_224", img_size=64, num_classes=3).eval()
    x = torch.rand(2, 3, 64, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert find_layer(network, x).module is network.blocks
    for model in (Tiny(), SmallResNet(3, 4)):
        logits, maps = GradCAM()(model, x[:0])
        assert (len(logits), len(maps)) == (0, 0)
        assert maps.shape[1:] == GradCAM()(model, x)[1].shape[1:]


def test_a_map_is_found_where_the_network_has_nearly_died():
    """Behind it, noise of the size of healthy activations passes none of them."""
    map_, ending = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), nn.Linear(8, 16)
    network = nn.Sequential(
        map_, nn.AdaptiveAvgPool2d(1), nn.Flatten(), ending, nn.ReLU(), nn.Linear(16, 3)
    )
    nn.init.constant_(ending.bias, -30)
    x = torch.rand(4, 3, 16, 16)
    with torch.no_grad():
        assert len(network(x).unique(dim=0)) == 1
    assert find_layer(network, x).module is map_
    with frozen(network):
        assert not GradCAM()(network, x)[1].any()
