"""The stage of the other domain: is the explanation that of the same sample in the training
domain?"""

from dataclasses import dataclass

from lookright import metrics
from lookright.evaluation.column import Column, Columns, measuring
from lookright.evaluation.protocol import Protocol
from lookright.evaluation.stages.stage import Stage
from lookright.evaluation.view import View
from lookright.metrics.stability import STABILITY_DOMAIN

_STAYS = measuring(STABILITY_DOMAIN)


@dataclass(frozen=True)
class OtherDomain(Stage):
    """Explanations compared with those of the same samples in the training domain.

    Nothing is measured where that domain lacks these samples.
    """

    def columns(self, protocol: Protocol) -> tuple[Column, ...]:
        return _STAYS.beside_baselines

    def see(self, view: View) -> Columns:
        if view.twin is None:
            return {}
        _, there = view.explain(view.twin.images)
        return view.compared(_STAYS, metrics.stability_cosine, view.twin.images, there)
