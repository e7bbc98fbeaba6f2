"""What was found of each image of a domain, as the figures of a result."""

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from lookright import metrics
from lookright.claims import Claim, claim_values
from lookright.evaluation.cache import BatchResult, joined
from lookright.evaluation.evaluator import Evaluator
from lookright.evaluation.protocol import Protocol
from lookright.evaluation.result import Corrupted, CurvePoint, DomainResult, RemovalCurve
from lookright.evaluation.stages.attacks import attack_name
from lookright.perturbations import attack_in_words


def figures(
    records: Sequence[BatchResult], judge: Evaluator, in_distribution: bool, samples: str
) -> DomainResult:
    """The figures of a domain, whose samples have that hash, from what was found of its batches."""
    values, protocol = joined(records), judge.protocol
    measures = _measures(values)
    measures |= {name: metrics.rate(values[name]) for name in map(attack_name, protocol.attacks)}
    auc = metrics.macro_auc(values["logits"], values["labels"])
    if auc is not None:
        measures["auc"] = auc
    return DomainResult(
        n=len(values["labels"]),
        in_distribution=in_distribution,
        measures=measures,
        curve=tuple(
            CurvePoint(eps, metrics.rate(values[f"curve {eps}"])) for eps in protocol.radii
        ),
        warnings=tuple(_warnings(values)),
        baselines={name: _measures(values, f"@{name}") for name in metrics.BASELINES},
        paired={name: _paired(values, name) for name in metrics.BASELINES},
        removal=tuple(_removal(values, protocol)),
        corruptions=tuple(_corrupted(values, protocol)),
        diagnostics=tuple(protocol.diagnosis(judge.total).verdicts(values, judge.model)),
        claims=_claims(values, protocol, judge.domain),
        samples=samples,
    )


def _measures(values: Mapping[str, Tensor], of: str = "") -> dict[str, metrics.Estimate]:
    """The measures of the explanation, or of a baseline, by key."""
    return {
        measure.key: (metrics.rate if measure.unit == "rate" else metrics.mean)(values[name])
        for measure in metrics.MEASURES
        if (name := f"{measure.key}{of}") in values
    }


def _paired(values: Mapping[str, Tensor], baseline: str) -> dict[str, metrics.Paired]:
    """The explanation against a baseline on the same images, in measures where it should win."""
    return {
        measure.key: metrics.paired(values[measure.key], values[other], measure.higher_is_better)
        for measure in metrics.MEASURES
        if baseline in measure.beats
        and measure.higher_is_better is not None
        and (other := f"{measure.key}@{baseline}") in values
    }


def _warnings(values: Mapping[str, Tensor]) -> Iterator[str]:
    degenerate = float(values["degenerate_maps"].float().mean())
    if degenerate > 0.1:
        yield f"{degenerate:.0%} of the explanations are empty or constant."


def _removal(values: Mapping[str, Tensor], protocol: Protocol) -> Iterator[RemovalCurve]:
    shares = protocol.scorecard.curve_shares
    for fill in protocol.fills:
        for kind in ("deletion", "insertion"):
            for of in ("explanation", *metrics.BASELINES):
                name = f"curve {kind} {fill}" + ("" if of == "explanation" else f"@{of}")
                points = [metrics.mean(each) for each in values[name].T]
                yield RemovalCurve(
                    of,
                    kind,
                    fill,
                    shares,
                    tuple(point.value for point in points),
                    tuple(point.low for point in points),
                    tuple(point.high for point in points),
                )


def _corrupted(values: Mapping[str, Tensor], protocol: Protocol) -> Iterator[Corrupted]:
    for name, severity in protocol.corrupted:
        yield Corrupted(
            name,
            severity,
            metrics.rate(values[f"corrupted {name} {severity}"]),
            metrics.mean(values[f"corrupted stability {name} {severity}"]),
        )


def _claims(values: Mapping[str, Tensor], protocol: Protocol, domain: str) -> tuple[Claim, ...]:
    p = protocol
    return claim_values(
        values["kept_pgd"],
        values["stability_cosine"],
        perturbation=attack_in_words(p.attack),
        delta=p.delta,
        tau=p.tau,
        similarity_name=f"cosine of {type(p.explainer).__name__}",
        distribution=f'the domain "{domain}"',
        right=True,
    )
