"""Folders of a few coloured images, laid out <domain>/<class>/*, for whole trainings in seconds."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def planted(
    root: Path, domains: Sequence[str], classes: Sequence[str] = ("cat", "dog"), n: int = 20
) -> Path:
    """n images of 8 px in each class of each domain; a class is a colour, faint under noise."""
    random = np.random.default_rng(0)
    for domain in domains:
        for number, name in enumerate(classes):
            folder = root / domain / name
            folder.mkdir(parents=True)
            for at in range(n):
                pixels = random.integers(0, 160, (8, 8, 3))
                pixels[..., number % 3] += 60
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{at}.png")
    return root


def planted_masks(root: Path, images: Path) -> Path:
    """A mask for each image: its upper left quarter."""
    pixels = np.zeros((8, 8), np.uint8)
    pixels[:4, :4] = 255
    for path in images.glob("*/*/*.png"):
        target = root / path.relative_to(images)
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(target)
    return root
