"""`lookright claim`, in this process: from runs to sentences, and every bad input."""

import json
import re
from pathlib import Path

import pytest

from lookright import cli
from lookright.attacks import PGD
from lookright.data import Shortcut
from lookright.errors import UserError
from lookright.models import SmallResNet
from lookright.verbs.claim import _check_same_images
from test_cli import write_pets

SMALL = "--epochs 1 --batch_size 32"
FGSM = "--perturbation attacked --perturbation.attack fgsm --perturbation.attack.eps 4/255"
SWAPPED = "--perturbation swappedbackground"
REVERSED = "--perturbation otherdomain --perturbation.name reversed"


@pytest.fixture(scope="module", autouse=True)
def _narrow():
    """Small networks are narrower still, and Shortcut has a few digits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SmallResNet.__init__, "__defaults__", (4,))
        keys = Shortcut.keys
        patch.setattr(Shortcut, "keys", lambda self, domain: keys(self, domain)[:150])
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory, _narrow):
    root = tmp_path_factory.mktemp("made")
    write_pets(root / "pets", 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for seed in (0, 1):
            cli.main(f"train --method erm {SMALL} --run erm-{seed} --seed {seed}".split())
        cli.main(
            f"train --method erm --data pets --test_domain sketch --image_size 32 {SMALL} "
            "--run pets-erm".split()
        )
    return root


@pytest.fixture
def lookright(made, monkeypatch, capsys):
    """Run a command line there; its exit code, and what it printed."""
    monkeypatch.chdir(made)

    def run(line: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = 0
        try:
            cli.main(line.split())
        except SystemExit as stop:
            code = stop.code
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def records(folder):
    return json.loads(Path(folder, "claims.json").read_text())["records"]


def test_from_a_run_to_sentences(lookright, tmp_path):
    code, out, _ = lookright(f"claim erm-0 {FGSM} --n 10 --output {tmp_path}")
    assert code == 0
    sentence = r"With probability at least 95% over the draw of 10 images, at least [\d.]+% of the "
    assert len(re.findall(sentence + "images of Shortcut's domain train keep their", out)) == 3
    assert "under FGSM (4/255, L-inf): " in out
    assert "fixed before these were looked at" in out
    (record,) = records(tmp_path)
    assert record["plan"]["init_args"]["n"] == 10
    assert all(each["sentence"] in out for each in record["claims"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("", "PGD (8/255, L-inf, 20 steps, 2 restarts)"),
        ("--perturbation corrupted --perturbation.name contrast", "contrast at severity 3"),
        (SWAPPED, "a change of background"),
        (REVERSED, "a change of domain to reversed"),
    ],
)
def test_every_perturbation(lookright, tmp_path, options, words):
    options += f" --n 8 --similarity topk --tau 0.5 --delta 0.1 --output {tmp_path}"
    code, out, _ = lookright(f"claim erm-0 {options}")
    assert code == 0
    assert f"explanation (topk of GradCAM at least 0.5) under {words}: " in out
    assert "With probability at least 90%" in out


def test_two_runs_and_the_lemmas(lookright, tmp_path):
    line = f"claim erm-0 --against erm-1 {REVERSED} --n 9 --lemmas --output {tmp_path}"
    code, out, _ = lookright(line)
    assert code == 0
    assert re.search(r"with erm-0 than with erm-1: of the same 9 images \d did with erm-0", out)
    assert "ALIGN's lemmas, erm-0:\n- Lemma 1: " in out
    assert "- Lemma 2, paired: |MSE_t - MSE_s| <= 4 E|f(x_t) - f(x_s)|: " in out
    assert re.search(r"ALIGN's lemmas, both:\n- Lemma 1, two models: erm-\d is less sens", out)
    (record,) = records(tmp_path)
    assert record["lemmas"].keys() == {"erm-0", "erm-1", "both"}
    again = lookright(line)
    assert (again[0], again[1]) == (0, out)
    assert len(records(tmp_path)) == 1


def test_by_default_it_goes_into_the_run(lookright):
    assert lookright(f"claim erm-1 {FGSM} --n 4 --domain random")[0] == 0
    assert records("erm-1")[0]["domain"] == "random"


@pytest.mark.filterwarnings("always::UserWarning")
def test_a_second_look_at_the_same_images_is_noted(lookright, tmp_path):
    line = f"claim erm-0 {FGSM} --n 6 --output {tmp_path}"
    assert "note:" not in lookright(line)[2]
    code, _, err = lookright(f"{line} --tau 0.3")
    assert code == 0
    assert re.search(r"note: .* holds 1 other plans .* by another --seed", " ".join(err.split()))
    assert "note:" not in lookright(f"{line} --tau 0.3 --seed 5 --domain noisy")[2]


def test_what_was_evaluated_is_not_attacked_again(lookright, tmp_path, monkeypatch):
    steps = "--protocol.stages.attacks.steps 3 --protocol.stages.attacks.restarts 1"
    quick = "--protocol.stages.attacks.curve [] --protocol.stages.explanations.removal_steps 1"
    line = f"evaluate pets-erm --domains sketch {steps} {quick}"
    assert lookright(line)[0] == 0
    attack = "--perturbation attacked --perturbation.attack pgd --perturbation.attack.steps"
    claim = f"claim pets-erm --domain sketch --n 6 --output {tmp_path}"
    tried, called = PGD.__call__, []
    monkeypatch.setattr(PGD, "__call__", lambda *given: called.append(1) or tried(*given))
    code, out, _ = lookright(f"{claim} {attack} 3")
    assert (code, called) == (0, [])
    assert "keep their right prediction under PGD (8/255, L-inf, 3 steps)" in out
    assert "An evaluation had attacked these images already" in out
    assert lookright(f"{claim} {attack} 3")[1] == out
    code, out, _ = lookright(f"{claim}/other {attack} 2")
    assert code == 0
    assert called
    assert "An evaluation had" not in out


BAD = [
    ("erm-0 --n 5000", r"has 18 images that can be drawn \(not trained on.*n = 5000: draw fewer"),
    ("erm-0 --n 0", r"n is a number of images, 1 or more; got 0"),
    ("erm-0 --tau 1.5", r"above 0 and at most 1, but got 1.5"),
    ("erm-0 --delta 0", r"between 0 and 1, but got 0"),
    ("erm-0 --delta 1", r"between 0 and 1, but got 1"),
    ("erm-0 --domain revesed", r"Did you mean 'reversed'"),
    ("erm-0 --family 2 --n 4", r"family is the number of bounds that hold together, and 3 are"),
    ("erm-0 --similarity cosin", r"Expected one of 'cosine', 'spearman', 'topk' for similarity"),
    ("erm-0 --perturbation corupted", r"no perturbation 'corupted'.*Did you mean 'Corrupted'"),
    ("erm-0 --perturbation.name fog", r"Attacked has no option 'name'; its options: attack"),
    ("erm-0 --perturbation corrupted --perturbation.name fgo", r"Unknown corruption 'fgo'.*'fog'"),
    (
        "erm-0 --perturbation corrupted --perturbation.severity 9",
        r"Severity 9; expected .* from 1 to 5",
    ),
    ("erm-0 --perturbation otherdomain", r"Still needed: name"),
    ("erm-0 --perturbation otherdomain --perturbation.name train", r"another domain than 'train'"),
    ("erm-0 --perturbation attacked --perturbation.attack pdg", r"Did you mean 'PGD'"),
    ("erm-0 --lemmas --n 4", r"an attack is not: choose --perturbation SwappedBackground"),
    ("erm-0 --against erm-0", r"cannot be compared with itself"),
    ("erm-0 --against pets-erm", r"but one has those of Shortcut and the other those of pets"),
    (f"pets-erm {SWAPPED} --n 2", r"needs masks of the objects, but pets has none in domain"),
    (
        "pets-erm --perturbation otherdomain --perturbation.name sketch --n 2",
        r"'photo' and 'sketch' of pets share none",
    ),
    ("nowhere/run", r"No run in nowhere/run"),
    ("", r"Still needed: model"),
]


def test_images_of_two_sizes_are_not_the_same():
    _check_same_images(Shortcut(), Shortcut())
    with pytest.raises(UserError, match=r"one sees them at 32 pixels and the other at 48"):
        _check_same_images(Shortcut(), Shortcut(image_size=48))


@pytest.mark.parametrize(("line", "message"), BAD, ids=[line for line, _ in BAD])
def test_bad_input_is_one_clear_line(lookright, line, message):
    code, _, err = lookright(f"claim {line}")
    assert code not in (0, None)
    errors = [text for text in err.splitlines() if text.startswith("error: ")]
    assert len(errors) == 1, err
    assert re.search(message, errors[0]), errors[0]
    assert "Traceback" not in err
