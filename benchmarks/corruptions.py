"""The corruptions, family by family: lookright against imagecorruptions, on the same images.

Needs imagecorruptions-imaug, the maintained fork.
"""

import cv2
import numpy as np
import torch
from imagecorruptions import corrupt as theirs  # type: ignore[import-untyped]
from sklearn.datasets import load_sample_image
from torch import Tensor

from lookright.corruptions import CORRUPTIONS, corrupt
from timing import Options, Table, compare, options, report

SIDE, BATCH, SEVERITY = 224, 16, 3


def tables(given: Options) -> list[Table]:
    """One table for each family, and one for all fifteen."""
    cv2.setNumThreads(torch.get_num_threads())
    families = sorted({member.family for member in CORRUPTIONS.values()})
    names = {
        family: [name for name, member in CORRUPTIONS.items() if member.family == family]
        for family in families
    }
    return [_table(family, members, given) for family, members in names.items()] + [
        _table("all but glass_blur", [name for name in CORRUPTIONS if name != "glass_blur"], given),
        _table("all", list(CORRUPTIONS), given),
    ]


def _table(title: str, names: list[str], given: Options) -> Table:
    images = _photographs().to(given.device)
    pixels = (255 * images).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    contenders = {
        "lookright": lambda: [corrupt(images, name, SEVERITY) for name in names],
        "imagecorruptions": lambda: [
            np.stack([theirs(image, SEVERITY, name) for image in pixels]) for name in names
        ],
    }
    title = f"{title}: {BATCH} images of {SIDE} px, severity {SEVERITY}"
    return compare(title, contenders, given.rounds, given.device)


def _photographs() -> Tensor:
    """(BATCH, 3, SIDE, SIDE): pieces of scikit-learn's two photographs."""
    photos = [load_sample_image(name) for name in ("china.jpg", "flower.jpg")]
    starts = np.linspace(0, photos[0].shape[1] - SIDE, BATCH // 2).astype(int)
    pieces = [photo[100 : 100 + SIDE, start : start + SIDE] for photo in photos for start in starts]
    return torch.from_numpy(np.stack(pieces)).permute(0, 3, 1, 2).contiguous() / 255


if __name__ == "__main__":
    given = options(__file__, __doc__, rounds=5)
    report(tables(given), given)
