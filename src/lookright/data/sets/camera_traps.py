"""The annotations of Caltech Camera Traps: where each photograph was taken, and what it shows.

They are COCO's format with a place for each image. DomainBed's rule makes domains and classes of
them: an image belongs to the domain of its location and to the class of each of its annotations,
so that one of two animals is in both classes.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

from lookright.data.annotations import Annotated, Box
from lookright.data.archives import contents
from lookright.data.sets.published import Annotations, Place
from lookright.errors import UserError
from lookright.untrusted import parsed

_WANTED: Final = (
    "the JSON of Caltech Camera Traps with locations and categories, such as "
    "eccv_18_annotations.tar.gz"
)


class CameraTraps(Annotations):
    """domains: their names by the locations of the images; the classes are categories."""

    def __init__(
        self, files: Sequence[Path], domains: Mapping[str, str], classes: Sequence[str]
    ) -> None:
        if not files:
            raise UserError(f"Expected --annotations with {_WANTED}: the images alone do not say.")
        self._places: dict[str, dict[Place, list[Box]]] = {}
        self._sizes: dict[str, tuple[int, int] | None] = {}
        for file in files:
            for document in contents(file, ".json"):
                try:
                    self._take(parsed(document), domains, classes)
                except (ValueError, TypeError, KeyError, AttributeError) as error:
                    raise UserError(
                        f"Expected in '{file}' {_WANTED}; it is another file or damaged "
                        f"({type(error).__name__}: {error}): download it again."
                    ) from error
        if not self._places:
            raise UserError(
                f"Expected {_WANTED}; '{files[0]}' says nothing about the locations "
                f"{', '.join(domains)}: name another."
            )

    def places(self, path: PurePosixPath) -> Sequence[Place]:
        return tuple(self._places.get(path.name, ()))

    def annotated(self, images: Path) -> Iterator[Annotated]:
        for name, places in self._places.items():
            for place, boxes in places.items():
                if boxes and (images / place.path).exists():
                    yield Annotated(str(place.path), self._sizes[name], tuple(boxes))

    def _take(
        self, document: Mapping[str, Any], domains: Mapping[str, str], classes: Sequence[str]
    ) -> None:
        categories = {each["id"]: str(each["name"]) for each in document["categories"]}
        images = {each["id"]: each for each in document["images"]}
        for each in document["annotations"]:
            image = images.get(each["image_id"], {})
            domain = domains.get(str(image.get("location", "")))
            label = categories[each["category_id"]]
            if domain is None or label not in classes:
                continue
            name = PurePosixPath(image["file_name"]).name
            boxes = self._places.setdefault(name, {}).setdefault(Place(domain, label, name), [])
            if image.get("width"):
                self._sizes[name] = (int(image["height"]), int(image["width"]))
            self._sizes.setdefault(name, None)
            if each.get("bbox"):
                x, y, width, height = map(float, each["bbox"])
                boxes.append(Box(label, x, y, x + width, y + height))
