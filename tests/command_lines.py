"""Command lines as nobody would write them, for every verb and option, from a seed."""

import random
from collections.abc import Iterator, Sequence
from importlib import import_module
from inspect import isclass
from pathlib import Path
from typing import Any

import yaml

from lookright.cli import verbs
from lookright.help import _flat, members_of
from lookright.options import Options
from lookright.spec import parameters

TEXTS: Sequence[str] = (
    *("", " ", "0", "-1", "1", "2", "1.5", "-0.0", "1e400", "-1e-400", "nan", "inf", "-inf", "NaN"),
    *("1/0", "8/255", "1/3/4", "0x10", "1_000", "9" * 30, "9" * 5000, "-" + "9" * 30, "2147483648"),
    *("null", "None", "true", "false", "yes", "~", "~/x", "~nobody/x", "x" * 5000, "a/" * 900),
    *("[]", "[", "[1,2", "[[1]]", "[null]", "{}", "{a: 1}", "{class_path: ERM}", "{class_path: 3}"),
    *("{class_path: PGD, init_args: 3}", "{class_path: null}", "{import: os}", "{import: os.sep}"),
    *(
        "{float: x}",
        "{tensor: [a], dtype: no}",
        "{? [a] : b}",
        "a: b: c",
        "&a [*a]",
        "- 1",
        "!!x 1",
    ),
    *(
        "a,b",
        ",",
        ",,",
        "a,,b",
        "a;b",
        "train",
        "train,reversed",
        "nowhere",
        "cuda:1",
        "cpu",
        "tpu",
    ),
    *(
        "\\[red]",
        "[/bold]",
        "[red]\\",
        "a\\[/]",
        "\x1b[31mred",
        "\x07",
        "a\nb",
        "a\tb",
        "\u202eabc",
    ),
    *("\ud800", "\udcff", "a\0b", "é", "日本", "😀", "%s", "{0}", "$HOME", "`id`", "--x", "-h"),
    *("os:fork", "os.system", "nowhere:net", ".x", "x.", "..", ".", ":", "a:", ":a", "a.b.c", "/"),
    *("lookright.methods.ERM", "lookright.nothing", "lookright.cli:main", "lookright", "torch.nn"),
    *("erm", "EGAT", "pgd", "WorstCase", "GradCAM", "captum", "HumanMask", "Answers", "corrupted"),
    *("resnet18", "resnet18.no", "torchvision/x", "small_resnet", "Shortcut", "hf-hub:a/b", "x.pt"),
)
VALUES: Sequence[Any] = (
    *(None, True, False, 0, -1, 1, 2**70, 10**400, 1.5, float("nan"), float("inf"), -0.0, 1e308),
    *([], [[]], [None], [1, [2]], ["a", None], {}, {"": 1}, {"a": {"b": {}}}, {1: 2}, {None: None}),
    *({"class_path": "PGD"}, {"class_path": ["a"]}, {"class_path": "PGD", "init_args": None}),
    *({"class_path": "PGD", "init_args": {"eps": None}}, {"class_path": "PGD", "extra": 1}),
    *(
        [{"class_path": 1}],
        [{"a": 1}],
        {"init_args": {}},
        {"import": 3},
        {"float": 3},
        {"tensor": 1},
    ),
    *({"tensor": [1], "dtype": "Tensor"}, {"float": "x"}, {"PGD": None}, {"PGD": 3}, {"PGD": [1]}),
)


def options_of(verb: str, rng: random.Random) -> Iterator[tuple[list[str], str]]:
    """Options of a verb without end, with the words that choose the members they belong to."""
    known = Options(getattr(import_module(f"lookright.verbs.{verb}"), verb)).known
    while True:
        name = rng.choice([*known, *known, "nothing", "config", "trust_config", "print_config", ""])
        kind = known[name].annotation if name in known else None
        before: list[str] = []
        while kind is not None and rng.random() < 0.7:
            kinds = [each for each in _flat(kind) if isclass(each)]
            made = [one for each in kinds for one in members_of(each).values() if isclass(one)]
            inside = [one for one in made or kinds if one.__module__.startswith("lookright.")]
            if not inside:
                break
            chosen = rng.choice(inside)
            if made and rng.random() < 0.9:
                before += [f"--{name}", chosen.__name__]
            inner = parameters(chosen)
            last = rng.choice([*inner, "nothing"])
            name = f"{name}.{last}"
            kind = inner[last].annotation if last in inner else None
        yield before, name.replace("_", rng.choice("__-"))


def command_lines(seed: int, count: int, folder: Path) -> Iterator[list[str]]:
    """Command lines from a seed; their YAML files are written into the folder."""
    rng, known = random.Random(seed), list(verbs())
    for number in range(count):
        verb = rng.choice([*known, *known, *known, "trian"])
        options = options_of(verb, rng) if verb in known else iter([])
        loose = {"train": 0, "demo": 0, "explain": 2}.get(verb, 1)
        words = [verb, *rng.choices(TEXTS, k=loose if rng.random() < 0.9 else 3 - loose)]
        for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
            (before, option), text = next(options, ([], "a")), rng.choice(TEXTS)
            words += before
            form = rng.random()
            words += [f"--{option}={text}"] if form < 0.3 else [f"--{option}", text]
            if form > 0.95:
                words.pop()
        if rng.random() < 0.4 and verb in known:
            file = folder / f"{number}.yaml"
            file.write_bytes(_file(options, rng))
            words += ["--config", str(file)]
        yield words


def _file(options: Iterator[tuple[list[str], str]], rng: random.Random) -> bytes:
    if rng.random() < 0.15:
        return rng.choice((b"\xff\xfe\x00", b"", b"[" * 900, b"a: &a [*a]", b"&a {b: *a}", b"\0"))
    tree: dict[Any, Any] = {}
    for _ in range(rng.choice((1, 1, 2, 3))):
        node: Any = tree
        before, option = next(options)
        *above, last = option.replace("-", "_").split(".")
        for name in above:
            node = node.setdefault(name, {})
            if not isinstance(node, dict):
                break
        if isinstance(node, dict):
            node[last] = rng.choice([*VALUES, *TEXTS])
        if before:
            tree[above[0]] = {"class_path": before[1], "init_args": tree[above[0]]}
    return yaml.safe_dump(tree, allow_unicode=False).encode("utf-8", "surrogatepass")
