"""Finds earlier results of a model under the attack of a claim's plan."""

from pathlib import Path

from torch import nn

from lookright.attacks import Ball
from lookright.claims import Evaluated, Plan
from lookright.data import ImageData
from lookright.errors import UserError
from lookright.evaluation.places import results_in
from lookright.evaluation.result import Result, read_result
from lookright.evaluation.stages.answers import RIGHT
from lookright.evaluation.stages.attacks import KEPT, Attacks
from lookright.evaluation.table import read_table
from lookright.models import fingerprint
from lookright.perturbations import Attacked
from lookright.registry import path_of
from lookright.spec import build_read, spec_of
from lookright.visible import visible


def evaluated(
    home: Path, model: nn.Module, data: ImageData, domain: str, plan: Plan
) -> Evaluated | None:
    """The values of the domain's images, from the result in `home` that has most of them.

    It must be of the same weights and images, with the plan's explainer, and with the plan's
    perturbation as its main attack, whatever the seed. None where there is no such result. home: a
    run's folder, or any folder that `lookright evaluate` writes results into.
    """
    try:
        folders = results_in(home)
    except UserError:
        return None
    weights, samples = fingerprint(model), data.fingerprint(domain)
    found: Evaluated | None = None
    for folder in folders:
        result = read_result(folder)
        here = result.domains.get(domain)
        judged = result.config.get("judged", {}).get("weights")
        if here is None or judged != weights or here.samples != samples:
            continue
        similarity = f"stability_{plan.similarity}"
        known = 0 if found is None else len(found.images)
        if here.n > known and _answers(result, plan):
            rows = read_table(folder).get(visible(domain), {})
            if {RIGHT.name, KEPT.name, similarity} <= rows.keys():
                kept = rows[RIGHT.name], rows[KEPT.name]
                found = Evaluated(rows["image"].tolist(), *kept, rows[similarity])
    return found


def _answers(result: Result, plan: Plan) -> bool:
    """Whether the result was made with the plan's perturbation and explainer."""
    told = result.settings.get("init_args", {})
    if told.get("explainer") != spec_of(plan.explainer):
        return False
    ball = build_read(told["ball"], Ball)
    mains = (
        Attacks(each["init_args"]["steps"], each["init_args"]["restarts"]).main(ball)
        for each in told["stages"]
        if each["class_path"] == path_of(Attacks)
    )
    return spec_of(plan.perturbation) in [spec_of(Attacked(main)) for main in mains]
