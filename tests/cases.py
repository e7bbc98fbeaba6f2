"""The table of members that the tests hold to their laws: a new member is one row here."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import torch
from captum.attr import Saliency
from torch import nn

from lookright import distances
from lookright.attacks import (
    APGD,
    FGSM,
    L2,
    PGD,
    Attack,
    AutoAttack,
    Ball,
    ByMask,
    CarliniWagner,
    CrossEntropy,
    CrossEntropyAndExplanation,
    ExplanationChange,
    KLDivergence,
    LInf,
    Margin,
    Norm,
    Objective,
    Square,
    WorstCase,
)
from lookright.attacks.apgd import LossName
from lookright.attacks.autoattack import Version
from lookright.batch import Batch
from lookright.distances import Cosine, Distance
from lookright.explainers import (
    Captum,
    Explainer,
    GradCAM,
    GradientTimesInput,
    InputGradient,
    IntegratedGradients,
    MarginMap,
    SmoothGrad,
)
from lookright.guides import (
    CentrePrior,
    CleanExplanation,
    ConvMasker,
    Dilated,
    GreyLevel,
    Guide,
    HumanMask,
    LearnedMask,
    MeanTeacher,
    MixedExplanation,
    Part,
    PrecomputedMask,
    RandomMask,
    Shifted,
    Swapped,
)
from lookright.methods.align import ALIGN
from lookright.methods.at import AT
from lookright.methods.awp import AWP
from lookright.methods.coral import CORAL
from lookright.methods.dre import DRE
from lookright.methods.egat import EGAT
from lookright.methods.erm import ERM
from lookright.methods.fast_at import FastAT
from lookright.methods.free_at import FreeAT
from lookright.methods.gradient_penalty import GradientPenalty
from lookright.methods.groupdro import GroupDRO
from lookright.methods.irm import IRM
from lookright.methods.mart import MART
from lookright.methods.mask_alignment import MaskAlignment
from lookright.methods.method import Method
from lookright.methods.mixup import Mixup
from lookright.methods.rrr import RRR
from lookright.methods.rsc import RSC
from lookright.methods.sgt import SGT
from lookright.methods.trades import TRADES
from lookright.methods.vrex import VREx
from models_for_tests import SIZE

NORMS: Mapping[str, tuple[Norm, float]] = {"linf": (LInf(), 8 / 255), "l2": (L2(), 0.5)}
"""Each norm with a radius that suits the small images of the tests."""

LABEL_OBJECTIVES: Mapping[str, Objective] = {"cross_entropy": CrossEntropy(), "margin": Margin()}
"""Objectives that say how wrong the label is: these can be targeted and start anywhere."""

DRIFT_OBJECTIVES: Mapping[str, Objective] = {
    "kl": KLDivergence(),
    "explanation": ExplanationChange(InputGradient(), Cosine()),
    "both": CrossEntropyAndExplanation(InputGradient(), Cosine()),
}
"""Objectives that say how far the output has moved: most are flat at x and need a random start."""


def _attacks() -> dict[str, FGSM | PGD]:
    table: dict[str, FGSM | PGD] = {}
    for norm_name, (norm, eps) in NORMS.items():
        for name, objective in LABEL_OBJECTIVES.items():
            for targeted in (False, True):
                row = f"{norm_name}-{name}" + ("-targeted" if targeted else "")
                table[f"fgsm-{row}"] = FGSM(eps, norm, targeted, objective)
                for random_start in (False, True):
                    for restarts in (1, 2):
                        start = "random" if random_start else "clean"
                        table[f"pgd-{row}-{start}-{restarts}"] = PGD(
                            eps, 4, None, norm, random_start, restarts, targeted, objective
                        )
        for name, objective in DRIFT_OBJECTIVES.items():
            for restarts in (1, 2):
                table[f"pgd-{norm_name}-{name}-random-{restarts}"] = PGD(
                    eps, 4, norm=norm, restarts=restarts, objective=objective
                )
    return table


ATTACKS = _attacks()


class QuickAutoAttack(AutoAttack):
    """AutoAttack whose parts stop after few steps."""

    def _library(self, *arguments: Any) -> Any:
        theirs = super()._library(*arguments)
        theirs.apgd.n_iter = theirs.apgd_targeted.n_iter = theirs.fab.n_iter = 3
        theirs.apgd.eot_iter = min(theirs.apgd.eot_iter, 2)
        theirs.square.n_queries = 20
        return theirs


def _evaluation_attacks() -> dict[str, Attack]:
    table: dict[str, Attack] = {"carlini_wagner": CarliniWagner(steps=20, searches=4)}
    for row, (norm, eps) in NORMS.items():
        for loss in get_args(LossName)[:3]:
            table[f"apgd-{row}-{loss}"] = APGD(eps, 8, 2, norm, loss)
        table[f"square-{row}"] = Square(eps, 30, norm)
        for version in get_args(Version):
            table[f"autoattack-{row}-{version}"] = QuickAutoAttack(eps, norm, version)
        table[f"worst_case-{row}"] = WorstCase((FGSM(eps, norm), APGD(eps, 8, 1, norm)))
    return table


EVALUATION_ATTACKS = _evaluation_attacks()
"""Attacks that leave what the model gets wrong as it is, and may leave what withstands them."""


def with_radius(attack: Attack, eps: float) -> Any:
    """The same attack of another radius."""
    assert attack.ball is not None
    return attack.within(Ball(attack.ball.norm, eps))


EXPLAINERS: Mapping[str, Explainer] = {
    "gradcam": GradCAM(),
    "gradcam-named": GradCAM(layer="first"),
    "gradcam-signed": GradCAM(relu=False),
    "gradcam-centred": GradCAM(relu=False, centred=True),
    "gradcam-places": GradCAM(relu=False, places=4, centred=True),
    "margin_map": MarginMap(),
    "input_gradient": InputGradient(),
    "input_gradient-centred": InputGradient(centred=True),
    "gradient_times_input": GradientTimesInput(),
    "integrated_gradients": IntegratedGradients(steps=3, baseline=0.5),
    "smoothgrad": SmoothGrad(samples=3),
}
"""The differentiable explainers."""

CAPTUM = Captum(Saliency, abs=False)

ALL_EXPLAINERS: Mapping[str, Explainer] = {**EXPLAINERS, "captum": CAPTUM}

_ATTACK = PGD(steps=2)

DISTANCES: Mapping[str, Distance] = {
    "bce": distances.BCE(),
    "l1": distances.L1(),
    "mse": distances.MSE(),
    "kl": distances.KL(),
    "cosine": Cosine(),
    "correlation": distances.Correlation(),
    "contrast": distances.Contrast(),
    "raw_l1": distances.RawL1(),
    "soft_iou": distances.SoftIoU(),
}


def learned_mask() -> LearnedMask:
    """A masker with the same initial weights each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LearnedMask(ConvMasker(grid=4, width=16))


GUIDES: Mapping[str, Callable[[], Guide]] = {
    "clean": CleanExplanation,
    "clean-detached": lambda: CleanExplanation(detach=True),
    "mixed": MixedExplanation,
    "mean-teacher": lambda: MeanTeacher(warm_up=0.0),
    "learned": learned_mask,
    "human": HumanMask,
    "precomputed": PrecomputedMask,
    "grey": GreyLevel,
    "centre": CentrePrior,
    "random": RandomMask,
    "dilated": Dilated,
    "shifted": Shifted,
    "part": Part,
    "swapped": Swapped,
}


def _aligned(distance: Distance) -> Callable[[nn.Module], Method]:
    return lambda model: MaskAlignment(model, None, GradCAM(), distance)


def _of_the_page() -> type[Method]:
    """The method that docs/methods.md adds as an example."""
    page = Path(__file__).parent.parent / "docs" / "methods.md"
    module = sys.modules.setdefault("methods_page", ModuleType("methods_page"))
    exec(page.read_text().partition("```python\n")[2].partition("```")[0], vars(module))
    return vars(module)["ALP"]


ALP = _of_the_page()

METHODS: Mapping[str, Callable[[nn.Module], Method]] = {
    "erm": ERM,
    "at": lambda model: AT(model, _ATTACK),
    "trades": lambda model: TRADES(model, PGD(steps=2, objective=KLDivergence())),
    "egat": lambda model: EGAT(model, _ATTACK),
    "egat-detached": lambda model: EGAT(model, _ATTACK, guide=CleanExplanation(detach=True)),
    "egat-human": lambda model: EGAT(model, _ATTACK, guide=HumanMask()),
    "egat-learned": lambda model: EGAT(model, _ATTACK, guide=learned_mask()),
    "egat-mixed": lambda model: EGAT(model, _ATTACK, guide=MixedExplanation()),
    "egat-mean-teacher": lambda model: EGAT(model, _ATTACK, guide=MeanTeacher(), answer=2.0),
    "egat-one-pass": lambda model: EGAT(model, _ATTACK, separate=False, mixup=1.0),
    "egat-one-pass-teacher": lambda model: EGAT(
        model, _ATTACK, guide=MeanTeacher(), answer=2.0, separate=False
    ),
    "egat-answer": lambda model: EGAT(model, _ATTACK, stability=0.0, answer=2.0),
    "egat-no-explanation": lambda model: EGAT(model, _ATTACK, stability=0.0),
    "egat-mixup": lambda model: EGAT(model, _ATTACK, mixup=1.0),
    "egat-input-gradient": lambda model: EGAT(model, _ATTACK, InputGradient(), Cosine()),
    "egat-min-max": lambda model: EGAT(
        model, _ATTACK, GradCAM(), distances.L1(), mixup=1.0, mixup_distance=distances.L1()
    ),
    "egat-margin": lambda model: EGAT(model, _ATTACK, MarginMap(), distances.RawL1()),
    "egat-by-mask": lambda model: EGAT(model, ByMask(PGD(steps=2, random_start=False))),
    "egat-l2": lambda model: EGAT(model, PGD(0.5, 2, norm=L2())),
    "align": lambda model: ALIGN(model, learned_mask()),
    "align-mixup": lambda model: ALIGN(model, learned_mask(), mixup=1.0),
    "align-contrast": lambda model: ALIGN(
        model,
        learned_mask(),
        GradCAM(relu=False),
        distances.Contrast(),
        mixup_distance=distances.Correlation(),
    ),
    "sgt": SGT,
    "sgt-mean": lambda model: SGT(model, fill="mean"),
    "sgt-signed": lambda model: SGT(model, signed=True),
    "dre": DRE,
    "dre-columns": lambda model: DRE(model, sparsity_of="columns"),
    "dre-correlation": lambda model: DRE(
        model, GradCAM(relu=False), sparsity=0.0, distance=distances.Correlation()
    ),
    "dre-input-gradient": lambda model: DRE(model, InputGradient()),
    "rrr": RRR,
    "rrr-learned": lambda model: RRR(model, learned_mask()),
    **{f"mask-alignment-{name}": _aligned(distance) for name, distance in DISTANCES.items()},
    "mask-alignment": MaskAlignment,
    "mask-alignment-learned": lambda model: MaskAlignment(model, learned_mask()),
    "mask-alignment-mixed": lambda model: MaskAlignment(model, MixedExplanation()),
    "mask-alignment-mean-teacher": lambda model: MaskAlignment(model, MeanTeacher(warm_up=0.0)),
    "mask-alignment-input-gradient": lambda model: MaskAlignment(model, None, InputGradient()),
    "mart": lambda model: MART(model, _ATTACK),
    "free-at": lambda model: FreeAT(model, replays=2),
    "fast-at": FastAT,
    "awp-at": lambda model: AWP(AT(model, _ATTACK)),
    "awp-trades": lambda model: AWP(TRADES(model, PGD(steps=2, objective=KLDivergence()))),
    "awp-egat": lambda model: AWP(EGAT(model, _ATTACK, mixup=1.0)),
    "awp-egat-mean-teacher": lambda model: AWP(EGAT(model, _ATTACK, guide=MeanTeacher())),
    "awp-free-at": lambda model: AWP(FreeAT(model, replays=2)),
    "awp-mart": lambda model: AWP(MART(model, _ATTACK)),
    "awp-egat-learned": lambda model: AWP(EGAT(model, _ATTACK, guide=learned_mask())),
    "gradient-penalty-erm": lambda model: GradientPenalty(ERM(model)),
    "gradient-penalty-egat": lambda model: GradientPenalty(EGAT(model, _ATTACK), 0.1),
    "gradient-penalty-rrr": lambda model: GradientPenalty(RRR(model), 0.1),
    "gradient-penalty-learned": lambda model: GradientPenalty(ALIGN(model, learned_mask()), 0.1),
    "gradient-penalty-awp-at": lambda model: GradientPenalty(AWP(AT(model, _ATTACK)), 0.1),
    "mixup": Mixup,
    "irm": lambda model: IRM(model, penalty=1.0),  # of 100, logits stay near 0
    "groupdro": GroupDRO,
    "vrex": VREx,
    "coral": CORAL,
    "rsc": RSC,
    "alp": lambda model: ALP(model, _ATTACK),
}


def batch(size: int = 6, classes: int = 3, dtype: torch.dtype = torch.float32) -> Batch:
    """Images of two domains with every class, a mask for every second one, and soft guides."""
    generator = torch.Generator().manual_seed(7)
    images = torch.rand(size, 3, SIZE, SIZE, generator=generator, dtype=torch.float64).to(dtype)
    masks = torch.zeros(size, 1, SIZE, SIZE, dtype=dtype)
    masks[:, :, 3:8, 4:9] = 1
    index = torch.arange(size)
    domains = index // classes % 2
    guides = 0.5 * masks + 0.25 * masks.roll((2, 3), (-2, -1))
    return Batch(images, index % classes, domains, masks, index % 2 == 0, guides, index % 3 != 1)
