"""The options of a verb that opens a model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from lookright.errors import UserError
from lookright.models import ClassOrder, Preprocessing, read_classes
from lookright.spec import ClassPath
from lookright.training.run import Which

OutputsName = Literal["logits", "probabilities", "sigmoids", "one_logit", "one_probability"]
_IN_A_RUN = ("weights", "pretrained", "mean", "std", "classes", "outputs")


@dataclass(frozen=True)
class ModelOptions:
    """How a model is opened: its weights, image size, normalisation and classes.

    Args:
        weights: file of weights of a named model (.safetensors or a state dict).
        pretrained: use the library's own weights for a named model, from its hub.
        image_size: side length in pixels that the model expects, if the model does not say so
            itself.
        mean: for a program that does not normalise its images: it gets (x - mean) / std, as
            [r,g,b].
        std: see mean.
        classes: file with the names of the model's classes in their order, one per line.
        class_order: of a model whose classes have no names, and which was trained on the data's:
            alphabetical (1, 10, 2, as torchvision's ImageFolder and lookright) or numerical (1, 2,
            10).
        class_map: file that says which of the model's classes count as which of the data's, with
            lines such as 'dog: [151-268]'. Classes of the data that it does not name are left out.
            Without it the model must have all of the data's classes, by the same names.
        others: with a class map, count the model's remaining classes as one more class, always
            wrong.
        which: the best or the last epoch of a run.
        architecture: package.module:function that makes the network of a run or of a .safetensors
            file, if it is one of your own.
        masker: package.module.Name of a run's masker, if it is one of your own.
        outputs: what the network gives, if it is not found out rightly: logits, probabilities (that
            sum to 1), sigmoids (one for each class), one_logit or one_probability.
        preprocessing: how image files become square; by default as the library of a named model
            does it for its weights; false for the central square; or its own options.
    """

    FLAT: ClassVar[bool] = True

    weights: Path | None = None
    pretrained: bool = False
    image_size: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    classes: Path | None = None
    class_order: ClassOrder | None = None
    class_map: Path | None = None
    others: bool = False
    which: Which = "best"
    architecture: ClassPath | None = None
    masker: ClassPath | None = None
    outputs: OutputsName | None = None
    preprocessing: Preprocessing | bool = True

    @property
    def named(self) -> dict[str, Any]:
        """Those of the options that `models.open_model` takes."""
        return {
            "weights": self.weights,
            "pretrained": self.pretrained,
            "image_size": self.image_size,
            "mean": self.mean,
            "std": self.std,
            "classes": read_classes(self.classes) if self.classes else None,
            "architecture": self.architecture,
            "outputs": self.outputs,
            "preprocessing": self.preprocessing,
        }

    def check_of_run(self, folder: Path) -> None:
        """Refuse what a run has already."""
        self._refuse(f"The run in {folder} has weights, normalisation and classes", *_IN_A_RUN)

    def check_without_run(self, model: str) -> None:
        """Refuse what only a run has."""
        self._refuse(f"Only a run has epochs and a masker, and {model} is none", "masker", "which")

    def check_without_data(self) -> None:
        """Refuse what joins a model's classes to those of the data."""
        why = "There are no data here whose classes could be others than the model's"
        self._refuse(why, "class_map", "others", "class_order")

    def _refuse(self, why: str, *names: str) -> None:
        usual = ModelOptions()
        given = [f"--{name}" for name in names if getattr(self, name) != getattr(usual, name)]
        if given:
            raise UserError(f"{why}: leave out {', '.join(given)}.")
