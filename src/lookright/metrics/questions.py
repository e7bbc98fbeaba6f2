"""The questions that measures answer, in the order in which a report asks them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """A question about a model; the measures that answer it are shown side by side.

    words: the heading above their columns; place: the position among the questions, ascending;
    robust: whether the answers depend on how strong the attacks are.
    """

    words: str
    place: int
    robust: bool = False


RIGHT = Question("Is it right?", 10)
RIGHT_UNDER_ATTACK = Question("Is it right under attack?", 20, robust=True)
RIGHT_WHEN_CORRUPTED = Question("Is it right on corrupted images?", 30)
LOOKS_AT_OBJECT = Question("Does it look at the object?", 40)
LEARNED_MASK = Question("Has it learned where the object is?", 50)
STAYS_UNDER_ATTACK = Question("Does it keep looking there under attack?", 60)
STAYS_ELSEWHERE = Question("Does it keep looking there when the image changes?", 70)
MANIPULABLE = Question("How far can its explanation be moved while the answer stays?", 80)
FAITHFUL = Question("Does the explanation show what the model uses?", 90)
SPECIFIC = Question("Is the explanation stable, and specific to this model?", 100)
OTHER = Question("Other measures", 1000)
