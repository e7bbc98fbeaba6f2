"""Claims of one model, or of two and of their difference, by a plan."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lookright.claims.claim import Claim, DifferenceClaim
from lookright.claims.lemmas import Inequality, Outputs, compare_lemma, measure_lemmas
from lookright.claims.plan import Plan, draw
from lookright.claims.record import ClaimsFile
from lookright.claims.trial import Trial, lemma_outputs, try_batches
from lookright.claims.values import claim_values, compare_values, share_of_delta
from lookright.data import ImageData
from lookright.errors import UserError
from lookright.perturbations import Attacked
from lookright.progress import progress_bar


@dataclass(frozen=True)
class Claims:
    """What is claimed of one model, or of the first of two and of their difference.

    lemmas: by the model's name, where they were asked for; "both" is about the two.
    """

    claims: tuple[Claim, ...]
    comparisons: tuple[DifferenceClaim, ...] = ()
    lemmas: Mapping[str, tuple[Inequality, ...]] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """As JSON, each claim with its sentence."""

        def plain(claims: Sequence[Claim | DifferenceClaim | Inequality]) -> list[dict[str, Any]]:
            return [asdict(claim) | {"sentence": claim.sentence} for claim in claims]

        return {
            "claims": plain(self.claims),
            "comparisons": plain(self.comparisons),
            "lemmas": {name: plain(claims) for name, claims in self.lemmas.items()},
        }


def claim_models(
    models: Mapping[str, nn.Module],
    data: ImageData,
    plan: Plan,
    save: Path | str,
    *,
    train_domains: Sequence[str] = (),
    lemmas: bool = False,
    batch_size: int = 64,
    progress: bool = True,
) -> Claims:
    """Claims of one model; of two, the comparison of the first with the second besides.

    They and what they rest on go into `save`/claims.json, batch by batch: started again, a
    claiming goes on where it was, and one that is there is not done again, but for lemmas,
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
        raise UserError(f"One model is claimed, or two are compared, but got {len(models)}.")
    for name, model in models.items():
        classes = tuple(getattr(model, "classes", data.classes))
        if classes != tuple(data.classes):
            raise UserError(
                f"The classes of {name} are {', '.join(classes)}, those of {data.name} "
                f"{', '.join(data.classes)}: claim it on data of its own classes."
            )
    share_of_delta(plan.delta, _family(plan, len(models)), 3 * len(models))
    if lemmas and isinstance(plan.perturbation, Attacked):
        raise UserError(
            "ALIGN's lemmas are about a shift of the domain, and an attack is none: choose "
            "--perturbation SwappedBackground, OtherDomain or Corrupted."
        )
    data.read([plan.domain], progress and sys.stderr.isatty())
    drawn = draw(data, plan, train_domains, masked=lemmas)
    record = ClaimsFile.opened(Path(save) / "claims.json", models, data, plan, drawn)
    if torch.accelerator.is_available():
        for model in models.values():
            model.to(torch.accelerator.current_accelerator())
    if any(len(trial.kept) < plan.n for trial in record.trials.values()):
        record.write({})  # the plan, before an image is looked at
    with ExitStack() as stack:
        bar = stack.enter_context(progress_bar()) if progress else None
        task = bar.add_task("claiming", total=len(models) * plan.n, note="") if bar else None
        for number, (name, model) in enumerate(models.items()):
            for done in try_batches(model, data, plan, drawn, record.trials[name], batch_size):
                record.write({})
                if bar and task is not None:
                    bar.update(task, completed=number * plan.n + done, note=name)
    outputs = {
        name: lemma_outputs(model, data, plan, drawn, batch_size)
        for name, model in (models if lemmas else {}).items()
    }
    claimed = _claimed(record.trials, data, plan, outputs)
    record.write(claimed.describe() | ({} if lemmas else {"lemmas": record.lemmas}))
    return claimed


def _family(plan: Plan, models: int) -> int:
    """How many bounds hold together: three of a model, and three of a comparison."""
    return 3 * models if plan.family is None else plan.family


def _claimed(
    trials: Mapping[str, Trial], data: ImageData, plan: Plan, outputs: Mapping[str, Outputs]
) -> Claims:
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
    claims = claim_values(*values[0], **of)
    measured = {name: measure_lemmas(each) for name, each in outputs.items()}
    if len(names) == 1:
        return Claims(claims, (), measured)
    first, second = names
    comparisons = compare_values(*values, names=(first, second), **of)
    if outputs:
        both = compare_lemma(outputs[first], outputs[second], (first, second))
        measured["both"] = (both,)
    return Claims(claims, comparisons, measured)
