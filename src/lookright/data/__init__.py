"""Data sets: images with domains and masks, and their batches."""

from lookright.data.as_data import as_data
from lookright.data.augment import Augment
from lookright.data.dataset import ImageData, Split, SplitName
from lookright.data.folder import Folder
from lookright.data.hugging_face import HuggingFace
from lookright.data.images import load_image
from lookright.data.in_memory import InMemory
from lookright.data.load import load_data
from lookright.data.masks import MaskValues
from lookright.data.seen import Seen
from lookright.data.selection import Selected
from lookright.data.shortcut import Shortcut

__all__ = [
    "Augment",
    "Folder",
    "HuggingFace",
    "ImageData",
    "InMemory",
    "MaskValues",
    "Seen",
    "Selected",
    "Shortcut",
    "Split",
    "SplitName",
    "as_data",
    "load_data",
    "load_image",
]
