"""Grad-CAM on every family of timm and torchvision, against one at the layer that is right.

    python benchmarks/families.py                           # every row, and the table
    python benchmarks/families.py beit volo                 # these families
    python benchmarks/families.py --write docs/models.md    # also put the table there

The right layer is written down here, read from the libraries' source: FEATURES is the split that a
timm network has itself, between `forward_features` and `forward_head`. The networks are small
members of their families with random weights. The reference is the formula of the paper, written
without the package.
"""

import argparse
import gc
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import timm
import torch
import torchvision.models as tv
from torch import Tensor, nn

from lookright.errors import UserError
from lookright.explainers import GradCAM
from lookright.explainers.layers import find_layer
from lookright.explainers.layouts import Grid, Tokens, channels_first

FEATURES: Final = "forward_features"
REFUSED: Final = "refused"
NCHW: Final = "channels first"
NHWC: Final = "channels last"
START, END = "<!-- families: by benchmarks/families.py -->", "<!-- end of families -->"


@dataclass(frozen=True)
class Family:
    """A family's module, a member, its right layer or why there is none, and the layout there.

    tokens: the number of tokens before the patches, if the layout is one of tokens.
    """

    name: str
    member: str
    layer: str = FEATURES
    layout: str | int = NCHW
    size: int | None = None

    @property
    def refused(self) -> bool:
        return self.layout == REFUSED

    @property
    def library(self) -> str:
        return "torchvision" if self.member.startswith("torchvision/") else "timm"

    def arrange(self, output: Tensor) -> Tensor:
        """(B, C, h, w)."""
        if isinstance(self.layout, int):
            patches = output[:, self.layout :]
            side = int(patches.shape[1] ** 0.5)
            return patches.transpose(1, 2).reshape(len(output), -1, side, side)
        return output.movedim(-1, 1) if self.layout == NHWC else output

    def build(self) -> tuple[nn.Module, int]:
        """The network with random weights, in evaluation mode, and the side of its images."""
        torch.manual_seed(0)
        network, size = self._torchvision() if self.library == "torchvision" else self._timm()
        for parameter in network.parameters():  # so that the likeliest class has a map
            if parameter.shape == (10,):
                nn.init.zeros_(parameter)
            elif not parameter.any():
                nn.init.normal_(parameter, std=0.02)
        return network.eval(), size

    def _torchvision(self) -> tuple[nn.Module, int]:
        name = self.member.removeprefix("torchvision/")
        extra = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}
        return tv.get_model(name, num_classes=10, **extra), self.size or 128

    def _timm(self) -> tuple[nn.Module, int]:
        settings = timm.get_pretrained_cfg(self.member)
        assert settings is not None
        fixed = {"img_size": self.size} if settings.fixed_input_size and self.size else {}
        size = self.size or (settings.input_size[1] if settings.fixed_input_size else 128)
        return timm.create_model(self.member, num_classes=10, **fixed), size


def reference(family: Family, network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Grad-CAM at the layer written down."""
    kept: list[Tensor] = []

    def keep(output: Tensor) -> Tensor:
        kept.append(output.detach().requires_grad_())
        return kept[-1].clone()

    if family.layer == FEATURES:
        logits = network.forward_head(keep(network.forward_features(x)))
    else:
        layer = network.get_submodule(family.layer)
        handle = layer.register_forward_hook(lambda module, inputs, output: keep(output))
        logits = network(x)
        handle.remove()
    torch.testing.assert_close(logits, network(x))
    (gradient,) = torch.autograd.grad(logits[range(len(x)), y].sum(), kept[-1])
    weights = family.arrange(gradient).mean((2, 3))
    return torch.einsum("bk,bkij->bij", weights, family.arrange(kept[-1])).relu()


def check(family: Family) -> tuple[str, str, float]:
    """Our layer, its layout, and the largest difference relative to the largest value.

    Raises:
        AssertionError: the maps differ, or a network is refused that should not be, or not refused
            that should.
    """
    network, size = family.build()
    x = torch.rand(1, 3, size, size)
    with torch.no_grad():
        y = network(x)[0].topk(3).indices
    x = x.repeat(len(y), 1, 1, 1)
    if family.refused:
        try:
            find_layer(network, x)
        except UserError:
            return "", family.layer, 0.0
        raise AssertionError(f"{family.member} is not refused")
    with torch.enable_grad():
        right = reference(family, network, x, y).detach()
    with torch.no_grad():
        ours = GradCAM()(network, x, y)[1]
    layer = find_layer(network, x)
    name = next(name for name, module in network.named_modules() if module is layer.module)
    assert ours.shape == right.shape, f"{name}: {tuple(ours.shape)}, not {tuple(right.shape)}"
    assert right.amax() > 0, "the reference map is empty"
    gap = float((ours - right).abs().max() / right.max())
    assert gap < 1e-3, f"{name}: {gap:.1e}"
    return name, _words(layer.grid), gap


def _words(grid: Grid) -> str:
    if isinstance(grid, Tokens):
        return f"tokens after {grid.skip} others" if grid.skip else "tokens"
    return NCHW if grid is channels_first else NHWC


CHANNELS_FIRST = """
byobnet test_byobnet · convmixer convmixer_768_32 · convnext test_convnext · csatv2 csatv2 ·
cspnet cs3darknet_focus_s · cspnext cspnext_tiny · davit davit_tiny · densenet densenet121 ·
dla dla46x_c · dpn dpn48b · edgenext edgenext_xx_small ·
efficientformer_v2 efficientformerv2_s0 · efficientnet test_efficientnet ·
efficientvit_msra efficientvit_m0 · fasternet fasternet_t0 · fastvit fastvit_t8 ·
focalnet focalnet_tiny_srf · gcvit gcvit_xxtiny · ghostnet ghostnet_050 ·
hardcorenas hardcorenas_b · hgnet hgnetv2_b0 · hrnet hrnet_w18_small · iformer iformer_t ·
inception_next inception_next_atto · inception_resnet_v2 inception_resnet_v2 ·
inception_v3 inception_v3 · inception_v4 inception_v4 · lcnetv2 lcnetv2_small ·
levit levit_conv_128s · maxxvit test_coatnet · maxxvit test_maxvit · metaformer poolformerv2_s12 ·
mobilenetv3 mobilenetv3_small_050 · mobilenetv5 mobilenetv5_base · mobilevit mobilevit_xxs ·
nasnet nasnetalarge · nextvit nextvit_small · nfnet test_nfnet · pnasnet pnasnet5large ·
pvt_v2 pvt_v2_b0 · rdnet rdnet_tiny · regnet regnetx_002 · repghost repghostnet_050 ·
repvit repvit_m1 · res2net res2next50 · resnest resnest14d · resnet test_resnet ·
resnetv2 resnetv2_18 · rexnet rexnet_100 · selecsls selecsls42 · senet legacy_seresnet18 ·
shvit shvit_s1 · sknet skresnet18 · starnet starnet_s050 · swiftformer swiftformer_xs ·
swin_transformer_v2_cr swinv2_cr_tiny_224 · tiny_vit tiny_vit_5m_224 · tresnet tresnet_m ·
vgg vgg11 · visformer visformer_tiny · vovnet ese_vovnet19b_slim_dw · xception legacy_xception ·
xception_aligned xception41p
"""
"""Families whose features are a map (B, C, h, w)."""

FAMILIES = [
    *(Family(*pair.split()) for pair in CHANNELS_FIRST.split("·")),
    Family("beit", "beit_base_patch16_224", layout=1, size=64),
    Family("byoanet", "halonet_h1", size=256),
    Family("cait", "cait_xxs24_224", "blocks", 0, 64),
    Family("coat", "coat_lite_tiny", "serial_blocks4.1.norm1", 1),
    Family("coat", "coat_tiny", "it joins three scales in its head", REFUSED),
    Family("convit", "convit_tiny", "blocks.11.norm1", 1),
    Family("cpubone", "cpubone_nano", "head.in_conv"),
    Family("crossvit", "crossvit_tiny_240", "it joins two scales in its head", REFUSED),
    Family("deepseek_vit", "deepseek_vit_412m", layout=NHWC, size=56),
    Family("deit", "deit_tiny_patch16_224", "blocks.11.norm1", 1),
    Family("deit", "deit_tiny_distilled_patch16_224", "blocks.11.norm1", 2),
    Family("efficientformer", "efficientformer_l1", layout=0),
    Family("efficientvim", "efficientvim_m1", "each stage has its own head", REFUSED),
    Family("efficientvit_mit", "efficientvit_b0", "head.in_conv"),
    Family("eva", "eva02_tiny_patch14_224", layout=1, size=56),
    Family("eva", "vit_tiny_patch16_dinov3_qkvb", layout=5, size=64),
    Family("gemma4_vit", "gemma4_vit_167m", layout=0, size=96),
    Family("hiera", "hiera_tiny_224", layout=0),
    Family("hieradet_sam2", "sam2_hiera_tiny", layout=NHWC),
    Family("levit", "levit_128s", layout=0),
    Family("lowformer", "lowformer_b0", "in_conv"),
    Family("mambaout", "test_mambaout", layout=NHWC),
    Family("mlp_mixer", "gmlp_ti16_224", layout=0),
    Family("mlp_mixer", "mixer_s16_224", layout=0),
    Family("mlp_mixer", "resmlp_12_224", layout=0),
    Family("mvitv2", "mvitv2_tiny", layout=0),
    Family("mvitv2", "mvitv2_small_cls", "stages.3.blocks.1.norm1", 1),
    Family("naflexvit", "naflexvit_base_patch16_parfac_gap", "norm", 4, 64),
    Family("nest", "nest_tiny", layout=NCHW),
    Family("pit", "pit_ti_224", "transformers.2.blocks.3.norm1", 1),
    Family("qwen3_vit", "qwen3_vit_88m", layout=NHWC, size=64),
    Family("sequencer", "sequencer2d_s", layout=NHWC),
    Family("swin_transformer", "swin_tiny_patch4_window7_224", layout=NHWC),
    Family("swin_transformer_v2", "swinv2_tiny_window8_256", layout=NHWC),
    Family("tnt", "tnt_s_legacy_patch16_224", "blocks.11.norm_out", 1),
    Family("twins", "twins_svt_small", layout=0),
    Family("vision_transformer", "test_vit", "blocks.5.norm1", 1),
    Family("vision_transformer", "vit_tiny_patch16_224", "blocks.11.norm1", 1),
    Family("vision_transformer_hybrid", "vit_tiny_r_s16_p8_224", "blocks.11.norm1", 1),
    Family("vision_transformer_relpos", "test_vit_relpos", layout=0),
    Family("vision_transformer_sam", "samvit_base_patch16_224", size=64),
    Family("vitamin", "vitamin_small_224", layout=0, size=64),
    Family("volo", "volo_d1_224", "network.4", NHWC, 64),
    Family("xcit", "xcit_nano_12_p16_224", "cls_attn_blocks.1.norm1", 1),
    Family("alexnet", "torchvision/alexnet", "features"),
    Family("convnext", "torchvision/convnext_tiny", "features"),
    Family("densenet", "torchvision/densenet121", "features"),
    Family("efficientnet", "torchvision/efficientnet_b0", "features"),
    Family("googlenet", "torchvision/googlenet", "inception5b"),
    Family("inception", "torchvision/inception_v3", "Mixed_7c"),
    Family("maxvit", "torchvision/maxvit_t", "blocks.3", size=224),
    Family("mnasnet", "torchvision/mnasnet0_5", "layers"),
    Family("mobilenetv2", "torchvision/mobilenet_v2", "features"),
    Family("mobilenetv3", "torchvision/mobilenet_v3_small", "features"),
    Family("regnet", "torchvision/regnet_y_400mf", "trunk_output"),
    Family("resnet", "torchvision/resnet18", "layer4"),
    Family("shufflenetv2", "torchvision/shufflenet_v2_x0_5", "conv5"),
    Family("squeezenet", "torchvision/squeezenet1_1", "classifier.2"),
    Family("swin_transformer", "torchvision/swin_t", "norm", NHWC),
    Family("swin_transformer", "torchvision/swin_v2_t", "norm", NHWC),
    Family("vgg", "torchvision/vgg11", "features"),
    Family(
        "vision_transformer", "torchvision/vit_b_32", "encoder.layers.encoder_layer_11.ln_1", 1, 224
    ),
]


def markdown(rows: list[tuple[Family, str, str]]) -> str:
    """The table of the document."""
    lines = ["| family | member tried | layer | layout |", "|---|---|---|---|"]
    for family, layer, layout in rows:
        layer = f"`{layer}`" if layer else "refused"
        lines.append(f"| {family.library} {family.name} | `{family.member}` | {layer} | {layout} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", help="only these families")
    parser.add_argument("--write", type=Path, help="document that holds the table")
    given = parser.parse_args()
    chosen = [family for family in FAMILIES if not given.names or family.name in given.names]
    rows, failed = [], []
    for family in sorted(chosen, key=lambda family: (family.library, family.name)):
        try:
            layer, layout, gap = check(family)
        except Exception as error:  # one row must not cost the others
            print(f"FAILED {family.member}: {type(error).__name__}: {error}", flush=True)
            failed.append(family)
            continue
        rows.append((family, layer, layout))
        print(f"{family.member}: {layer or 'refused'}, {layout}, {gap:.1e}", flush=True)
        gc.collect()
    print(markdown(rows))
    if given.write and not failed:
        text = given.write.read_text(encoding="utf-8")
        before, after = text.split(START)[0], text.split(END)[1]
        table = f"{before}{START}\n\n{markdown(rows)}\n\n{END}{after}"
        given.write.write_text(table, encoding="utf-8")
    raise SystemExit(bool(failed))


if __name__ == "__main__":
    main()
