"""PACS: seven classes as paintings, cartoons, photographs and sketches."""

from typing import Final

from lookright.data.sets.published import PublishedSet, Version

_CLASSES: Final = ("dog", "elephant", "giraffe", "guitar", "horse", "house", "person")

PACS: Final = PublishedSet(
    title="PACS",
    paper="Li, Yang, Song and Hospedales, Deeper, Broader and Artier Domain Generalization, "
    "ICCV 2017",
    archive="PACS.zip",
    domains={
        "art_painting": ("art", "painting", "A"),
        "cartoon": ("C",),
        "photo": ("P",),
        "sketch": ("S",),
    },
    classes=dict.fromkeys(_CLASSES, ()),
    versions=(
        Version.of(
            "the authors' lists of files (in JigenDG, data/txt_lists)",
            {
                name: dict(zip(_CLASSES, counts, strict=True))
                for name, counts in {
                    "art_painting": (379, 255, 285, 184, 201, 295, 449),
                    "cartoon": (389, 457, 346, 135, 324, 288, 405),
                    "photo": (189, 202, 182, 186, 199, 280, 432),
                    "sketch": (772, 740, 753, 608, 816, 80, 160),
                }.items()
            },
        ),
    ),
)
