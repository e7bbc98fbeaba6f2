"""Which values lie on every path from the image to the logits, by the graph of autograd."""

from torch import Tensor
from torch.autograd.graph import Node


def on_every_path(logits: Tensor) -> set[Node]:
    """The operations through which everything passes that the logits know of the graph's leaf.

    The graph must have one leaf that needs a gradient. In topological order an operation is passed
    by all paths if no edge reaches from before it to behind it.
    """
    order = _from_the_end(logits)
    place = {node: index for index, node in enumerate(order)}
    passed, furthest = set(), 0
    for index, node in enumerate(order):
        if furthest <= index:
            passed.add(node)
        reached = (place[source] for source, _ in node.next_functions if source is not None)
        furthest = max(furthest, *reached, 0)
    return passed


def _from_the_end(logits: Tensor) -> list[Node]:
    """All operations, each before those whose values it uses."""
    finished: list[Node] = []
    seen: set[Node] = set()
    stack = [(logits.grad_fn, False)]
    while stack:
        node, sources_done = stack.pop()
        if node is None or (node in seen and not sources_done):
            continue
        if sources_done:
            finished.append(node)
            continue
        seen.add(node)
        stack.append((node, True))
        stack.extend((source, False) for source, _ in node.next_functions)
    return finished[::-1]
