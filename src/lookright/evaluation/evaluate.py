"""`evaluate`: measure a model on data; the result holds figures, intervals, curves and examples."""

import sys
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress
from torch import nn

from lookright.console import Terminal
from lookright.data import ImageData, Seen, as_data
from lookright.data.decoded import Decoded
from lookright.data.overview import judged_table
from lookright.devices import best_device, borrowed
from lookright.errors import UserError
from lookright.evaluation.batches import judged
from lookright.evaluation.cache import BatchCache, forget
from lookright.evaluation.evaluator import Evaluator
from lookright.evaluation.left_out import GAVE_NAN, in_words, judgeable, lost
from lookright.evaluation.places import asked_for, begun, placed
from lookright.evaluation.protocol import Protocol
from lookright.evaluation.result import (
    Examples,
    Result,
    read_examples,
    read_result,
    write_examples,
    write_result,
)
from lookright.evaluation.summary import Summary
from lookright.evaluation.table import FILE, Rows, read_table, write_table
from lookright.files import as_path, content_hash, together
from lookright.locks import locked
from lookright.metrics.classification import imbalance
from lookright.models import Classifier, giving_logits, known_of
from lookright.modes import frozen, full_precision
from lookright.progress import Telling, progress_bar
from lookright.seeds import derived_seed, own_noise
from lookright.versions import versions
from lookright.visible import visible

_SOURCE = ("lookright", "revision", "modified")
"""Of the versions: what tells one state of this source from another."""


def evaluate(
    model: nn.Module,
    data: Any = None,
    save: Path | str | None = None,
    *,
    home: Path | str | None = None,
    images: Any = None,
    labels: Any = None,
    masks: Any = None,
    has_mask: Any = None,
    masker: nn.Module | None = None,
    domains: Sequence[str] = (),
    train_domains: Sequence[str] = (),
    seen: Seen | None = None,
    protocol: Protocol = Protocol(),  # noqa: B008
    name: str = "model",
    about: str = "",
    seed: int | None = None,
    config: Mapping[str, Any] | None = None,
    device: str | torch.device | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    progress: bool | Progress = True,
) -> Result:
    """Evaluate a model in each domain and write the result to the folder `save`, domain by domain.

    Images that the model was trained or validated on are left out wherever they lie, so that in a
    training domain the test part is evaluated, in any other domain all images. A killed evaluation
    that is started again continues after its last batch. Where a batch does not fit into memory, it
    is halved, with a warning.

    Args:
        model: images (B, 3, H, W) in [0, 1] to logits (B, K) of the data's classes; other outputs,
            such as probabilities, are made logits (`models.Outputs`).
        data: an `ImageData`, a `DataLoader` or `Dataset` of images and labels, with masks where
            there are any, or the path of a folder (`lookright.data.as_data`).
        images, labels, masks, has_mask: tensors in place of data (`lookright.data.InMemory`).
        save: the folder of this one result. Without it nothing is kept on disk, and a killed
            evaluation starts from the beginning.
        home: in place of `save`, a folder of many results, such as a run's; this one goes into
            home/results/<hash of model, data, protocol and names>.
        masker: maps images to masks (B, 1, h, w) in [0, 1], learned with the model. Its masks are
            measured too, against the ground-truth masks where there are any.
        domains: those to evaluate on; all by default.
        train_domains: the names of those that the model was trained on.
        seen: the images of its training (`Run.seen`), in these data or others; by default those of
            `train_domains` outside their test parts.
        protocol: how to evaluate: the attacks' ball, explainer, stages, number of images.
        name, about, seed, config: recorded in the result: the model's name, a sentence about it,
            the seed of its training, and how it was made.
        device: the first accelerator by default; model and masker are moved there for the
            evaluation, then back.
        workers: processes that decode images; None is one per core, up to four, where many images
            are to be decoded, and none for data in memory.
        overwrite: replace a result of another model or protocol in that folder.
        progress: show on stderr which images are judged, and a bar; a `rich` bar of your own gets
            a task.

    Raises:
        UserError: an unknown domain; a model with other classes; a masker that gives no masks; a
            folder with another result.
    """
    classes = getattr(model, "classes", None)
    data = as_data(
        data, images=images, labels=labels, masks=masks, has_mask=has_mask, **known_of(model)
    )
    _check_preprocessing(model, data)
    chosen = tuple(domains) or data.domains
    for domain in (*chosen, *(train_domains if seen is None else ())):
        data.domain_index(domain)
    if classes is not None and tuple(classes) != tuple(data.classes):
        raise UserError(
            f"The model's classes are {', '.join(classes)}, those of {data.name} "
            f"{', '.join(data.classes)}: evaluate it on data of its own classes."
        )
    model = giving_logits(model, name, data.image_size, data.classes)
    device = best_device(device)
    if save is not None and home is not None:
        raise UserError("Say where the result goes by save=FOLDER or by home=FOLDER, not by both.")
    near = home if save is None else save
    result = begun(
        model,
        data,
        masker=masker,
        train_domains=train_domains,
        seen=seen,
        protocol=protocol,
        name=name,
        about=about,
        seed=seed,
        config=config,
        near=None if near is None else as_path(near),
    )
    folder = None if save is None else as_path(save)
    if home is not None:
        folder = placed(as_path(home), result)
    known = versions()
    asked = asked_for(result) | {"by": [known.get(k) for k in _SOURCE]}
    both = nn.ModuleList([model] if masker is None else [model, masker])
    with ExitStack() as stack:
        if folder is not None:
            stack.enter_context(locked(folder))
            if overwrite:
                forget(folder)
        kept = _resumed(replace(result, saved=folder), overwrite, known.get("lookright"))
        run = None if home is None else as_path(home)
        kept = replace(kept, run=run, config=_config_of(run))
        broken = data.unreadable(chosen, progress is True and sys.stderr.isatty())
        if seen is None:
            seen = Seen.in_domains(data, train_domains)
        samples = {domain: data.fingerprint(domain) for domain in chosen}
        _check_samples(kept.result, samples)
        whole = {domain: judgeable(data, domain, seen, broken) for domain in chosen}
        splits = {domain: _drawn(positions, protocol) for domain, positions in whole.items()}
        notes = {domain: _told(data, domain, seen) for domain in chosen}
        if progress is True:
            counts = {domain: len(where) for domain, where in splits.items()}
            Terminal(stderr=True).print(judged_table(data, counts, seen))
        stack.enter_context(borrowed(both, device=device))
        bar = progress if isinstance(progress, Progress) else None
        if progress is True:
            bar = stack.enter_context(progress_bar(Telling))
        stack.enter_context(full_precision(device))
        task = bar.add_task(f"evaluating {name}", total=None, note="") if bar else None
        total, before = sum(map(len, splits.values())), 0

        def told(done: float, what: str) -> None:
            if bar and task is not None:
                bar.update(task, total=total, completed=before + done, note=f"{domain}: {what}")

        for domain, where in splits.items():
            if domain not in kept.result.domains:
                judge = Evaluator(model, protocol, domain, len(where), masker)
                cache = BatchCache(folder, asked | {"domain": (domain, samples[domain])})
                near = next((each for each in train_domains if each in data.domains), None)
                with frozen(both), own_noise(device):
                    records = list(judged(judge, data, where, cache, told, near, device, workers))
                names = data.names(domain)
                left = {name: broken[name] for name in names if name in broken}
                left |= lost(data, domain, where, records)
                if left:
                    notes[domain].append(in_words(left, len(names)))
                    warnings.warn(f"Domain '{domain}': {notes[domain][-1]}", stacklevel=2)
                unanswered = [*left.values()].count(GAVE_NAN)
                judged_of = [each for each in records if each.judged.any()]
                summary = Summary(judge, judged_of, unanswered)
                here = summary.result(
                    left_out=left,
                    in_distribution=seen.in_distribution(data, domain),
                    imbalance=_imbalance(data, domain),
                    samples=samples[domain],
                    revision=known["revision"],
                    versions={k: str(v) for k, v in known.items() if k != "revision"},
                )
                here = replace(here, warnings=(*notes[domain], *here.warnings))
                kept.result.declared.update(summary.declared(here.measures))
                kept.result.domains[domain] = here
                kept.examples[domain] = summary.examples()
                kept.table[domain] = summary.rows(
                    [names[at] for at in where if names[at] not in left]
                )
                kept.write()
            before += len(where)
            told(0, "done")
        if folder is not None:
            forget(folder)
    return kept.result


@dataclass(frozen=True)
class _Kept:
    """A result, with the examples and tables of its domains; run: that of its model, if any, and
    config: a hash of what it was when the evaluation began."""

    result: Result
    examples: dict[str, Examples] = field(default_factory=dict)
    table: dict[str, Rows] = field(default_factory=dict)
    run: Path | None = None
    config: str | None = None

    def write(self) -> None:
        """Replace all files together; nothing without a folder.

        Raises:
            UserError: another training has taken the place of the run.
        """
        if self.config != _config_of(self.run):
            raise UserError(
                f"The run in {self.run} was replaced while its former model was judged: evaluate "
                "it again."
            )
        if self.result.saved is not None:
            with together(self.result.saved) as new:
                write_examples(new, self.examples)
                write_table(new, self.table)
                write_result(replace(self.result, saved=new))


def _config_of(run: Path | None) -> str | None:
    config = None if run is None else run / "config.json"
    return content_hash(config) if config and config.is_file() else None


def _imbalance(data: ImageData, domain: str) -> float:
    """That of the domain's classes; 1 where every image would have to be read for it."""
    known = type(data).labels is not ImageData.labels
    return imbalance(data.labels(domain)) if known else 1.0


def _resumed(result: Result, overwrite: bool, version: str | None) -> _Kept:
    """What the folder holds already, if it is complete and of the same evaluation."""
    folder = result.saved
    if overwrite or folder is None or not (folder / "result.json").exists():
        return _Kept(result)
    before = read_result(folder)
    old, new = asked_for(before), asked_for(result)
    if old != new:
        raise UserError(
            f"{folder} holds another result, with {_difference('', old, new)}: name "
            "another folder, or replace it by overwrite=True (--overwrite)."
        )
    shown = {domain: read_examples(before, domain) for domain in before.domains}
    examples = {domain: each for domain, each in shown.items() if each is not None}
    table = read_table(folder) if (folder / FILE).exists() else {}
    domains = before.domains.keys()
    if examples.keys() != domains or not table.keys() >= set(map(visible, domains)):
        return _Kept(result)
    made = before.versions.get("lookright")
    if made not in (None, str(version)):
        warnings.warn(
            f"{folder} holds a result of lookright {made}, which is kept; this is {version}, whose "
            "figures may differ: measure it again by overwrite=True (--overwrite).",
            stacklevel=3,
        )
    return _Kept(before, examples, {**table})


def _check_samples(result: Result, samples: Mapping[str, str]) -> None:
    """Refuse a result of other images, masks or labels in one of these domains."""
    for domain, found in samples.items():
        if domain in result.domains and result.domains[domain].samples != found:
            raise UserError(
                f"{result.folder} holds a result of other images, masks or labels in domain "
                f"'{domain}': name another folder, or replace it by overwrite=True (--overwrite)."
            )


def _check_preprocessing(model: nn.Module, data: ImageData) -> None:
    """Warn where image files are not prepared as the model's weights expect."""
    if not isinstance(model, Classifier) or not isinstance(data, Decoded):
        return
    if data.preprocessing != model.preprocessing:
        warnings.warn(
            f"The model expects images prepared by {model.preprocessing}, but those of {data.name} "
            f"are by {data.preprocessing}: load them with preprocessing=model.preprocessing.",
            stacklevel=3,
        )


def _difference(what: str, old: Any, new: Any) -> str:
    """The first place where two JSON values differ, as a user names it."""
    if isinstance(old, dict) and isinstance(new, dict):
        name = next(name for name in old | new if old.get(name) != new.get(name))
        inner = what if name == "init_args" else f"{what}.{name}".lstrip(".")
        return _difference(inner, old.get(name), new.get(name))
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        one, other = next(pair for pair in zip(old, new, strict=True) if pair[0] != pair[1])
        return _difference(what, one, other)
    return f"{what} {old} instead of {new}"


def _told(data: ImageData, domain: str, seen: Seen) -> list[str]:
    """What is to be said, now and on the page, of the domain's images among those of training."""
    note = seen.note(data, domain)
    if note is None:
        return []
    warnings.warn(f"Domain '{domain}' of {data.name}: {note}", stacklevel=3)
    return [note]


def _drawn(positions: Sequence[int], protocol: Protocol) -> list[int]:
    """The samples to be evaluated, in an order drawn by the seed."""
    generator = torch.Generator().manual_seed(derived_seed(protocol.seed, "draw"))
    order = torch.randperm(len(positions), generator=generator)[: protocol.limit]
    return [positions[at] for at in order.tolist()]
