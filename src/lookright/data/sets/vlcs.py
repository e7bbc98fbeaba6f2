"""VLCS: five classes in four collections of photographs."""

from typing import Final

from lookright.data.sets.published import PublishedSet, Version
from lookright.data.sets.voc2007 import open_voc2007

VLCS: Final = PublishedSet(
    title="VLCS",
    paper="Fang, Xu and Rockmore, Unbiased Metric Learning, ICCV 2013",
    archive="VLCS.tar.gz of DomainBed, or vlcs.tar.gz of JigenDG",
    domains={
        "Caltech101": ("Caltech", "C"),
        "LabelMe": ("L",),
        "SUN09": ("SUN", "S"),
        "VOC2007": ("PASCAL", "VOC", "PascalVOC", "V"),
    },
    classes={
        "bird": ("0",),
        "car": ("1",),
        "chair": ("2",),
        "dog": ("3",),
        "person": ("4",),
    },
    versions=(
        Version.of(
            "DomainBed's list of files (domainbed/misc/vlcs_files.txt)",
            {
                "Caltech101": {"bird": 237, "car": 123, "chair": 118, "dog": 67, "person": 870},
                "LabelMe": {"bird": 80, "car": 1209, "chair": 88, "dog": 42, "person": 1237},
                "SUN09": {"bird": 20, "car": 932, "chair": 1036, "dog": 30, "person": 1264},
                "VOC2007": {"bird": 330, "car": 699, "chair": 428, "dog": 420, "person": 1499},
            },
        ),
    ),
    parts=("train", "crossval", "test"),
    repeated=frozenset({"full"}),
    annotated=open_voc2007,
)
