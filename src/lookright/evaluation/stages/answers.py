"""The stage of answers: accuracy, balanced accuracy and AUC on the clean images."""

from dataclasses import dataclass

from lookright import metrics
from lookright.evaluation.column import LABEL, Column, Columns, measuring
from lookright.evaluation.protocol import Protocol
from lookright.evaluation.stages.stage import Joined, Stage
from lookright.evaluation.view import View
from lookright.metrics.classification import ACCURACY, AUC, BALANCED_ACCURACY

RIGHT = measuring(ACCURACY)
LOGITS = Column("logits")


@dataclass(frozen=True)
class Answers(Stage):
    """Accuracy, balanced accuracy and AUC on the clean images."""

    def columns(self, protocol: Protocol) -> tuple[Column, ...]:
        return RIGHT, LOGITS

    def see(self, view: View) -> Columns:
        return {RIGHT: metrics.correct(view.logits, view.batch.labels), LOGITS: view.logits}

    def figures(self, joined: Joined) -> dict[str, metrics.Estimate]:
        auc = metrics.macro_auc(joined[LOGITS], joined[LABEL])
        balanced = metrics.balanced(joined[RIGHT], joined[LABEL])
        found = super().figures(joined) | {BALANCED_ACCURACY.key: balanced}
        return found | ({} if auc is None else {AUC.key: auc})
