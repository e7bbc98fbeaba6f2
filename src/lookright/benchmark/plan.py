"""What a benchmark consists of: data, scheme, methods, training, selection and evaluation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, Literal

from lookright.benchmark.hypotheses import Hypothesis, check_hypotheses
from lookright.benchmark.images import Images
from lookright.benchmark.launch import Launch
from lookright.benchmark.published import Published, published_for
from lookright.benchmark.search import (
    Choice,
    Setting,
    check_free,
    combinations,
    settings,
    with_options,
)
from lookright.benchmark.training import training_options
from lookright.data import Augment, ImageData, Shortcut
from lookright.drawing import count
from lookright.errors import UserError, did_you_mean
from lookright.evaluation import Protocol
from lookright.files import as_path
from lookright.jobs.grid import Entry, Grid
from lookright.methods import Method
from lookright.methods.wrapped import wrapped
from lookright.models import Classifier, expected_images
from lookright.spec import ModelName, Place, spec_of
from lookright.training.presets import Preset, giving_way, preset
from lookright.training.run import Which

Scheme = Literal["single_source", "leave_one_domain_out"]
Selection = Literal["in_distribution", "leave_one_out", "oracle"]

FORMAT = 1

_MOST = 10_000
"""Trainings of a method on the same domains: of more, the list alone takes minutes."""

ROUND = ("awp", "gradient_penalty")
"""What goes round a method, by its size."""

ORACLE = "oracle selection: settings chosen on the test domains"
"""What is said wherever figures stand whose hyper-parameters the test domains have chosen."""


@dataclass(frozen=True)
class Contender:
    """A method of the table.

    Args:
        method: its class, with options.
        about: a sentence about it.
        training: arguments of `fit` for this method alone.
        search: hyper-parameters to try, by names such as method.stability, method.attack.eps and
            training.lr, awp and gradient_penalty; the best trial is chosen as `selection` says.
        awp: size, relative to the weights, of an adversarial weight perturbation (`AWP`), for a
            method that has an attack; 0 for none.
        gradient_penalty: weight of the squared gradient at the pixels (`GradientPenalty`); 0 for
            none.

    Raises:
        UserError: a negative awp or gradient_penalty.
    """

    method: Callable[[Classifier], Method]
    about: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)
    search: Mapping[str, Choice] = field(default_factory=dict)
    awp: float = 0.0
    gradient_penalty: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.awp < inf:
            raise UserError(f"awp is a size relative to the weights, 0 or more; got {self.awp}.")
        if not 0 <= self.gradient_penalty < inf:
            raise UserError(
                f"gradient_penalty is a weight, 0 or more; got {self.gradient_penalty}."
            )


@dataclass(frozen=True)
class Benchmark:
    """A table: methods trained and evaluated on domains.

    Args:
        methods: by their names in the table.
        title: of the table.
        data: where the images are.
        domains: those of the data that take part; all by default.
        scheme: single_source trains on one domain and evaluates on every domain, its own held-out
            part being in distribution; leave_one_domain_out trains on all domains but one.
        only: of single_source, the domains to train on; of leave_one_domain_out, those to leave
            out; all by default.
        preset: name of a published way to train (`training.presets`); what the file says itself
            goes before it.
        model, weights, pretrained: as in `lookright train`; by default the preset's, or a
            small_resnet.
        training: arguments of `fit`.
        seeds: a number of seeds 0, 1, ..., or a list of seeds.
        trials: draws of the hyper-parameters that are given as ranges.
        selection: the images by which the best trial is chosen: validation images of the training
            domains (in_distribution); each training domain, left out in turn (leave_one_out); or
            validation images of the domains that were not trained on (oracle).
        which: the epoch that is evaluated; by default the best, and with oracle the last, as in
            DomainBed.
        evaluation: the protocol of the evaluation.
        published: data sets whose published figures stand beside one's own, such as VLCS.
        against: a method whose difference from each other one is shown, tested for these pairs
            alone; none by default.
        hypotheses: what was expected before any figure was seen, tested by itself.
        launch: where the jobs run.
        format: of the file.
    """

    methods: Mapping[str, Contender]
    title: str = "Benchmark"
    data: Images = Images()  # noqa: RUF009
    domains: tuple[str, ...] = ()
    scheme: Scheme = "single_source"
    only: tuple[str, ...] = ()
    preset: str = ""
    model: ModelName | None = None
    weights: Path | None = None
    pretrained: bool | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    seeds: int | tuple[int, ...] = 1
    trials: int = 1
    selection: Selection = "in_distribution"
    which: Which | None = None
    evaluation: Protocol = Protocol()  # noqa: RUF009
    published: tuple[str, ...] = ()
    against: str = ""
    hypotheses: tuple[Hypothesis, ...] = ()
    launch: Launch = Launch()  # noqa: RUF009
    format: int = FORMAT

    def __post_init__(self) -> None:
        if not self.methods:
            raise UserError("Expected one method or more under methods, got none.")
        if isinstance(self.seeds, int) and self.seeds < 1:
            raise UserError(f"seeds is a number of seeds, 1 or more; got {self.seeds}.")
        listed = () if isinstance(self.seeds, int) else self.seeds
        if len(set(listed)) < len(listed) or self.seeds == ():
            raise UserError(f"Expected different seeds, one or more; got {list(listed)}.")
        for key, domains in {"domains": self.domains, "only": self.only}.items():
            if len(set(domains)) < len(domains):
                raise UserError(f"Expected different domains in {key}; got {', '.join(domains)}.")
        if self.trials < 1:
            raise UserError(f"trials is a number of draws, 1 or more; got {self.trials}.")
        seeds = self.seeds if isinstance(self.seeds, int) else len(self.seeds)
        for name, each in self.methods.items():
            trials = combinations(each.search, self.trials)
            if seeds * trials > _MOST:
                raise UserError(
                    f"Expected at most {_MOST:,} trainings of a method on the same domains; {name} "
                    f"has {count(seeds, 'seed')}, each with {count(trials, 'trial')}: ask for "
                    "fewer."
                )
        check_free({n: bool(each.search and self.label) for n, each in self.methods.items()})
        for name in self.published:
            published_for(name)
        if self.preset:
            preset(self.preset)
        if self.against and self.against not in self.methods:
            raise UserError(
                f"Expected in against one of the methods {', '.join(self.methods)}; got "
                f"'{self.against}'.{did_you_mean(self.against, self.methods)}"
            )
        check_hypotheses(self.hypotheses, self.methods, self.evaluation)

    @property
    def label(self) -> str:
        """What must be said with every figure."""
        searched = any(each.search for each in self.methods.values())
        return ORACLE if searched and self.selection == "oracle" else ""

    @property
    def figures(self) -> tuple[Published, ...]:
        """The published figures.

        Raises:
            UserError: of one of the data sets none are known.
        """
        return tuple(each for name in self.published for each in published_for(name))

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """The seeds one by one."""
        return tuple(range(self.seeds)) if isinstance(self.seeds, int) else self.seeds

    @property
    def recipe(self) -> Preset | None:
        """The preset, without what gives way to the file's own options."""
        given = (*self.training, *(("weights",) if self.weights else ()))
        return preset(self.preset).beneath(given) if self.preset else None

    @property
    def architecture(self) -> str:
        """The name of the model."""
        return self.model or (self.recipe.model if self.recipe else "small_resnet")

    @property
    def from_library(self) -> bool:
        """Whether the model begins with its library's weights."""
        usual = self.recipe is not None and self.recipe.pretrained
        return usual if self.pretrained is None else self.pretrained

    def load(self, progress: bool = False) -> ImageData:
        """The data, prepared as the preset says, or as the model's weights expect.

        Raises:
            UserError: no such folder, no such domain, or no such file of weights.
        """
        if self.weights is not None and not self.weights.is_file():
            raise UserError(
                f"Expected the file of weights at '{self.weights}', which is not there: name it by "
                "--weights, or leave weights out of the file."
            )
        like, size = None, None
        if self.recipe:
            like, size = self.recipe.preprocessing, self.recipe.image_size
        if like is None and (self.weights or self.from_library):
            expected = expected_images(self.architecture, self.weights)
            like = expected.preprocessing if expected else None
        data = self.data.load(like, size, progress)
        for domain in (*self.domains, *self.only):
            data.domain_index(domain)
        return data

    def cells(self, data: ImageData) -> list[tuple[str, ...]]:
        """The training domains of each row of cells.

        Raises:
            UserError: too few domains for the scheme; one in `only` that takes no part.
        """
        domains = self.domains or data.domains
        if outside := [each for each in self.only if each not in domains]:
            raise UserError(
                f"Expected in only some of the domains {', '.join(domains)}; got {outside[0]}."
            )
        chosen = self.only or domains
        if self.scheme == "single_source":
            return [(domain,) for domain in chosen]
        if len(domains) < 2:
            raise UserError(
                f"leave_one_domain_out needs two domains or more; {data.name} has "
                f"{', '.join(domains)}: choose the scheme single_source."
            )
        return [tuple(each for each in domains if each != left) for left in chosen]

    def grid(self, data: ImageData, command: str) -> Grid:
        """What all trainings share; command: the command line, kept in each result."""
        return Grid(
            data,
            self.domains or data.domains,
            {**self._usual(data), **self.training},
            self.evaluation,
            self.architecture,
            self.weights,
            self.from_library,
            self.epoch,
            lambda seed: command,
        )

    @property
    def epoch(self) -> Which:
        """The epoch that is evaluated."""
        return self.which or ("last" if self.selection == "oracle" else "best")

    def _usual(self, data: ImageData) -> Mapping[str, Any]:
        """The options of the preset, or else what `lookright train` does by default."""
        if self.recipe:
            return self.recipe.options
        return {
            "lr": 1e-2 if self.architecture == "small_resnet" else 1e-3,
            "augment": None if isinstance(data, Shortcut) else Augment(),
        }

    @property
    def _said(self) -> Mapping[str, Any]:
        """The options of the preset and the file."""
        return {**(self.recipe.options if self.recipe else {}), **self.training}

    def _own(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """A method's own options, and None for those of the preset and the file that give way to
        them."""
        out = sorted(giving_way(options, self._said) & self._said.keys())
        return {**dict.fromkeys(out), **options}

    def entries(self, name: str) -> list[Entry]:
        """A method's trials, without those that equal an earlier one.

        Raises:
            UserError: a hyper-parameter that neither the method nor `fit` has.
        """
        each = self.methods[name]
        place = Place(f"methods.{name}.search.training", trust="said")
        below = {**self._said, **each.training}
        found: dict[str, Entry] = {}
        for setting in settings(each.search, self.trials):
            options = training_options(_under("training", setting), place, below)
            method = with_options(each.method, _under("method", setting), name)
            round_it = {name: setting.get(name, getattr(each, name)) for name in ROUND}
            if any(round_it.values()):
                method = partial(built, method=method, **round_it)
            entry = Entry(name, each.about, method, self._own({**each.training, **options}))
            found.setdefault(str(spec_of([entry.method, entry.options])), entry)
        return list(found.values())

    def located(
        self,
        base: Path,
        data: Path | None = None,
        weights: Path | None = None,
        seeds: int | None = None,
    ) -> "Benchmark":
        """With its paths, which are relative to `base`, as paths from here; and with another
        folder of the data, other weights or another number of seeds, where they are given."""
        folder = str(data or base / as_path(self.data.folder))
        named = data is not None or not self.data.built_in
        images = replace(self.data, folder=folder) if named else self.data
        if weights is None and self.weights is not None:
            weights = base / as_path(self.weights)
        here = replace(self, data=images, weights=weights)
        return here if seeds is None else replace(here, seeds=seeds)


def built(
    model: Classifier,
    method: Callable[[Classifier], Method],
    awp: float = 0.0,
    gradient_penalty: float = 0.0,
) -> Method:
    """The method with what goes round it."""
    return wrapped(method(model), awp, gradient_penalty)


def _under(what: str, setting: Setting) -> dict[str, Any]:
    """The hyper-parameters of the method, or those of the training, by their own names."""
    parts = {name.partition("."): value for name, value in setting.items()}
    return {rest: value for (first, _, rest), value in parts.items() if first == what}
