"""The questions that measures answer, in the order in which a report asks them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """A question about a model; the measures that answer it are shown side by side.

    words: the heading above their columns; place: the position among the questions, ascending;
    robust: whether the answers depend on how strong the attacks are; depends: what of the protocol
    two models must share for their answers to be compared, its options and stages by name.
    """

    words: str
    place: int
    robust: bool = False
    depends: tuple[str, ...] = ("ball", "explainer")


RIGHT = Question("Is it right?", 10, depends=())
RIGHT_UNDER_ATTACK = Question(
    "Is it right under attack?", 20, robust=True, depends=("ball", "Attacks")
)
RIGHT_WHEN_CORRUPTED = Question("Is it right on corrupted images?", 30, depends=("Corruptions",))
LOOKS_AT_OBJECT = Question("Does it look at the object?", 40, depends=("explainer",))
LEARNED_MASK = Question("Has it learned where the object is?", 50, depends=())
STAYS_UNDER_ATTACK = Question(
    "Does it keep looking there under attack?", 60, depends=("ball", "explainer", "Attacks")
)
STAYS_ELSEWHERE = Question(
    "Does it keep looking there when the image changes?", 70, depends=("explainer",)
)
MANIPULABLE = Question(
    "How far can its explanation be moved while the answer stays?",
    80,
    depends=("ball", "explainer", "ExplanationAttacks"),
)
FAITHFUL = Question("Does the explanation show what the model uses?", 90, depends=("explainer",))
SPECIFIC = Question(
    "Is the explanation stable, and specific to this model?", 100, depends=("explainer",)
)
OTHER = Question("Other measures", 1000)
