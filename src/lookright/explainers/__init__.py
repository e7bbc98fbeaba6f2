"""Explainers: `explainer(model, x, y) -> (logits, saliency)`, one forward pass, differentiable."""

from lookright.explainers.captum import Captum
from lookright.explainers.explainer import Explainer, LogitExplainer, explain_together
from lookright.explainers.gradcam import GradCAM
from lookright.explainers.gradients import (
    GradientTimesInput,
    InputGradient,
    IntegratedGradients,
    SmoothGrad,
)
from lookright.explainers.margin import MarginMap

__all__ = [
    "Captum",
    "Explainer",
    "GradCAM",
    "GradientTimesInput",
    "InputGradient",
    "IntegratedGradients",
    "LogitExplainer",
    "MarginMap",
    "SmoothGrad",
    "explain_together",
]
