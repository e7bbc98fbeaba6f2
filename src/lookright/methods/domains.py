"""The domains of a batch, for methods that compare domains."""

import torch
from torch import Tensor

from lookright.batch import Batch
from lookright.errors import UserError
from lookright.methods.method import check_weights


def by_domain(batch: Batch, method: str, images: int = 1) -> dict[int, Tensor]:
    """The batch indices (n,) of each domain's images, by the domain's number in ascending order.

    method: the method's name, for error messages; images: the least number of images per domain.

    Raises:
        UserError: a batch without domains or with only one; too few images of a domain.
    """
    if batch.domains is None:
        raise UserError(
            f"{method} compares domains, but the batch does not say which domain each image is "
            "from: give Batch its domains, (B,) integers."
        )
    members = {
        number: (batch.domains == number).nonzero()[:, 0]
        for number in batch.domains.unique().tolist()
    }
    if len(members) < 2:
        raise UserError(
            f"{method} compares domains, so it needs images of two or more domains in each batch; "
            f"got {len(batch)} of one: balance the batches over the training domains, as fit does."
        )
    number, fewest = min(members.items(), key=lambda item: len(item[1]))
    if len(fewest) < images:
        raise UserError(
            f"{method} needs {images} images or more of each domain in a batch; got {len(fewest)} "
            f"of domain {number}: balance the batches over the training domains, as fit does."
        )
    return members


def domain_risks(losses: Tensor, members: dict[int, Tensor]) -> Tensor:
    """The mean (E,) of the losses (B,) of each of the E domains of `by_domain`."""
    return torch.stack([losses[index].mean() for index in members.values()])


def check_penalty(penalty: float, warm_up: float) -> None:
    """Raise UserError on a negative penalty, or a warm-up outside [0, 1)."""
    check_weights(penalty=penalty)
    if not 0 <= warm_up < 1:
        raise UserError(f"warm_up is a share of training in [0, 1), got {warm_up}.")
