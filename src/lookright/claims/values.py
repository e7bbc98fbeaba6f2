"""Claims from the values of each image.

An image counts as kept when the class predicted for the perturbed image is the one predicted for
the clean image, right or wrong: the claim is about the stability of the prediction, not its
accuracy. An explanation is kept when its similarity to that of the clean image, of the class
predicted there, is `tau` or more.

The bounds hold for images drawn independently from one distribution, none of which the model was
trained on, with the perturbation, the similarity, tau and delta fixed before any image was looked
at, and for a model that treats each image independently of the others in its batch.
"""

from collections.abc import Mapping

from torch import Tensor

from lookright.claims.statement import Claim, DifferenceClaim, Property
from lookright.errors import UserError
from lookright.statistics.bounds import (
    check_delta,
    difference_at_least,
    share_at_least,
    sign_test,
)

PROPERTIES: tuple[Property, ...] = ("prediction", "explanation", "both")


def claim_values(
    kept_prediction: Tensor,
    similarity: Tensor | None = None,
    *,
    perturbation: str,
    delta: float = 0.05,
    tau: float = 0.8,
    similarity_name: str = "cosine",
    family: int | None = None,
    distribution: str = "this distribution",
    right: bool = False,
) -> tuple[Claim, ...]:
    """Claims about the prediction, the explanation and both; without `similarity`, only the first.

    Args:
        kept_prediction: (n,) bool, whether the perturbed image is given the clean one's class.
        similarity: (n,) of the two explanations; an undefined one (NaN) counts as not kept.
        perturbation: what was done, in words.
        delta: the probability that any bound of the family fails; 0.05 by convention.
        tau: an explanation counts as kept at this similarity or more. 0.8 is our choice: no paper
            of the methods here names a threshold.
        similarity_name: what the similarity is called.
        family: the number of bounds that hold together; by default the number returned.
        distribution: what the images are drawn from, in words.
        right: an image counts as kept only where its clean prediction was right.

    Raises:
        UserError: values of different lengths or types; delta, tau or family out of range.
    """
    found = kept(kept_prediction, similarity, tau)
    together = len(found) if family is None else family
    each = share_of_delta(delta, together, len(found))
    return tuple(
        Claim(
            claim=claim,
            perturbation=perturbation,
            kept=int(values.sum()),
            n=len(values),
            bound=share_at_least(int(values.sum()), len(values), each),
            delta=delta,
            family=together,
            similarity=None if claim == "prediction" else similarity_name,
            threshold=None if claim == "prediction" else tau,
            distribution=distribution,
            right=right,
        )
        for claim, values in found.items()
    )


def compare_values(
    first: tuple[Tensor, Tensor | None],
    second: tuple[Tensor, Tensor | None],
    *,
    names: tuple[str, str],
    perturbation: str,
    delta: float = 0.05,
    tau: float = 0.8,
    similarity_name: str = "cosine",
    family: int | None = None,
    distribution: str = "this distribution",
    right: bool = False,
) -> tuple[DifferenceClaim, ...]:
    """Claims that compare what two models keep of the same images.

    first, second: (kept_prediction, similarity) of each model, image by image in one order; names:
    what the models are called. The rest is as in `claim_values`.

    Raises:
        UserError: as `claim_values`, or different images.
    """
    ours, theirs = kept(*first, tau), kept(*second, tau)
    if ours.keys() != theirs.keys() or len(first[0]) != len(second[0]):
        raise UserError(
            f"Two models are compared on the same images, but got {len(first[0])} and "
            f"{len(second[0])} of them, with {', '.join(ours)} and {', '.join(theirs)}."
        )
    together = len(ours) if family is None else family
    each = share_of_delta(delta, together, len(ours))
    done = []
    for claim, mine in ours.items():
        wins, losses = int((mine & ~theirs[claim]).sum()), int((theirs[claim] & ~mine).sum())
        done.append(
            DifferenceClaim(
                claim=claim,
                perturbation=perturbation,
                first=names[0],
                second=names[1],
                only_first=wins,
                only_second=losses,
                n=len(mine),
                bound=difference_at_least(wins, losses, len(mine), each),
                p_value=sign_test(wins, losses),
                delta=delta,
                family=together,
                similarity=None if claim == "prediction" else similarity_name,
                threshold=None if claim == "prediction" else tau,
                distribution=distribution,
                right=right,
            )
        )
    return tuple(done)


def kept(
    kept_prediction: Tensor, similarity: Tensor | None, tau: float
) -> Mapping[Property, Tensor]:
    """(n,) bool for each claim that can be made."""
    check_tau(tau)
    if kept_prediction.ndim != 1 or kept_prediction.dtype.is_floating_point:
        raise UserError(
            "A claim counts images, one true or false each (n,), but got "
            f"{kept_prediction.dtype} of shape {tuple(kept_prediction.shape)}."
        )
    prediction = kept_prediction.bool().cpu()
    if similarity is None:
        return {"prediction": prediction}
    if similarity.shape != kept_prediction.shape:
        raise UserError(
            f"Expected a similarity for each of {len(prediction)} images, got a tensor of shape "
            f"{tuple(similarity.shape)}."
        )
    explanation = similarity.detach().cpu().float() >= tau  # as similarities are measured
    return dict(zip(PROPERTIES, (prediction, explanation, prediction & explanation), strict=True))


def check_tau(tau: float) -> None:
    """Refuse a threshold that every explanation passes, or that none can."""
    if not 0 < tau <= 1:
        raise UserError(
            f"tau is the least similarity of an explanation that counts as kept, above 0 and at "
            f"most 1, but got {tau:g}; it is 0.8 by default."
        )


def share_of_delta(delta: float, family: int, bounds: int) -> float:
    """Bonferroni: the failure probability of each of `family` bounds, `bounds` of which are made
    here."""
    check_delta(delta)
    if family < bounds:
        raise UserError(
            f"family is the number of bounds that hold together, and {bounds} are made here, but "
            f"got {family}; leave it out, or give the total of all bounds that hold together."
        )
    return delta / family
