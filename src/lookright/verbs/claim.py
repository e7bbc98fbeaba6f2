"""`lookright claim`: bounds that hold for all images of a domain, from a random draw of n."""

from collections.abc import Mapping
from dataclasses import replace
from functools import reduce
from operator import or_
from pathlib import Path

from lookright.claims import Claim, DifferenceClaim, Evaluated, Plan, Similarity
from lookright.claims import claim as claimed_of
from lookright.console import say
from lookright.data import ImageData, MaskValues, Seen
from lookright.data.layout import Layout, Subfolders
from lookright.errors import UserError
from lookright.evaluation.evaluated import evaluated
from lookright.explainers import Explainer, GradCAM
from lookright.loading import Opened, Subject, is_run, load_subject, tell_unknown
from lookright.model_options import ModelOptions
from lookright.perturbations import Attacked, Perturbation
from lookright.spec import ModelName

_PROVIDED = (
    "This holds for images drawn independently from one distribution and not used in training, if "
    "perturbation, n, delta, tau and similarity were fixed before these were looked at."
)

_EVALUATED = (
    "An evaluation had attacked these images already, and its values were taken: the plan must "
    "have been fixed before its figures were read. An image whose clean prediction was wrong "
    "counts as not kept."
)


def claim(
    model: ModelName,
    perturbation: Perturbation = Attacked(),  # noqa: B008
    data: str | None = None,
    domain: str | None = None,
    against: ModelName | None = None,
    n: int = 200,
    delta: float = 0.05,
    tau: float = 0.8,
    similarity: Similarity = "cosine",
    explainer: Explainer = GradCAM(),
    family: int | None = None,
    lemmas: bool = False,
    masks: Path | None = None,
    mask_values: MaskValues | None = None,
    options: ModelOptions = ModelOptions(),  # noqa: B008
    output: Path | None = None,
    batch_size: int = 64,
    seed: int = 0,
    device: str | None = None,
    skip_unreadable: bool = False,
    layout: Layout | None = None,
    subfolders: Subfolders | None = None,
) -> None:
    """Bound the share of a domain's images that keep prediction and explanation when perturbed.

    From a random draw of n images, the claims give lower bounds on the shares of all images that
    keep their prediction, their explanation, and both, when perturbed. All bounds hold together
    with probability 1 - delta. Choose all options before you look at the images. If the model was
    already evaluated under the same attack on the images drawn, the values of that evaluation are
    taken.

    Args:
        model: folder of a run, or any model that `lookright evaluate` takes.
        perturbation: Attacked, Corrupted, SwappedBackground or OtherDomain;
            --perturbation.help NAME shows the options of each.
        data: Shortcut, or a folder of images; the data of the run by default.
        domain: the images are drawn from it; by default the first training domain. From a training
            domain only the test part is drawn.
        against: a second run or model, tried on the same images; further claims say how many more
            of them the first one keeps.
        n: number of images that are drawn.
        delta: the probability that any of the bounds is wrong.
        tau: an explanation counts as kept if its similarity to the clean one is tau or more.
        similarity: measure of the similarity of two explanations.
        explainer: makes the explanations, of the class predicted for the clean image.
        family: number of bounds that hold together with probability 1 - delta; by default those of
            this command: 3, or 6 with --against. If the claims of several commands should hold
            together, give each command the total.
        lemmas: measure ALIGN's lemmas too, with the perturbation as the shift of domain; the data
            need masks.
        masks: folder of masks; those of the run by default.
        mask_values: which values of masks are the object and which are left out, as
            --mask_values.object [1] --mask_values.ignore [3], where it cannot be seen.
        options: how to open the model; they apply to `against` too, except weights.
        output: folder of claims.json; the run's by default, else a folder in results.
        batch_size: images at once.
        seed: of the draw and of the perturbation's random numbers.
        device: cpu, cuda, cuda:1, mps; the first accelerator by default.
        skip_unreadable: go on without images that cannot be read.
        layout: whether folders (or splits) called train, val and test are domains, or the parts of
            one domain.
        subfolders: take or skip the images in folders within those of the classes.
    """
    opened = Opened()

    def subject(named: str, options: ModelOptions) -> Subject:
        return load_subject(
            named,
            data,
            options,
            masks=masks,
            mask_values=mask_values,
            skip_unreadable=skip_unreadable,
            layout=layout,
            subfolders=subfolders,
            opened=opened,
        )

    subjects = [subject(model, options)]
    if against is not None:
        pretrained = options.pretrained and not is_run(against)
        others = replace(options, weights=None, pretrained=pretrained)
        subjects.append(subject(against, others))
        _check_same_images(*(each.data for each in subjects))
    tell_unknown(subjects)
    images = subjects[0].data
    trained = [each for one in subjects for each in one.train_domains if each in images.domains]
    seen = reduce(or_, (one.seen or Seen() for one in subjects))
    names = [one.name for one in subjects]
    if len(set(names)) < len(names):
        names = [each for each in (model, against) if each is not None]
    if len(set(names)) < len(names):
        raise UserError(f"{model} cannot be compared with itself: name another by --against.")
    plan = Plan(
        domain,
        perturbation,
        n,
        delta,
        tau,
        similarity,
        explainer,
        family,
        seed,
    )
    folder = output or subjects[0].home()
    named = dict(zip(names, subjects, strict=True))
    claimed = claimed_of(
        {name: one.model for name, one in named.items()},
        images,
        plan,
        save=folder,
        device=device,
        train_domains=trained,
        seen=seen,
        evaluated=_evaluated(named, images, plan, plan.domain_of(images, trained)),
        lemmas=lemmas,
        batch_size=batch_size,
    )
    claims: list[Claim | DifferenceClaim] = [*claimed.claims, *claimed.comparisons]
    for claim in claims:
        say(f"- {claim.sentence}")
    say(_PROVIDED)
    if claimed.evaluated:
        say(_EVALUATED)
    for name, inequalities in claimed.lemmas.items():
        say(f"ALIGN's lemmas, {name}:")
        for inequality in inequalities:
            say(f"- {inequality.sentence}")
    say(f"Written: {folder / 'claims.json'}")


def _evaluated(
    named: Mapping[str, Subject], data: ImageData, plan: Plan, domain: str
) -> dict[str, Evaluated]:
    """The values of earlier evaluations, for the models that have any."""
    if not isinstance(plan.perturbation, Attacked):
        return {}
    found = {
        name: evaluated(one.home(), one.model, data, domain, plan) for name, one in named.items()
    }
    return {name: values for name, values in found.items() if values is not None}


def _check_same_images(first: ImageData, second: ImageData) -> None:
    if first.domains != second.domains or any(
        first.keys(each) != second.keys(each) for each in first.domains
    ):
        raise UserError(
            f"Two models are compared on the same images, but one has those of {first.name} and "
            f"the other those of {second.name}: name the images by --data."
        )
    if first.image_size != second.image_size or first.preprocessing != second.preprocessing:
        raise UserError(
            f"Two models are compared on the same images, but one sees them at {first.image_size} "
            f"pixels and the other at {second.image_size}, or they are made square in two ways: "
            "give --image_size, and --preprocessing false."
        )
