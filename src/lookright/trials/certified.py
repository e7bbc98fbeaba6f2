"""Certificates of one model, or of two and of their difference, by a plan."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lookright.certificates import (
    Certificate,
    Comparison,
    Inequality,
    Outputs,
    certify_values,
    compare_lemma,
    compare_values,
    measure_lemmas,
)
from lookright.certificates.certify import share_of_delta
from lookright.data import ImageData
from lookright.errors import UserError
from lookright.perturbations import Attacked
from lookright.progress import progress_bar
from lookright.trials.plan import Plan, draw
from lookright.trials.record import Record
from lookright.trials.trial import Trial, lemma_outputs, try_batches


@dataclass(frozen=True)
class Certified:
    """What is claimed of one model, or of the first of two and of their difference.

    lemmas: by the model's name, where they were asked for; "both" is about the two.
    """

    certificates: tuple[Certificate, ...]
    comparisons: tuple[Comparison, ...] = ()
    lemmas: Mapping[str, tuple[Inequality, ...]] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """As JSON, each claim with its sentence."""

        def plain(claims: Sequence[Certificate | Comparison | Inequality]) -> list[dict[str, Any]]:
            return [asdict(claim) | {"sentence": claim.sentence} for claim in claims]

        return {
            "certificates": plain(self.certificates),
            "comparisons": plain(self.comparisons),
            "lemmas": {name: plain(claims) for name, claims in self.lemmas.items()},
        }


def certify_models(
    models: Mapping[str, nn.Module],
    data: ImageData,
    plan: Plan,
    save: Path | str,
    *,
    train_domains: Sequence[str] = (),
    lemmas: bool = False,
    batch_size: int = 64,
    progress: bool = True,
) -> Certified:
    """Certificates of one model; of two, the comparison of the first with the second besides.

    They and what they rest on go into `save`/certificates.json, batch by batch: started again, a
    certification goes on where it was, and one that is there is not done again, but for lemmas,
    which take no attack.

    Args:
        models: one or two by name, images (B, 3, H, W) in [0, 1] to logits of the data's classes.
        data, plan: the images, and what is fixed before one of them is looked at.
        save: folder.
        train_domains: those that any of the models was trained on.
        lemmas: measure ALIGN's lemmas too, with the plan's perturbation as the shift of domain.
        batch_size: images at once.
        progress: show a bar on stderr.

    Raises:
        UserError: models of other classes or more than two; a plan that the data cannot fulfil;
            a damaged file.
    """
    if not 1 <= len(models) <= 2:
        raise UserError(f"One model is certified, or two are compared, but got {len(models)}.")
    for name, model in models.items():
        classes = tuple(getattr(model, "classes", data.classes))
        if classes != tuple(data.classes):
            raise UserError(
                f"The classes of {name} are {', '.join(classes)}, those of {data.name} "
                f"{', '.join(data.classes)}: certify it on data of its own classes."
            )
    share_of_delta(plan.delta, _family(plan, len(models)), 3 * len(models))
    if lemmas and isinstance(plan.perturbation, Attacked):
        raise UserError(
            "ALIGN's lemmas are about a shift of the domain, and an attack is none: choose "
            "--perturbation SwappedBackground, OtherDomain or Corrupted."
        )
    data.read([plan.domain], progress and sys.stderr.isatty())
    drawn = draw(data, plan, train_domains, masked=lemmas)
    record = Record.opened(Path(save) / "certificates.json", models, data, plan, drawn)
    if torch.accelerator.is_available():
        for model in models.values():
            model.to(torch.accelerator.current_accelerator())
    if any(len(trial.kept) < plan.n for trial in record.trials.values()):
        record.write({})  # the plan, before an image is looked at
    with ExitStack() as stack:
        bar = stack.enter_context(progress_bar()) if progress else None
        task = bar.add_task("certifying", total=len(models) * plan.n, note="") if bar else None
        for number, (name, model) in enumerate(models.items()):
            for done in try_batches(model, data, plan, drawn, record.trials[name], batch_size):
                record.write({})
                if bar and task is not None:
                    bar.update(task, completed=number * plan.n + done, note=name)
    outputs = {
        name: lemma_outputs(model, data, plan, drawn, batch_size)
        for name, model in (models if lemmas else {}).items()
    }
    certified = _certified(record.trials, data, plan, outputs)
    record.write(certified.describe() | ({} if lemmas else {"lemmas": record.lemmas}))
    return certified


def _family(plan: Plan, models: int) -> int:
    """How many bounds hold together: three of a model, and three of a comparison."""
    return 3 * models if plan.family is None else plan.family


def _certified(
    trials: Mapping[str, Trial], data: ImageData, plan: Plan, outputs: Mapping[str, Outputs]
) -> Certified:
    names = tuple(trials)
    of: dict[str, Any] = {
        "perturbation": plan.perturbation.words,
        "delta": plan.delta,
        "tau": plan.tau,
        "similarity_name": f"{plan.similarity} of {type(plan.explainer).__name__}",
        "family": _family(plan, len(names)),
        "distribution": f"{data.name}'s domain {plan.domain}",
    }
    values = [trial.tensors() for trial in trials.values()]
    certificates = certify_values(*values[0], **of)
    measured = {name: measure_lemmas(each) for name, each in outputs.items()}
    if len(names) == 1:
        return Certified(certificates, (), measured)
    first, second = names
    comparisons = compare_values(*values, names=(first, second), **of)
    if outputs:
        both = compare_lemma(outputs[first], outputs[second], (first, second))
        measured["both"] = (both,)
    return Certified(certificates, comparisons, measured)
