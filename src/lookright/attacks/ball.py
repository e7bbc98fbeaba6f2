"""The ball that an attack searches: all images within a distance of the clean one."""

from dataclasses import dataclass, field
from math import inf

from torch import Generator, Tensor

from lookright.attacks.norms import LInf, Norm
from lookright.attacks.parts import check_part
from lookright.errors import UserError


@dataclass(frozen=True, eq=False)
class Ball:
    """The images in [0, 1] whose distance from the clean one is at most eps.

    Two balls are equal if they have the same norm and their radii agree to a thousandth of 1/255.

    Args:
        norm: the norm of the distance, `LInf()` or `L2()`.
        eps: the radius in pixel units, images being in [0, 1]; for L-inf at most 1.

    Raises:
        UserError: eps out of range, or no number; a norm that is no `Norm`.
    """

    norm: Norm = field(default_factory=LInf)
    eps: float = 8 / 255

    def __post_init__(self) -> None:
        eps = self.eps
        check_part("norm", self.norm, "L2()", Norm)
        if isinstance(eps, str):
            raise UserError(
                f"eps is a number, got the text '{eps}': write it without quotation marks."
            )
        if isinstance(self.norm, LInf):
            check_radius("eps", eps)
        if not 0 <= eps < inf:
            raise UserError(
                f"eps is a length in pixel units, finite and 0 or more, but got {eps:g}."
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ball):
            return NotImplemented
        return self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def _identity(self) -> tuple[Norm, float]:
        return self.norm, round(255 * self.eps, 3)

    @property
    def words(self) -> str:
        """The ball in words, such as "8/255, L-inf"."""
        return f"{pixels_in_words(self.eps)}, {self.norm.words}"

    def start(self, x: Tensor, generator: Generator | None = None) -> Tensor:
        """A random image in the ball around each image of x (B, C, H, W)."""
        return (x + self.norm.random(x, self.eps, generator)).clamp_(0, 1)

    def project(self, z: Tensor, x: Tensor) -> Tensor:
        """The images z, projected into the ball around x; both (B, C, H, W)."""
        return self.moved(x, z - x)

    def moved(self, x: Tensor, delta: Tensor) -> Tensor:
        """x + delta, projected into the ball around x; both (B, C, H, W)."""
        return self.norm.project(delta, self.eps).add_(x).clamp_(0, 1)


def check_radius(name: str, radius: float) -> None:
    """Raise UserError unless it is a radius of a ball in L-inf, from 0 to 1."""
    if not 0 <= radius <= 1:
        raise UserError(
            f"{name} is in pixel units of images in [0, 1], so between 0 and 1 (8/255 is common), "
            f"but got {radius:g}." + (f" Did you mean {radius:g}/255?" if 1 < radius <= 255 else "")
        )


def pixels_in_words(eps: float) -> str:
    """A length in pixel units as text: "8/255" if it is a whole number of 255ths."""
    levels = round(eps * 255)
    return f"{levels}/255" if abs(levels - eps * 255) < 1e-6 and eps < 1 else f"{eps:g}"
