"""What a user may write: any case, dashes, fractions, switches, paths anywhere."""

import json
from typing import Any

import pytest

from lookright.arguments import mistake_behind, spelled
from lookright.cli import VERBS
from lookright.errors import UserError


@pytest.mark.parametrize(
    ("given", "parsed"),
    [
        ("train --skip-unreadable", "train --skip_unreadable=true"),
        ("train --skip_unreadable false", "train --skip_unreadable=false"),
        ("train --resume --epochs 3", "train --resume=true --epochs=3"),
        ("train --overwrite=true --run a-b", "train --overwrite=true --run=a-b"),
        ("train --test-domain=a-b", "train --test_domain=a-b"),
        ("train --method egat", "train --method=EGAT"),
        ("train --method=trades", "train --method=TRADES"),
        ("train --method.help aT", "train --method.help=AT"),
        (
            "train --method.guide.sparsity 1/2 --method.guide learnedmask --method egat",
            "train --method=EGAT --method.guide=LearnedMask --method.guide.sparsity=0.5",
        ),
        ("train --method.guide.share 1 --method.guide part",
            "train --method.guide=Part --method.guide.share=1"),
        (
            "train --method.guide.warm_up 0.5 --method align",
            "train --method=ALIGN --method.guide=LearnedMask --method.guide.warm_up=0.5",
        ),
        (
            "train --method align --method.guide.masker convmasker --method.guide.masker.width 8",
            "train --method=ALIGN --method.guide=LearnedMask --method.guide.masker=ConvMasker "
            "--method.guide.masker.width=8",
        ),
        (
            "train --method align --method.guide.masker models_for_tests.Tiny",
            "train --method=ALIGN --method.guide=LearnedMask "
            "--method.guide.masker=models_for_tests.Tiny",
        ),
        ("train --validation_attack null", "train --validation_attack=null"),
        ("train --lr 1/4", "train --lr=0.25"),
        ("train --run 2024/11", "train --run=2024/11"),
        ("train --data 1/2", "train --data=1/2"),
        ("evaluate a --protocol.eps 1/2", 'evaluate ["a"] --protocol.eps=0.5'),
        ("evaluate --protocol.curve_eps [1/4,1/2]", "evaluate --protocol.curve_eps=[0.25,0.5]"),
        ("evaluate a --protocol.eps 1/0", 'evaluate ["a"] --protocol.eps=1/0'),
        ("evaluate a b", 'evaluate ["a", "b"]'),
        ("report --page x a b", 'report ["a", "b"] --page=x'),
        ("evaluate --overwrite a --page x b", 'evaluate ["a", "b"] --overwrite=true --page=x'),
        ("explain r x.png --label cat y.png", 'explain r ["x.png", "y.png"] --label=cat'),
        ("explain r", "explain r"),
        ("train --print_config", "train --print_config"),
        ("train -h", "train --help"),
        ("--help", "--help"),
    ],
)  # fmt: skip
def test_spelling(given, parsed):
    assert " ".join(spelled(given.split(), VERBS)) == parsed


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "Say what to do: lookright demo, train"),
        ("trian", "no command 'trian'.*Did you mean 'train'"),
        ("train --method egta", "no method 'egta': expected one of ALIGN, .*AT, .*EGAT, .*'EGAT'"),
        ("explain r x --attack pdg", "no attack 'pdg'.*Did you mean 'PGD'"),
        ("evaluate r --protocol.explainer gradcm", "no explainer 'gradcm'.*Did you mean 'GradCAM'"),
        ("evaluate r --protocol.norm l3", "no norm 'l3': expected one of L2, LInf"),
        ("train --method egat --method.stabilty 1", "EGAT has no option 'stabilty'.*'stability'"),
        ("train --method erm --method.attack pgd", "ERM has no option 'attack', but none at all"),
        ("train --method at --method.attack pgd --method.attack.stps 1", "PGD has no .*'steps'"),
        ("train --method egat --method.guide", "--method.guide needs a name after it"),
        ("train --method --epochs 3", "--method needs a name after it; --method.help shows"),
        ("train --method.stabilty 1", "EGAT has no option 'stabilty'.*'stability'"),
        ("train --method.guide humanmsk", "no guide 'humanmsk' for EGAT: .*Name.*'HumanMask'"),
        ("train --method.guide part --method.guide.shar 1", "Part has no .*'shar', but share.*'sh"),
        ("train --method.guide.share 1", "Say which before --method.guide.share: "),
        ("train --method align --method.guide humanmask", "for ALIGN: expected one of LearnedMask"),
        ("train --method align --method.guide.sparsty 1", "LearnedMask has no .*'sparsity'"),
        ("train --method align --method.guide.masker convmask", "no masker 'conv.*'ConvMasker'"),
        ("train --method align --method.guide.masker.width 8", "Say which before .*masker NAME"),
        ("train --method align --method.guide.masker nowhere.M", "no module 'nowhere'.*import"),
        (
            "train --method align --method.guide.masker models_for_tests.Tiney",
            "no masker 'Tiney' in the module 'models_for_tests': .*Module. Did you mean 'Tiny'",
        ),
        (
            "train --method align --method.guide.masker models_for_tests.SIZE",
            "no masker 'SIZE' in the module",
        ),
        (
            "train --method align --method.guide.masker models_for_tests.Tiny "
            "--method.guide.masker.clases 2",
            "Tiny has no option 'clases', but classes. Did you mean 'classes'",
        ),
        ("train --method.guide models_for_tests.Tiny", "no guide 'Tiny' .*under lookright.guides"),
        ("explain r x --attack.eps 0.1", "Say which before --attack.eps: --attack NAME"),
    ],
)  # fmt: skip
def test_mistakes_in_spelling(given, message):
    with pytest.raises(UserError, match=message):
        spelled(given.split(), VERBS)


def listed(line):
    (written,) = [each for each in spelled(line.split("|"), VERBS) if ".attacks=" in each]
    return json.loads(written.partition("=")[2])


def part(name, **options):
    return {"class_path": name, "init_args": options}


@pytest.mark.parametrize(
    ("given", "parsed"),
    [
        ("--protocol.attacks|autoattack", [part("AutoAttack")]),
        ("--protocol.attacks=[Square, apgd]", [part("Square"), part("APGD")]),
        (
            "--protocol.attacks|[{class_path: apgd, init_args: {loss: dlr, eps: 8/255}}]",
            [part("APGD", loss="dlr", eps=8 / 255)],
        ),
        (
            "--protocol.attacks|[apgd, carliniwagner]|--protocol.norm|l2|--protocol.eps|1/2",
            [part("APGD", eps=0.5, norm="L2"), part("CarliniWagner", eps=0.5)],
        ),
        (
            "--protocol.eps|1/2|--protocol.attacks|[{class_path: fgsm, init_args: {eps: 0.1}}]",
            [part("FGSM", eps=0.1)],
        ),
        (
            "--protocol.attacks|[{class_path: PGD, init_args: {norm: l2, objective: kl}}]",
            [part("PGD", norm=part("L2"), objective=part("KL"))],
        ),
        (
            "--protocol.eps|1/4|--protocol.attacks|"
            "[{class_path: worstcase, init_args: {attacks: [fgsm, pgd]}}]",
            [part("WorstCase", attacks=[part("FGSM", eps=0.25), part("PGD", eps=0.25)])],
        ),
        ("--protocol.attacks|[]", []),
    ],
)
def test_a_list_of_attacks(given, parsed):
    assert listed(f"evaluate|r|{given}") == parsed


def test_the_attacks_of_a_worst_case():
    assert listed("explain|r|x.png|--attack.attacks|[fgsm, pgd]|--attack|worstcase") == [
        part("FGSM"),
        part("PGD"),
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("[apdg]", "no attack 'apdg': expected one of APGD, .*Did you mean 'APGD'"),
        ("[{class_path: apgd, init_args: {los: ce}}]", "APGD has no option 'los'.*'loss'"),
        ("[{class_path: pgd, init_args: {norm: l3}}]", "no norm 'l3': expected one of L2, LInf"),
        ("[{apgd: {loss: ce}}]", "Expected names for --protocol.attacks, .*got '{'apgd': {'loss'"),
        ("[{class_path: apgd, loss: ce}]", r"as in '\[AutoAttack, {class_path: APGD, init_args: "),
        ("[{class_path: apgd, init_args: [ce]}]", "Expected names for --protocol.attacks"),
        ("[{apgd", "Expected names for --protocol.attacks, .* got '\\[{apgd'"),
        ("[7]", "Expected names for --protocol.attacks"),
        ("[models_for_tests.Tiny]", "no attack 'Tiny' .*under lookright.attacks"),
    ],
)
def test_mistakes_in_a_list_of_attacks(given, message):
    with pytest.raises(UserError, match=message):
        listed(f"evaluate|r|--protocol.attacks|{given}")


def test_a_config_may_name_what_options_change():
    spelled(["explain", "--config", "a.yaml", "--attack.eps", "0.1"], VERBS)
    line = ["train", "--config", "a.yaml", "--method.guide.warm_up", "0.1"]
    assert spelled(line, VERBS) == ["train", "--config=a.yaml", "--method.guide.warm_up=0.1"]


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
        "The system says 'No such file' for x.png: mend that, or name another place."
    )
    full = raised(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB."))
    assert mistake_behind(full).startswith("The memory is full (CUDA out of memory. Tried to alloc")
    assert mistake_behind(MemoryError()).startswith("The memory is full (MemoryError): choose a sm")
    assert mistake_behind(bug) is None
    assert mistake_behind(raised(missing, bug)) is None


def test_a_path_may_hold_a_space():
    assert spelled(["report", "a b"], VERBS) == ["report", '["a b"]']
