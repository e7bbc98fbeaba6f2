"""What was found of each image of a domain, as the figures of a result."""

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from lookright import metrics
from lookright.certificates import Certificate, certify_values
from lookright.evaluation.judge import Judge
from lookright.evaluation.protocol import Protocol
from lookright.evaluation.records import Record, joined
from lookright.evaluation.robustness import attack_name
from lookright.perturbations import attack_in_words
from lookright.result import Corrupted, CurvePoint, DomainResult, RemovalCurve


def figures(
    records: Sequence[Record], judge: Judge, in_distribution: bool, samples: str
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
        controls={name: _measures(values, f"@{name}") for name in metrics.CONTROLS},
        paired={name: _paired(values, name) for name in metrics.CONTROLS},
        removal=tuple(_removal(values, protocol)),
        corruptions=tuple(_corrupted(values, protocol)),
        diagnostics=tuple(protocol.diagnosis(judge.total).verdicts(values, judge.model)),
        certificates=_certificates(values, protocol, judge.domain),
        samples=samples,
    )


def _measures(values: Mapping[str, Tensor], of: str = "") -> dict[str, metrics.Estimate]:
    """The measures of the explanation, or of a control, by key."""
    return {
        measure.key: (metrics.rate if measure.unit == "rate" else metrics.mean)(values[name])
        for measure in metrics.MEASURES
        if (name := f"{measure.key}{of}") in values
    }


def _paired(values: Mapping[str, Tensor], control: str) -> dict[str, metrics.Paired]:
    """The explanation against a control on the same images, by the measures where it should win."""
    return {
        measure.key: metrics.paired(values[measure.key], values[other], measure.higher_is_better)
        for measure in metrics.MEASURES
        if control in measure.beats
        and measure.higher_is_better is not None
        and (other := f"{measure.key}@{control}") in values
    }


def _warnings(values: Mapping[str, Tensor]) -> Iterator[str]:
    degenerate = float(values["degenerate_maps"].float().mean())
    if degenerate > 0.1:
        yield f"{degenerate:.0%} of the explanations are empty or constant."


def _removal(values: Mapping[str, Tensor], protocol: Protocol) -> Iterator[RemovalCurve]:
    shares = protocol.scorecard.curve_shares
    for fill in protocol.fills:
        for kind in ("deletion", "insertion"):
            for of in ("explanation", *metrics.CONTROLS):
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


def _certificates(
    values: Mapping[str, Tensor], protocol: Protocol, domain: str
) -> tuple[Certificate, ...]:
    p = protocol
    return certify_values(
        values["kept_pgd"],
        values["stability_cosine"],
        perturbation=attack_in_words(p.attack),
        delta=p.delta,
        tau=p.tau,
        similarity_name=f"cosine of {type(p.explainer).__name__}",
        distribution=f'the domain "{domain}"',
        right=True,
    )
