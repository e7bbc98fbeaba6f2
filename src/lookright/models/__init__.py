"""Any classifier: by name, from a file, or a program that someone else has saved."""

from lookright.models.build import build_model, own_module
from lookright.models.classifier import Classifier
from lookright.models.small_resnet import SmallResNet
from lookright.models.stored import load_classifier, save_classifier
from lookright.models.weights import load_weights, read_weights

__all__ = [
    "Classifier",
    "SmallResNet",
    "build_model",
    "load_classifier",
    "load_weights",
    "own_module",
    "read_weights",
    "save_classifier",
]
