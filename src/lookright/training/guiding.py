"""Whether the training images have the masks that a method's guide needs."""

from lookright.data import Split
from lookright.errors import UserError
from lookright.methods.method import Method


def check_guided(method: Method, part: Split) -> str | None:
    """A note where only some of the training images have the masks that the guide needs, else None.

    Raises:
        UserError: a guide that needs masks, or tool masks, where none of the images has one.
    """
    guide, data = method.guide, part.data
    if guide is None or not (guide.needs_masks or guide.needs_tool_masks):
        return None
    what, known = ("masks", data.masked) if guide.needs_masks else ("tool_masks", data.tool_masked)
    of = {domain: known(domain) for domain in dict.fromkeys(domain for domain, _ in part.where)}
    guided = sum(of[domain][index] for domain, index in part.where)
    name, words = type(guide).__name__, what.replace("_", " ")
    if not guided:
        raise UserError(
            f"{type(method).__name__} guided by {name} needs {words}, and none of the "
            f"{len(part)} training images of {data.name} has one: give a folder of them "
            f"(--{what}), or choose another guide (--method.guide)."
        )
    if guided == len(part):
        return None
    return (
        f"{guided} of {len(part)} training images have {words} for {name}, the others are "
        "trained unguided."
    )
