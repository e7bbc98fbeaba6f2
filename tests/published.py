"""Published sets so small that a test makes them, in the folders of the real ones."""

from dataclasses import replace
from io import BytesIO

import numpy as np
from PIL import Image

from lookright.data.sets import SETS
from lookright.data.sets.published import Version

LAYOUTS = {
    "pacs": "kfold/{domain}/{label}/pic_{at}.jpg",
    "vlcs": "VLCS/{domain}/{label}/{number:032x}.jpg",
    "office_home": "OfficeHomeDataset_10072016/{domain}/{label}/{at:05}.jpg",
    "terra_incognita": "terra_incognita/{domain}/{label}/{number:08x}.jpg",
}
"""How DomainBed's archives are laid out inside; Terra Incognita as DomainBed unpacks it."""


def jpeg(number, width=12, height=10, quality=90):
    """A picture that no other number has."""
    pixels = np.random.default_rng(number).integers(0, 255, (3, 4, 3), dtype=np.uint8)
    content = BytesIO()
    big = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
    big.save(content, "JPEG", quality=quality)
    return content.getvalue()


def shrunk(name, counts=None):
    """The set with these counts by domain and class, by default from 1 to 3 a class."""
    published = SETS[name]
    counts = counts or {
        domain: {label: 1 + (row + column) % 3 for column, label in enumerate(published.classes)}
        for row, domain in enumerate(published.domains)
    }
    return replace(published, versions=(Version.of("the test", counts),))


def files_of(published, layout, **names):
    """The images of a set by their paths in its archive; names: other spellings of folders."""
    (version,) = published.versions
    files, number = {}, 0
    for domain, classes in version.classes.items():
        for label, count in classes.items():
            for at in range(1, count + 1):
                number += 1
                spelled = names.get(domain, domain), names.get(label, label)
                path = layout.format(domain=spelled[0], label=spelled[1], at=at, number=number)
                files[path] = jpeg(number)
    return files
