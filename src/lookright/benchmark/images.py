"""Where the images of a benchmark are, and how they are read."""

from dataclasses import dataclass
from pathlib import Path

from lookright.data import ImageData, MaskValues, Shortcut, load_data
from lookright.data.layout import Layout, Subfolders
from lookright.files import as_path
from lookright.models import Preprocessing


@dataclass(frozen=True)
class Images:
    """Where the images are, and how they are read.

    Args:
        folder: Shortcut (built in), or the folder of the data set, relative to the benchmark's
            file.
        images: the folder of the images within it, laid out <domain>/<class>/*; by default itself.
        masks: the folder of object masks within it.
        tool_masks: the folder of masks made by a tool within it.
        image_size: side length in pixels; by default that of the preset, or 32 for Shortcut and 128
            for a folder.
        strength, seed: of Shortcut.
        mask_values, tool_mask_values, skip_unreadable, layout, subfolders: as in `load_data`.
        preprocessing: how image files become square; by default as the library of the model does it
            for its weights, or without weights the central square, as false does.
        incomplete: train although a class has no image to train on.
    """

    folder: str = Shortcut.name
    images: str = "."
    masks: str | None = None
    tool_masks: str | None = None
    image_size: int | None = None
    strength: float = 0.9
    seed: int = 0
    mask_values: MaskValues | None = None
    tool_mask_values: MaskValues | None = None
    skip_unreadable: bool = False
    layout: Layout | None = None
    subfolders: Subfolders | None = None
    preprocessing: Preprocessing | bool = True
    incomplete: bool = False

    @property
    def built_in(self) -> bool:
        """Whether it is Shortcut."""
        return self.folder.lower() == Shortcut.name.lower()

    def load(
        self, like: Preprocessing | None = None, size: int | None = None, progress: bool = False
    ) -> ImageData:
        """The data; like, size: preprocessing and image size where nothing is said of them."""

        def inner(name: str | None) -> Path | None:
            return None if name is None else as_path(self.folder) / as_path(name)

        usual = 32 if self.built_in else 128
        return load_data(
            self.folder if self.built_in else inner(self.images) or self.folder,
            next(each for each in (self.image_size, size, usual) if each is not None),
            self.seed,
            self.strength,
            inner(self.masks),
            inner(self.tool_masks),
            self.skip_unreadable,
            progress=progress,
            read=False,
            mask_values=self.mask_values,
            tool_mask_values=self.tool_mask_values,
            preprocessing=like if self.preprocessing is True else self.preprocessing or None,
            layout=self.layout,
            subfolders=self.subfolders,
        )
