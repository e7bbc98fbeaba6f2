"""`lookright explain`: where a model looks, and where it looks under attack."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from lookright.attacks import PGD, Attack
from lookright.attacks.gradient import check_judge
from lookright.console import say
from lookright.data import load_image
from lookright.devices import best_device, borrowed
from lookright.errors import UserError, did_you_mean, some
from lookright.explainers import Explainer, GradCAM
from lookright.explainers.explainer import check_shown
from lookright.jobs.look import look
from lookright.loading import load_model
from lookright.model_options import ModelOptions
from lookright.modes import frozen, full_precision
from lookright.spec import ModelName


def explain(
    model: ModelName,
    images: list[Path],
    explainer: Explainer = GradCAM(),
    attack: Attack = PGD(),
    label: str | None = None,
    options: ModelOptions = ModelOptions(),  # noqa: B008
    output: Path = Path("."),
    device: str | None = None,
    seed: int = 0,
) -> None:
    """Show where a model looks, and where it looks under attack: one PNG for each image.

    Args:
        model: folder of a run, a classifier (.safetensors), a TorchScript (.pt, .ts) or exported
            program (.pt2), a timm name, torchvision/<name>, or package.module:function.
        images: photos.
        explainer: makes the explanation, of the class predicted on the clean image.
        attack: on the label if it is given, else on the predicted class.
        label: the true class of the images, where it is known.
        options: how to open the model.
        output: folder of the PNGs, named <image>-explained.png, or <folder>-<image>-explained.png
            where images of two folders have the same name.
        device: cpu, cuda, cuda:1, mps; the first accelerator by default.
        seed: of the attack's random start and the explainer's noise.
    """
    check_shown(explainer)
    check_judge(attack)
    for folder in filter(Path.is_dir, images):
        raise UserError(f"{folder} is a folder: name its images, such as {folder}/*.jpg.")
    where = best_device(device)
    judged, found = load_model(model, options)
    if label is not None and label not in judged.classes:
        raise UserError(
            f"The model has no class '{label}', but {some(judged.classes)}."
            f"{did_you_mean(label, judged.classes)}"
        )
    truth = None if label is None else judged.classes.index(label)
    with ExitStack() as stack:
        stack.enter_context(borrowed(judged, found, device=where))
        for lent in (judged, found):
            if lent is not None:
                stack.enter_context(frozen(lent))
        stack.enter_context(full_precision(where))
        for path, target in targets(images, output).items():
            image = load_image(path, judged.image_size, judged.preprocessing)
            clean, moved = look(
                target,
                judged,
                image.to(where),
                explainer,
                attack,
                masker=found,
                label=truth,
                seed=seed,
                title=path.name,
            )
            say(f"{path.name}: {clean}, under attack {moved}: {target}")


def targets(images: Sequence[Path], output: Path) -> dict[Path, Path]:
    """The path of each image's picture, all of them different.

    A picture is named after its image; where names clash, also after as many folders above it as
    are needed, and at last with the image's suffix.
    """
    paths = list(dict.fromkeys(images))
    for plain in (True, False):
        parts = [(path.with_suffix("") if plain else path).absolute().parts[1:] for path in paths]
        for depth in range(1, max(map(len, parts)) + 1):
            names = ["-".join(each[-depth:]) for each in parts]
            if len({name.lower() for name in names}) == len(paths):
                found = [output / f"{name}-explained.png" for name in names]
                given = {path.resolve() for path in paths}
                if again := [path for path in found if path.resolve() in given]:
                    raise UserError(
                        f"The picture of an image would replace {again[0]}, which is one of the "
                        "images: leave it out, or name another --output."
                    )
                return dict(zip(paths, found, strict=True))
    raise UserError("The images' names do not differ: explain them one after the other.")
