"""Classifiers by name, from a file of weights, or from an exported program."""

from lookright.models.build import build_model, own_module
from lookright.models.checkpoint import find_weights
from lookright.models.class_map import ClassMap, Mapped, read_class_map, read_classes
from lookright.models.class_names import ClassOrder, example_map, named_after
from lookright.models.classifier import Classifier, known_of
from lookright.models.library import expected_images
from lookright.models.opening import open_model
from lookright.models.outputs import Outputs
from lookright.models.preprocessing import Preprocessing
from lookright.models.small_resnet import SmallResNet
from lookright.models.stored import load_classifier, save_classifier
from lookright.models.trial import giving_logits
from lookright.models.weights import fingerprint, load_weights, read_weights

__all__ = [
    "ClassMap",
    "ClassOrder",
    "Classifier",
    "Mapped",
    "Outputs",
    "Preprocessing",
    "SmallResNet",
    "build_model",
    "example_map",
    "expected_images",
    "find_weights",
    "fingerprint",
    "giving_logits",
    "known_of",
    "load_classifier",
    "load_weights",
    "named_after",
    "open_model",
    "own_module",
    "read_class_map",
    "read_classes",
    "read_weights",
    "save_classifier",
]
