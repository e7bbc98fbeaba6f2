"""What a user may write: any case, dashes, fractions, switches, files, in any order."""

import functools
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from lookright.attacks import APGD, FGSM, PGD, AutoAttack, KLDivergence, Square, WorstCase
from lookright.cli import run, verbs
from lookright.console import mistake_behind
from lookright.errors import UserError
from lookright.evaluation import Answers, Corruptions
from lookright.explainers import GradCAM
from lookright.guides import HumanMask, LearnedMask, Part
from lookright.methods import ALIGN, AT, EGAT, TRADES
from lookright.model_options import ModelOptions
from lookright.options import Options, command_line
from lookright.spec import spec_of


def values(line: str) -> dict[str, Any]:
    """The arguments of a verb as a command line gives them; | instead of a space inside a word."""
    verb, *words = line.split()
    options = Options(getattr(import_module(f"lookright.verbs.{verb}"), verb))
    given = [word.replace("|", " ") for word in words]
    return options.values(options.tree(list(options.pairs(given))))


def test_a_kept_command_says_what_was_given_and_no_place():
    given = {"like": Path("elsewhere/a b.yaml"), "data": None, "seeds": 0}
    assert command_line("lookright study", **given) == "lookright study --like 'a b.yaml' --seeds 0"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("train --skip-unreadable", {"skip_unreadable": True}),
        ("train --skip_unreadable false", {"skip_unreadable": False}),
        ("train --resume --epochs 3", {"resume": True, "epochs": 3}),
        ("train --overwrite=true --run=a-b", {"overwrite": True, "run": Path("a-b")}),
        ("train --test-domain=a-b", {"test_domain": ["a-b"]}),
        ("train --test-domain a,b", {"test_domain": ["a", "b"]}),
        ("train --method egat", {"method": EGAT}),
        ("train --method=trades", {"method": TRADES}),
        ("train --validation_attack null", {"validation_attack": None}),
        ("train --lr 1/4", {"lr": 0.25}),
        ("train --run 2024/11", {"run": Path("2024/11")}),
        ("train --data 1/2", {"data": "1/2"}),
        ("evaluate a b", {"models": ["a", "b"], "options": ModelOptions()}),
        (
            "evaluate a --weights w --mean [0.5,0.5,0.5] --which last",
            {"models": ["a"], "options": ModelOptions(Path("w"), mean=(0.5,) * 3, which="last")},
        ),
        ("report --page x a b", {"page": Path("x"), "results": [Path("a"), Path("b")]}),
        ("report a|b", {"results": [Path("a b")]}),
        (
            "evaluate --overwrite a --page x b",
            {"overwrite": True, "models": ["a", "b"], "page": Path("x"), "options": ModelOptions()},
        ),
        (
            "explain r x.png --label cat y.png --attack fgsm --attack.eps 1/2",
            {
                "model": "r",
                "images": [Path("x.png"), Path("y.png")],
                "label": "cat",
                "attack": FGSM(0.5),
                "options": ModelOptions(),
            },
        ),
        (
            "explain r x.png --attack.eps 4/255",
            {
                "model": "r",
                "images": [Path("x.png")],
                "attack": PGD(4 / 255),
                "options": ModelOptions(),
            },
        ),
    ],
)
def test_a_line_gives_the_arguments_of_its_verb(line, expected):
    assert values(line) == expected


@pytest.mark.parametrize(
    ("line", "method", "options"),
    [
        (
            "--method.guide.sparsity 1/2 --method.guide learnedmask --method egat",
            EGAT,
            {"guide": LearnedMask(sparsity=0.5)},
        ),
        ("--method.guide.share 1 --method.guide part", EGAT, {"guide": Part(1.0)}),
        (
            "--method.guide.warm_up 0.5 --method align",
            ALIGN,
            {"guide": LearnedMask(warm_up=0.5)},
        ),
        (
            "--method align --method.guide.masker convmasker --method.guide.masker.width 16",
            ALIGN,
            None,
        ),
        ("--method.attack pgd --method at --method.attack.steps 1", AT, {"attack": PGD(steps=1)}),
        ("--method.stability 0.5", EGAT, {"stability": 0.5}),
        ("--method at --method.attack.steps 1", AT, {"attack": PGD(steps=1)}),
        (
            "--method trades --method.attack.steps 1",
            TRADES,
            {"attack": PGD(steps=1, objective=KLDivergence())},
        ),
        (
            "--method.explainer.layer act --method.attack.eps 0.1",
            EGAT,
            {
                "explainer": GradCAM("act", relu=False, places=4, centred=True),
                "attack": PGD(0.1),
            },
        ),
    ],
)
def test_a_method_with_options_is_made_with_them(line, method, options):
    made = values(f"train {line}")["method"]
    assert isinstance(made, functools.partial)
    assert made.func is method
    if options is None:
        assert made.keywords["guide"].masker.width == 16
    else:
        assert spec_of(made.keywords) == spec_of(options)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "Give a command: lookright benchmark, claim, data, demo"),
        ("trian", "no command 'trian'.*Did you mean 'train'"),
        ("train --method egta", "no method 'egta': expected one of ALIGN, .*AT, .*EGAT, .*'EGAT'"),
        ("explain r x --attack pdg", "no attack 'pdg'.*Did you mean 'PGD'"),
        ("evaluate r --protocol.explainer gradcm", "no explainer 'gradcm'.*Did you mean 'GradCAM'"),
        ("train --method egat --method.stabilty 1", "EGAT has no option 'stabilty'.*'stability'"),
        ("train --method erm --method.attack pgd", "ERM has no option 'attack'; its options: none"),
        ("train --method at --method.attack pgd --method.attack.stps 1", "PGD has no .*'steps'"),
        ("train --method --epochs 3", "--method needs a name after it; --method.help lists"),
        ("train --method.stabilty 1", "EGAT has no option 'stabilty'.*'stability'"),
        ("train --method.guide humanmsk", "no guide 'humanmsk' for EGAT: .*Name.*'HumanMask'"),
        (
            "train --method.guide part --method.guide.shar 1",
            "Part has no .*'shar'; its options: share.*'sh",
        ),
        ("train --method.guide.share 1", "Choose one before --method.guide.share: "),
        (
            "evaluate r --protocol.stages.attacks.steps many",
            "Expected a whole number for protocol.stages.attacks.steps, got 'many'",
        ),
        (
            "evaluate r --protocol.explainer captum",
            "Still needed: make of Captum, for protocol.explainer",
        ),
        ("train --method align --method.guide humanmask", "for ALIGN: expected one of LearnedMask"),
        ("train --method align --method.guide.sparsty 1", "LearnedMask has no .*'sparsity'"),
        ("train --method align --method.guide.masker convmask", "no masker 'conv.*'ConvMasker'"),
        ("train --method align --method.guide.masker nowhere.M", "no module 'nowhere'.*import"),
        (
            "train --method align --method.guide.masker models_for_tests.Tiney",
            "no masker 'Tiney' in the module 'models_for_tests'. Did you mean 'Tiny'",
        ),
        (
            "train --method align --method.guide.masker models_for_tests.SIZE",
            "no masker 'SIZE' in the module",
        ),
        (
            "train --method align --method.guide.masker models_for_tests.Tiny "
            "--method.guide.masker.clases 2",
            "Tiny has no option 'clases'; its options: classes. Did you mean 'classes'",
        ),
        ("train --method.guide models_for_tests.Tiny", "no guide 'Tiny' .*under lookright.guides"),
        ("train --method 7.5", "no module '7'"),
        ("train a", "Not understood: a; write lists without spaces"),
        ("train --epochz 3", "no option --epochz. Did you mean '--epochs'"),
        ("train --epochs", "--epochs needs a value after it"),
        ("train --metod.help EGAT", "no option --metod. Did you mean '--method'"),
        ("train --method.stabilty.help", "no option --method.stabilty by default: see --method.h"),
        ("train --method.stability.help", "stability takes a value and has no options of its own"),
        ("explain r", "Still needed: images"),
    ],
)
def test_mistakes_are_one_clear_line(line, message):
    with pytest.raises(UserError, match=message) as caught:
        run(line.split())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--attack.attacks [fgsm,|pgd] --attack worstcase", WorstCase((FGSM(), PGD()))),
        (
            "--attack worstcase --attack.attacks [{class_path:|apgd,|init_args:|{loss:|dlr}}]",
            WorstCase((APGD(loss="dlr"),)),
        ),
        (
            "--attack worstcase --attack.attacks.square.queries 5 --attack.attacks.autoattack {}",
            WorstCase((Square(queries=5), AutoAttack())),
        ),
    ],
)
def test_a_list_of_attacks(line, expected):
    assert values(f"explain r x.png {line}")["attack"] == expected


def test_a_file_says_what_options_say_and_options_change_it(tmp_path):
    file = tmp_path / "a.yaml"
    guide = {"class_path": "LearnedMask", "init_args": {"sparsity": "1/2", "warm_up": 0.1}}
    method = {"class_path": "egat", "init_args": {"guide": guide}}
    file.write_text(yaml.dump({"epochs": 3, "lr": "1/4", "method": method}))
    found = values(f"train --config {file} --epochs 4 --method.guide.warm_up 0.2")
    assert (found["epochs"], found["lr"]) == (4, 0.25)
    assert found["method"].keywords["guide"].sparsity == 0.5
    assert found["method"].keywords["guide"].warm_up == 0.2
    found = values(f"train --config {file} --method.guide humanmask")
    assert found["method"].keywords["guide"] == HumanMask()
    for content, message in (("[1]", "Expected lines such as"), ("a: [", "cannot be read")):
        file.write_text(content)
        with pytest.raises(UserError, match=message):
            values(f"train --config {file}")


@pytest.mark.parametrize("listed", [[], ["Corruptions"], ["corruptions", "Answers"]])
def test_an_option_changes_a_member_of_a_list_in_a_file(tmp_path, listed):
    file, line = tmp_path / "a.yaml", "evaluate r --protocol.stages.corruptions.severities 2"
    file.write_text(yaml.dump({"protocol": {"stages": listed}}))
    stages = values(f"{line} --config {file}")["protocol"].stages
    assert [each for each in stages if isinstance(each, Corruptions)] == [
        Corruptions(severities=(2,))
    ]
    written = [spec_of(each) for each in (Corruptions(("fog",)), Answers())]
    file.write_text(yaml.dump({"protocol": {"stages": written}}))
    stages = values(f"{line} --config {file}")["protocol"].stages
    assert stages == (Corruptions(("fog",), (2,)), Answers())
    file.write_text(yaml.dump({"protocol": {"stages": ["Corruptions", "Corruptions"]}}))
    with pytest.raises(UserError, match="lists Corruptions twice"):
        values(f"{line} --config {file}")


@pytest.mark.parametrize("options", ["", " --method.stability 2", " --method egat"])
def test_a_member_of_a_file_may_have_no_options(tmp_path, options):
    (tmp_path / "a.yaml").write_text("method:\n  class_path: EGAT\n  init_args:\n")
    made = values(f"train --config {tmp_path / 'a.yaml'}{options}")["method"]
    assert getattr(made, "func", made) is EGAT


NO_MEMBERS = {
    ("train", "method: {}", "--method.stability 2"): (
        "{class_path: EGAT, init_args: 5}",
        "{class_path: EGAT, init_args: x}",
        "{class_path: , init_args: }",
        "[[EGAT]]",
    ),
    ("evaluate r", "protocol: {{stages: [{}]}}", "--protocol.stages.attacks.steps 7"): (
        "{Attacks: {steps: 5}}",
        "{class_path: Attacks, init_args: 5}",
        "{class_path: 5}",
        "[Attacks]",
        "null",
        "5",
    ),
}


@pytest.mark.parametrize(
    ("line", "text", "option"),
    [
        (line, form.format(each), option)
        for (line, form, option), given in NO_MEMBERS.items()
        for each in given
    ],
)
def test_what_is_no_member_in_a_file_is_one_clear_line(tmp_path, line, text, option):
    (tmp_path / "a.yaml").write_text(text)
    for more in ("", option):
        with pytest.raises(UserError, match=r"{class_path: NAME, init_args: {.*}}"):
            values(f"{line} --config {tmp_path / 'a.yaml'} {more}")


def test_every_verb_says_in_one_sentence_what_it_does():
    assert all(about and about[0].islower() for about in verbs().values())


def raised(*chain: BaseException) -> Any:
    """The last of a chain of exceptions, each raised while the one before was handled."""
    try:
        try:
            raise chain[0]
        except BaseException as first:
            if len(chain) == 1:
                raise
            raise chain[1] from (first if isinstance(first, UserError) else None)
    except BaseException as error:
        return error


def test_mistakes_are_found_however_deep_and_bugs_are_left_alone():
    mistake, bug = UserError("Expected this."), ValueError("a bug")
    missing = FileNotFoundError(2, "No such file", "x.png")
    assert mistake_behind(mistake) == "Expected this."
    assert mistake_behind(raised(mistake, TypeError("wrapped"))) == "Expected this."
    assert mistake_behind(missing) == (
        "The system says 'No such file' for x.png: correct that, or choose another path."
    )
    full = raised(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB."))
    assert mistake_behind(full).startswith("The memory is full (CUDA out of memory. Tried to alloc")
    assert mistake_behind(MemoryError()).startswith("The memory is full (MemoryError): choose a sm")
    assert mistake_behind(bug) is None
    assert mistake_behind(raised(missing, bug)) is None


@pytest.mark.parametrize("value", ["3", "[1]", "{a: 1}", ""])
def test_a_function_is_asked_for_where_something_else_is_given(tmp_path, value):
    (tmp_path / "a.yaml").write_text(
        f"explainer: {{class_path: GradCAM, init_args: {{grid: {value or repr('')}}}}}"
    )
    line = "explain r x.png --explainer GradCAM"
    for given in (
        f"{line} --explainer.grid={value.replace(' ', '|')}",
        f"explain r x.png --config {tmp_path}/a.yaml",
    ):
        with pytest.raises(UserError, match=r"grid|function"):
            values(given)


def test_an_empty_value_is_empty_text():
    assert values("explain r x.png --label=")["label"] == ""


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("train --test_domain a --test_domain b", "test_domain"),
        ("train --train-domain a --train_domain b", "train_domain"),
        ("evaluate r --domains a --domains b", "domains"),
        ("evaluate r --protocol.stages Attacks --protocol.stages Claims", "protocol.stages"),
    ],
)
def test_a_list_that_is_given_twice_loses_nothing(line, name):
    with pytest.raises(UserError, match=f"--{name} is given twice: write all of it as one list"):
        values(line)


def test_the_last_of_two_values_counts():
    assert values("train --epochs 3 --epochs 5")["epochs"] == 5


@pytest.mark.parametrize(
    ("said", "trusted"),
    [("", True), ("=true", True), (" true", True), ("=yes", True),
     ("=false", False), ("=False", False), ("=no", False), (" false", False)],
)  # fmt: skip
def test_code_is_trusted_only_where_that_is_said(tmp_path, monkeypatch, said, trusted):
    (tmp_path / "codes.py").write_text(
        "from lookright.methods import ERM\n\nclass Mine(ERM): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "codes", raising=False)
    (tmp_path / "c.yaml").write_text("method: codes.Mine\n")
    line = f"train --config {tmp_path / 'c.yaml'} --trust_config{said}"
    if trusted:
        assert values(line)["method"].__name__ == "Mine"
    else:
        with pytest.raises(UserError, match="which is code"):
            values(line)
        assert "codes" not in sys.modules


def test_a_file_may_say_that_it_is_not_to_be_trusted(tmp_path):
    (tmp_path / "c.yaml").write_text("epochs: 3\ntrust_config: false\n")
    assert values(f"train --config {tmp_path / 'c.yaml'}")["epochs"] == 3
    (tmp_path / "c.yaml").write_text("trust_config: true\n")
    with pytest.raises(UserError, match="cannot trust itself"):
        values(f"train --config {tmp_path / 'c.yaml'}")


@pytest.mark.parametrize("name", ["none", "None"])
def test_a_domain_or_class_may_be_called_none(name):
    assert values(f"train --test_domain {name}")["test_domain"] == [name]
    assert values(f"explain r x.png --label {name}")["label"] == name
    assert values("train --test_domain null")["test_domain"] is None
    assert values(f"train --patience {name}")["patience"] is None
