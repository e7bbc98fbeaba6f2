"""A method with what is asked for round it."""

from lookright.methods.awp import AWP
from lookright.methods.gradient_penalty import GradientPenalty
from lookright.methods.method import Method


def wrapped(method: Method, awp: float = 0.0, gradient_penalty: float = 0.0) -> Method:
    """The method with an adversarial weight perturbation of this size, and round both a penalty of
    this weight on the gradient at the pixels; 0 is for none.

    Raises:
        UserError: a size or weight below 0; a perturbation without an attack.
    """
    if awp:
        method = AWP(method, awp)
    return GradientPenalty(method, gradient_penalty) if gradient_penalty else method
