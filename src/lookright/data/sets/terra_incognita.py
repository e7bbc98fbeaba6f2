"""Terra Incognita: animals photographed by the camera traps of four places.

DomainBed's paper has 24,788 images, by the annotations of the ECCV paper. From July 2021 to June
2024 its domainbed/scripts/download.py took caltech_images_20210113.json instead, which gave 24,330
(khanrc/miro, issue 9); how many of each domain and class is not published.
"""

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
"""The images of each of _CLASSES: as counted in the lists of files in image_list/Terra of
muse1998/Source-Free-Domain-Generalization (GitHub). Their sums are those that the authors of MIRO
give for the version of DomainBed's paper (khanrc/miro, issue 9)."""


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
            "DomainBed's paper and those that compare with it",
            {name: dict(zip(_CLASSES, of, strict=True)) for name, of in _COUNTS.items()},
        ),
        Version("DomainBed's download from July 2021 to June 2024", 24330),
    ),
    annotated=_open,
)
