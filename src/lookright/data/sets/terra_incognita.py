"""Terra Incognita: animals photographed by the camera traps of four places."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lookright.data.sets.camera_traps import CameraTraps
from lookright.data.sets.published import Annotations, Names, PublishedSet, Version

_CLASSES: Final[Names] = {
    "bird": (),
    "bobcat": (),
    "cat": (),
    "coyote": (),
    "dog": (),
    "empty": ("landscape",),
    "opossum": (),
    "rabbit": (),
    "raccoon": (),
    "squirrel": (),
}

_COUNTS: Final = {
    "L100": (54, 57, 227, 12, 384, 181, 989, 92, 2552, 331),
    "L38": (3, 12, 2295, 48, 360, 194, 4500, 1396, 198, 761),
    "L43": (72, 1104, 3, 834, 195, 562, 777, 73, 390, 10),
    "L46": (90, 999, 21, 873, 30, 726, 1339, 566, 1464, 14),
}
"""The images of each of _CLASSES."""


def _open(files: Sequence[Path]) -> Annotations:
    return CameraTraps(files, {name[1:]: name for name in _COUNTS}, tuple(_CLASSES))


TERRA_INCOGNITA: Final = PublishedSet(
    title="Terra Incognita",
    paper="Beery, Van Horn and Perona, Recognition in Terra Incognita, ECCV 2018, as DomainBed "
    "takes four locations and ten classes of it",
    archive="eccv_18_all_images_sm.tar.gz of Caltech Camera Traps (lila.science), with "
    "--annotations eccv_18_annotations.tar.gz",
    domains={name: (f"location_{name[1:]}", f"loc{name[1:]}", name[1:]) for name in _COUNTS},
    classes=_CLASSES,
    versions=(
        Version.of(
            "DomainBed's paper and those that compare with it (khanrc/miro, issue 9)",
            {name: dict(zip(_CLASSES, of, strict=True)) for name, of in _COUNTS.items()},
        ),
        Version(
            "papers that took it from lila.science since 2021, whose annotations were corrected",
            {"L100": 4741, "L38": 9736, "L43": 3970, "L46": 5883},
        ),
    ),
    annotated=_open,
)
