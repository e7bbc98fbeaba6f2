"""Whether the training images have the masks that a method's guide or attack needs."""

from collections.abc import Iterator

import torch

from lookright.data import Split
from lookright.errors import UserError
from lookright.guides import LearnedMask
from lookright.methods.method import Method
from lookright.methods.wrapper import inner_name
from lookright.modes import frozen


def check_guided(method: Method, part: Split) -> str | None:
    """A note where only some of the training images have the masks that are needed, else None.

    Raises:
        UserError: a guide or an attack that needs masks, or a guide that needs tool masks, where
            none of the images has one; a masker whose output is not a mask.
    """
    if isinstance(method.guide, LearnedMask):
        side = part.data.image_size
        with frozen(method.guide.masker), torch.no_grad():
            method.guide.masks(torch.full((1, 3, side, side), 0.5))
    notes = []
    for what, who, instead, without in _needs(method):
        data, words = part.data, what.replace("_", " ")
        known = data.masked if what == "masks" else data.tool_masked
        of = {domain: known(domain) for domain in dict.fromkeys(domain for domain, _ in part.where)}
        having = sum(of[domain][index] for domain, index in part.where)
        if not having:
            raise UserError(
                f"{inner_name(method)} {who} needs {words}, and none of the {len(part)} "
                f"training images of {data.name} ({', '.join(of)}) has one: give a folder of them "
                f"(--{what}), in a benchmark's file as {what} under data, or {instead}."
            )
        if having < len(part):
            notes.append(
                f"{having} of {len(part)} training images have {words} for {who.split()[-1]}, the "
                f"others are {without}."
            )
    return " ".join(notes) or None


def _needs(method: Method) -> Iterator[tuple[str, str, str, str]]:
    """The masks that are needed, for what, what to choose instead, and what becomes of images
    without one."""
    guide, attack = method.guide, method.attack
    if guide and (guide.needs_masks or guide.needs_tool_masks):
        what = "masks" if guide.needs_masks else "tool_masks"
        instead = "choose another guide (--method.guide)"
        yield what, f"guided by {type(guide).__name__}", instead, "trained unguided"
    if attack and attack.needs_masks and (guide is None or guide.of_model):
        who = f"attacked by {type(attack).__name__}"
        instead = "choose another attack (--method.attack)"
        yield "masks", who, instead, "attacked within eps alone"
