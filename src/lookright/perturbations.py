"""Perturbations of images for claims: an attack, a corruption, another background or another
domain. Each image is perturbed independently of the others in its batch."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, is_dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from lookright.attacks import PGD, Attack, CrossEntropy
from lookright.attacks.gradient import check_judge
from lookright.batch import Batch
from lookright.chance import image_chance
from lookright.corruptions import corrupt, corruption_named
from lookright.corruptions.corruption import check_severity
from lookright.data import ImageData
from lookright.errors import UserError
from lookright.seeds import derived_seed


@dataclass(frozen=True)
class Drawn:
    """A batch drawn from a domain, its positions there, and those of images that were not drawn."""

    data: ImageData
    domain: str
    where: Sequence[int]
    others: Sequence[int]
    batch: Batch


class Perturbation(ABC):
    """`perturbation(model, drawn, y, generator)` gives images (B, 3, H, W) in [0, 1].

    y (B,) is the class predicted for the clean images, the prediction whose stability is claimed.
    """

    @property
    @abstractmethod
    def words(self) -> str:
        """Its name in a sentence, after "... keep their prediction under"."""

    def possible(self, data: ImageData, domain: str) -> Sequence[int]:
        """The positions of the domain's images that it can be applied to; all by default.

        Raises:
            UserError: the data lacks something it needs, such as masks.
        """
        return range(len(data.keys(domain)))

    @abstractmethod
    def __call__(
        self, model: nn.Module, drawn: Drawn, y: Tensor, generator: Generator | None = None
    ) -> Tensor:
        """The perturbed images."""


@dataclass(frozen=True)
class Attacked(Perturbation):
    """An attack on the prediction.

    attack: the main attack of an evaluation by default, PGD with 20 steps and 2 restarts.

    Raises:
        UserError: a targeted attack, since its target would be the prediction itself; one that
            needs masks.
    """

    attack: Attack = field(default_factory=lambda: PGD(steps=20, restarts=2))

    def __post_init__(self) -> None:
        check_judge(self.attack)

    @property
    def words(self) -> str:
        return attack_in_words(self.attack)

    def __call__(
        self, model: nn.Module, drawn: Drawn, y: Tensor, generator: Generator | None = None
    ) -> Tensor:
        return self.attack(model, drawn.batch.images, y, generator)


@dataclass(frozen=True)
class Corrupted(Perturbation):
    """One of ImageNet-C's corruptions; its random numbers are derived from the image.

    name: one of `lookright.corruptions.CORRUPTIONS` or EXTRA_CORRUPTIONS. severity: 1 to 5, 3 by
    default.
    """

    name: str = "gaussian_noise"
    severity: int = 3

    def __post_init__(self) -> None:
        corruption_named(self.name)
        check_severity(self.severity)

    @property
    def words(self) -> str:
        return f"{self.name} at severity {self.severity}"

    def __call__(
        self, model: nn.Module, drawn: Drawn, y: Tensor, generator: Generator | None = None
    ) -> Tensor:
        return corrupt(drawn.batch.images, self.name, self.severity)


@dataclass(frozen=True)
class SwappedBackground(Perturbation):
    """The object, pixel for pixel, on the background of another image of its domain.

    The other image is drawn uniformly from the images that are not evaluated, so that the outcomes
    for different images are independent. Its own object is removed by filling in the surrounding
    background (`background`). Pixels that a mask ignores count as its object.

    seed: seed of the pairing; the other image is determined by the pixels of the image and the
    seed.
    """

    seed: int = 0

    @property
    def words(self) -> str:
        return "a change of background"

    def possible(self, data: ImageData, domain: str) -> Sequence[int]:
        known = [at for at, has in enumerate(data.masked(domain)) if has]
        if not known:
            raise UserError(
                f"A change of background needs masks of the objects, but {data.name} has none in "
                f"domain '{domain}': name their folder with --masks."
            )
        return known

    def __call__(
        self, model: nn.Module, drawn: Drawn, y: Tensor, generator: Generator | None = None
    ) -> Tensor:
        images, masks = drawn.batch.images, _objects(drawn.batch)
        if masks is None or not drawn.others:
            raise UserError(
                "A change of background needs images that were not drawn, but none with a mask is "
                f"left in domain '{drawn.domain}': draw fewer images."
            )
        chance = image_chance(images, 1, derived_seed(self.seed, "background"))[:, 0]
        partners = (chance.double() * len(drawn.others)).long().tolist()
        other = drawn.data.samples(drawn.domain, [drawn.others[at] for at in partners])
        other = other.to(images.device)
        theirs = _objects(other)
        assert theirs is not None
        return masks * images + (1 - masks) * background(other.images, theirs)


@dataclass(frozen=True)
class OtherDomain(Perturbation):
    """The same scene in another domain, for data whose domains share samples, such as Shortcut.

    name: the other domain.
    """

    name: str

    @property
    def words(self) -> str:
        return f"a change of domain to {self.name}"

    def possible(self, data: ImageData, domain: str) -> Sequence[int]:
        data.domain_index(self.name)
        there = set(data.keys(self.name))
        paired = [at for at, key in enumerate(data.keys(domain)) if key in there]
        if not paired or self.name == domain:
            raise UserError(
                f"A change of domain needs the same scenes in both, but '{domain}' and "
                f"'{self.name}' of {data.name} share none: evaluate each with `lookright "
                "evaluate`."
                if self.name != domain
                else f"A change of domain needs another domain than '{domain}'."
            )
        return paired

    def __call__(
        self, model: nn.Module, drawn: Drawn, y: Tensor, generator: Generator | None = None
    ) -> Tensor:
        there = {key: at for at, key in enumerate(drawn.data.keys(self.name))}
        keys = drawn.data.keys(drawn.domain)
        twins = drawn.data.samples(self.name, [there[keys[at]] for at in drawn.where])
        return twins.images.to(drawn.batch.images.device)


def _objects(batch: Batch) -> Tensor | None:
    """The masks, in which ignored pixels count as the object."""
    masks, ignored = batch.masks, batch.ignored
    return masks if masks is None or ignored is None else masks.masked_fill(ignored, 1)


def background(images: Tensor, masks: Tensor) -> Tensor:
    """Images (B, 3, H, W) with their objects filled in; the object is where masks exceed 0.

    masks: (B, 1, H, W). A pixel of the object becomes the mean of the background pixels in the
    smallest square around it that contains any. The background stays the same. Without any
    background the image is black.
    """
    weight = (masks == 0).to(images.dtype)
    filled, known = images * weight, weight.bool()
    reach = 1
    while reach < 2 * max(images.shape[-2:]) and not known.all():
        near = _means(weight, reach)
        found = (near > 0) & ~known
        mean = _means(images * weight, reach) / near.clamp_min(1e-12)
        filled, known, reach = torch.where(found, mean, filled), known | found, 2 * reach
    return filled.clamp(0, 1)


def _means(images: Tensor, reach: int) -> Tensor:
    """The mean over a square of `reach` pixels to each side, zero outside the image."""
    side = 2 * reach + 1
    rows = F.avg_pool2d(images, (side, 1), 1, (reach, 0))
    return F.avg_pool2d(rows, (1, side), 1, (0, reach))


def attack_in_words(attack: Attack) -> str:
    """The attack in words, as "PGD (8/255, L-inf, 20 steps)"; its name if no dataclass."""
    name = type(attack).__name__
    if not is_dataclass(attack):
        return name
    known = {each.name: getattr(attack, each.name) for each in fields(attack)}
    details = [", ".join(type(each).__name__ for each in known.get("attacks", ()))]
    if attack.ball is not None:
        details.append(attack.ball.words)
    details += [f"{known[count]} {count}" for count in ("steps", "queries") if count in known]
    if (restarts := known.get("restarts", 1)) > 1:
        details.append(f"{restarts} restarts")
    if (loss := known.get("loss", "ce")) != "ce":
        details.append(f"{loss} loss")
    for what in ("objective", "goal"):
        if not isinstance(aim := known.get(what, CrossEntropy()), CrossEntropy):
            details.append(type(aim).__name__)
    return f"{name} ({', '.join(filter(None, details))})" if any(details) else name
