"""The command line, in this process: the way from images to a page, and every bad input."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from lookright import cli
from lookright.attacks import APGD, FGSM, PGD, Ball
from lookright.data import Augment, Shortcut, load_image
from lookright.evaluation import Attacks
from lookright.evaluation.places import results_in
from lookright.methods import EGAT
from lookright.models import Classifier, SmallResNet, save_classifier
from lookright.spec import build, spec_of
from lookright.training import Run
from lookright.verbs.explain import explain
from tiny import newest

SMALL = "--image_size 32 --epochs 1 --batch_size 16"
QUICK = (
    "--protocol.limit 4 --protocol.stages.attacks.steps 2 --protocol.stages.attacks.restarts 1 "
    "--protocol.stages.attacks.curve [0.1]"
)


@pytest.fixture(scope="module", autouse=True)
def _narrow():
    """Small networks are narrower still, and Shortcut has a few digits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SmallResNet.__init__, "__defaults__", (4,))
        keys = Shortcut.keys
        patch.setattr(Shortcut, "keys", lambda self, domain: keys(self, domain)[:150])
        yield


@pytest.fixture
def lookright(capsys):
    """Run a command line; its exit code, and what it printed."""

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


def write_pets(root: Path, count: int = 14) -> None:
    """<domain>/<class>/*.png with the class in the first channel."""
    random = np.random.default_rng(0)
    for domain in ("photo", "sketch"):
        for label, name in enumerate(("cat", "dog")):
            folder = root / domain / name
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = random.integers(0, 150, (18, 20, 3), dtype=np.uint8)
                pixels[..., 0] += 100 * label
                Image.fromarray(pixels).save(folder / f"{index}.png")


@pytest.fixture(scope="module")
def made(tmp_path_factory, _narrow):
    """A folder with images of pets and two trained runs on them: cats, dogs; photos, sketches."""
    root = tmp_path_factory.mktemp("made")
    write_pets(root / "pets")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        cli.main(f"train --method erm --data pets --test_domain sketch {SMALL} --run erm".split())
        attack = "--method.attack pgd --method.attack.steps 1 --method.attack.eps 4/255"
        options = f"--data pets --test-domain=sketch {SMALL} --run egat"
        cli.main(f"train --method Egat {attack} {options}".split())
        cli.main(f"evaluate erm egat {QUICK} --page both.html".split())
    return root


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    """A fresh copy of `made`, as the working folder."""
    copy = tmp_path / "made"
    shutil.copytree(made, copy)
    monkeypatch.chdir(copy)
    return copy


def test_from_images_to_a_page(here, lookright):
    run = Run("egat")
    assert run.settings.domains == ("photo",)
    assert isinstance(run.method(), EGAT)
    assert run.method().attack == PGD(4 / 255, 1)
    erm, egat = (newest(name) for name in ("erm", "egat"))
    assert (erm.name, egat.name) == ("ERM", "EGAT")
    assert list(erm.domains) == ["photo", "sketch"]
    assert [of.in_distribution for of in erm.domains.values()] == [True, False]
    assert all(0 < of.n <= 4 for of in erm.domains.values())
    assert build(erm.settings).limit == 4
    code, out, err = lookright("report erm egat --page again.html")
    assert (code, err) == (0, "")
    assert "ERM" in out
    assert "sketch" in out
    for page in ("both.html", "again.html"):
        assert "<html" in Path(page).read_text()


def test_an_evaluation_that_is_there_is_not_done_again(here, lookright, monkeypatch):
    monkeypatch.setattr("lookright.evaluation.evaluator.Evaluator.see", None)
    assert lookright(f"evaluate erm {QUICK} --domains sketch")[0] == 0
    assert Path("erm/report.html").exists()


@pytest.mark.filterwarnings("always::UserWarning")
def test_a_run_is_judged_again_with_another_protocol(here, lookright):
    first = newest("erm")
    line = f"evaluate erm {QUICK} --domains sketch --protocol.seed 1"
    assert lookright(line)[0] == 0
    second = newest("erm")
    assert results_in(Path("erm")) == [second.folder, first.folder]
    code, _, err = lookright("report erm --page p.html")
    assert code == 0
    assert f"note: erm holds 2 results, and the newest is shown, {second.folder}; name" in err
    assert str(first.folder) in err
    code, _, err = lookright(f"report {first.folder} --page p.html")
    assert (code, err) == (0, "")
    code, _, err = lookright(f"report {first.folder / 'result.json'} p.html --page again.html")
    assert (code, err) == (0, "note: Passed over, as they are no results: p.html.\n")
    assert lookright("report p.html")[0] == 1
    assert lookright(f"{line} --output elsewhere")[0] == 0
    assert newest("elsewhere/ERM").domains == second.domains
    assert len(results_in(Path("erm"))) == 2


def test_names_and_overwrite(here, lookright):
    line = f"evaluate --overwrite erm egat {QUICK} --domains sketch --names a;b --which last"
    assert lookright(line)[0] == 0
    assert Path("report.html").exists()
    assert [newest(run).name for run in ("erm", "egat")] == ["a", "b"]
    assert lookright(f"evaluate erm egat {QUICK} --names a")[0] == 1


def test_shortcut_from_training_to_explanation(tmp_path, monkeypatch, lookright):
    monkeypatch.chdir(tmp_path)
    line = "train --method at --method.attack fgsm --method.attack.eps 2/255 --epochs 1"
    assert lookright(line)[0] == 0
    run = Run(Path("runs/shortcut-at-0"))
    assert run.settings.domains == ("train",)
    assert run.config["model"]["image_size"] == 32
    code, out, _ = lookright(f"evaluate {run.folder} --domains train,reversed {QUICK}")
    assert code == 0
    assert "reversed" in out
    assert {"localisation_mass", "pointing_game"} <= newest(run.folder).domains[
        "reversed"
    ].measures.keys()


def test_resume_and_overwrite_need_no_value(here, lookright):
    line = f"train --method erm --data pets --test_domain sketch {SMALL} --run erm"
    code, _, err = lookright(line)
    assert code == 1
    assert "--resume" in err
    assert "--overwrite" in err
    before = Run(Path("erm")).best.stat().st_mtime_ns
    code, out, err = lookright(f"{line} --resume")
    assert (code, "begins anew" in err) == (0, False)
    assert "epochs were there, so nothing was trained" in out
    assert Run(Path("erm")).best.stat().st_mtime_ns == before
    assert lookright(f"{line} --overwrite")[0] == 0
    assert Run(Path("erm")).best.stat().st_mtime_ns != before


@pytest.mark.parametrize(
    "options",
    [
        "--method erm",
        "--method egat --method.attack fgsm --method.attack.eps 2/255 --method.guide MeanTeacher",
        "--method at --method.attack pgd --method.attack.steps 1 --awp 0.01 --augment false "
        "--preset photos-finetune --model small_resnet --pretrained false --preprocessing.crop 0.9",
    ],
)
def test_a_resume_needs_only_the_folder(here, lookright, options, monkeypatch):
    monkeypatch.setenv("HOME", str(Path.cwd()))
    assert lookright("train --method rsc --data Shortcut --epochs 1 --run a_run")[0] == 0
    pets = Path("pets").resolve()
    line = f"train {options} --data {pets} --test_domain sketch {SMALL} --seed 3 --run a_run"
    assert lookright(f"{line} --overwrite")[0] == 0
    before = Run(Path("a_run")).config
    assert str(pets) not in Path("a_run/options.yaml").read_text()
    code, out, err = lookright("train --resume --run a_run")
    assert (code, "epochs were there, so nothing was trained" in out) == (0, True), err
    assert Run(Path("a_run")).config == before
    code, _, err = lookright("train --resume=yes --run ~/a_run --lr 0.25")
    assert (code, "settings.lr" in err, "now" in err) == (1, True, True)


def test_a_resume_replaces_nothing_by_options_of_other_names(here, lookright):
    few = "--method erm --data Shortcut --steps 2 --run by_steps"
    assert lookright(f"train {few}")[0] == 0
    code, _, err = lookright("train --resume --run by_steps --epochs 3")
    assert (code, "A run goes on as it began: this one has steps 2" in err) == (1, True)
    assert lookright("train --resume --run by_steps --batch_size 64")[0] == 0
    code, _, err = lookright("train --resume --overwrite --run by_steps")
    assert (code, "either resume=True (--resume)" in err) == (1, True)


@pytest.mark.parametrize("options", ["", " --epochs 1 --method.attack.steps 1", " --patience 1"])
def test_a_resume_of_a_mistyped_folder_trains_nothing(here, lookright, options):
    code, _, err = lookright(f"train --resume --run mistyped{options}")
    assert (code, "No run that `lookright train` began in mistyped" in err) == (1, True)
    assert not Path("mistyped").exists()


@pytest.mark.filterwarnings("always")
def test_a_resume_says_that_it_has_found_nothing(here, lookright):
    line = f"train --method erm --data pets --test_domain sketch {SMALL} --run new --resume"
    code, _, err = lookright(line)
    assert code == 0
    assert "new holds no finished epoch to go on from" in err


def test_a_printed_config_names_every_option_and_takes_another_name(here, lookright):
    code, printed, _ = lookright("train --print_config")
    assert code == 0
    method = yaml.safe_load(printed)["method"]
    assert method["class_path"] == "lookright.methods.EGAT"
    assert (method["init_args"]["clean"], method["init_args"]["guide"]) == (0.25, None)
    assert method["init_args"]["attack"] == spec_of(PGD())
    Path("config.yaml").write_text(printed)
    Path("former.yaml").write_text("method: {import: lookright.methods.EGAT}\n")
    assert lookright("train --config config.yaml --print_config")[1] == printed
    for file in ("config.yaml", "former.yaml"):

        def method_of(options: str, file: str = file) -> dict:
            code, printed, _ = lookright(f"train --config {file} {options} --print_config")
            assert code == 0
            return yaml.safe_load(printed)["method"]

        assert method_of("--method.clean 0.5")["init_args"]["clean"] == 0.5
        assert method_of("--method at") == {
            "class_path": "lookright.methods.AT",
            "init_args": {"attack": spec_of(PGD())},
        }
        for named in ("", "--method.attack PGD"):
            attack = method_of(f"{named} --method.attack.steps 3")["init_args"]["attack"]
            assert attack == spec_of(PGD(steps=3))
        _, _, err = lookright(f"train --config {file} --method.guide.share 0.3")
        assert "Choose one before --method.guide.share: --method.guide NAME" in err


def test_a_printed_config_gives_the_same_run(here, lookright):
    options = (
        f"--method egat --method.attack pgd --method.attack.steps 1 --method.attack.eps 4/255 "
        f"--method.guide humanmask --data pets --test_domain sketch {SMALL} --seed 3"
    )
    code, printed, _ = lookright(f"train {options} --print_config")
    assert code == 0
    assert yaml.safe_load(printed)["method"]["init_args"]["attack"]["init_args"]["steps"] == 1
    options = options.replace(" --method.guide humanmask", "")
    _, printed, _ = lookright(f"train {options} --print_config")
    Path("config.yaml").write_text(printed)
    assert lookright("train --config config.yaml --run by-config")[0] == 0
    assert lookright(f"train {options} --run by-options")[0] == 0
    by_config, by_options = (Run(Path(name)) for name in ("by-config", "by-options"))
    assert by_config.config == by_options.config
    assert lookright("train --config config.yaml --run changed --seed 4")[0] == 0
    assert Run("changed").settings.seed == 4


def test_a_folder_is_no_image_to_explain(here, lookright):
    code, _, err = lookright("explain erm pets/sketch/dog")
    assert code == 1
    assert "pets/sketch/dog is a folder: name its images, such as pets/sketch/dog/*.jpg" in err


def test_explain_writes_pictures(here, lookright):
    one, two = "pets/sketch/dog/0.png", "pets/sketch/dog/1.png"
    options = "--attack fgsm --attack.eps 0 --explainer inputgradient --output seen"
    code, out, _ = lookright(f"explain erm {one} {two} {options}")
    assert code == 0
    for index in (0, 1):
        with Image.open(f"seen/{index}-explained.png") as picture:
            assert picture.format == "PNG"
            assert np.asarray(picture.convert("L")).std() > 5
    said = re.findall(r"\d.png: (\w+), under attack (\w+): seen/\d-explained.png", out)
    assert len(said) == 2
    assert all(clean == attacked for clean, attacked in said)


def test_explain_attacks_the_label_that_is_given(here, lookright, monkeypatch):
    attacked = []

    class Spy(PGD):
        def __call__(self, model, x, y, generator=None):
            attacked.append(model.classes[int(y)])
            return x

    monkeypatch.setattr("lookright.jobs.look.explanation_figure", lambda target, **given: given)
    for label in ("cat", "dog"):
        explain("erm", [Path("pets/sketch/dog/0.png")], attack=Spy(), label=label)
    assert attacked == ["cat", "dog"]
    weights = Run(Path("erm")).last
    explain(str(weights), [Path("pets/sketch/dog/0.png")], attack=Spy())
    with torch.no_grad():
        model = Run(Path("erm")).model("last").eval()
        image = load_image(Path("pets/sketch/dog/0.png"), 32)[None]
        assert attacked[2] == model.classes[int(model(image).argmax(1))]


def test_explain_takes_an_attribution_of_captum_by_its_name(here, lookright):
    line = "explain erm pets/sketch/dog/0.png --attack fgsm --explainer captum --explainer.make"
    assert lookright(f"{line} Saliency")[0] == 0
    assert Path("0-explained.png").exists()
    assert "Did you mean 'Saliency'" in lookright(f"{line} Salency")[2]


def test_only_attacks_for_general_use_are_offered(here, lookright):
    error = lookright("explain erm pets/sketch/dog/0.png --attack wurst")[2]
    assert "FGSM, PGD, " in error
    assert "CarriedPerturbation" not in error
    assert " _" not in error


def test_augmentation_can_be_left_out(here, lookright, monkeypatch):
    given = []
    fit = "lookright.verbs.train.fit"
    monkeypatch.setattr(fit, lambda *_, augment, **__: given.append(augment) or 1 / 0)
    for words in ("", "--augment false", "--augment true", "--augment.shift 0.2"):
        with pytest.raises(ZeroDivisionError):
            lookright(f"{ON_PETS} {words}")
    assert given == [Augment(), None, Augment(), Augment(shift=0.2)]


def spoil_image(name: str, content: bytes | None = None) -> None:
    path = Path(name)
    path.write_bytes(path.read_bytes()[:200] if content is None else content)


def one_class() -> None:
    for domain in ("photo", "sketch"):
        shutil.rmtree(f"pets/{domain}/dog")


def empty_class() -> None:
    for path in Path("pets/photo/dog").iterdir():
        path.unlink()


def mask_of_another_size() -> None:
    for path in Path("pets").rglob("*.png"):
        mask = Path("masks", *path.parts[1:])
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (7, 7), 255).save(mask)


def other_pets() -> None:
    for domain in ("photo", "sketch"):
        Path(f"pets/{domain}/dog").rename(f"pets/{domain}/cow")


def another_model() -> None:
    network = SmallResNet(2, width=8)
    save_classifier(
        Classifier(network, ("cat", "dog"), 32, architecture="small_resnet"), Run(Path("erm")).best
    )


def file_in_the_way() -> None:
    Path("file").write_text("")


def nothing() -> None:
    pass


ON_PETS = f"train --method erm --data pets {SMALL}"

BAD = [
    (nothing, f"train --data pest {SMALL}", r"folder of images at 'pest', .*Did you mean 'pets'"),
    (empty_class, ON_PETS, r"Expected images in class 'dog' of domain 'photo'.*add some or remove"),
    (one_class, ON_PETS, r"Expected two or more classes in 'pets'; it has only 'cat': give"),
    (
        lambda: (spoil_image("pets/photo/cat/3.png"), spoil_image("pets/sketch/dog/5.png", b"no")),
        ON_PETS,
        r"2 of 56 .*'photo/cat/3.png', 'sketch/dog/5.png'.*--skip-unreadable",
    ),
    (mask_of_another_size, f"{ON_PETS} --masks masks", r"mask of 20x18 pixels.*has 7x7: export"),
    (nothing, f"{ON_PETS} --model resnt18", r"No model is called 'resnt18'.*'resnet18'"),
    (nothing, f"{ON_PETS} --model torchvision/resnt18", r"no model 'resnt18'.*'resnet18'"),
    (nothing, f"{ON_PETS} --epochz 1", r"no option --epochz. Did you mean '--epochs'"),
    (nothing, f"train --method egta --data pets {SMALL}", r"no method 'egta'.*Did you mean 'EGAT'"),
    (nothing, f"{ON_PETS} --epochs three", r"Expected a whole number for epochs, got 'three'"),
    (nothing, f"{ON_PETS} --lr fast", r"Expected a number or null for lr, got 'fast'"),
    (nothing, f"{ON_PETS} --precision 8", r"Expected one of '32-true', .* for precision, got '8'"),
    (nothing, f"{ON_PETS} --devices 0", r"devices=0"),
    (nothing, f"{ON_PETS} --resume perhaps", r"Not understood: perhaps"),
    (nothing, f"{ON_PETS} --epochs", r"--epochs needs a value"),
    (nothing, f"{ON_PETS} --epochs 0", r"epochs must be 1 or more, got 0"),
    (nothing, f"{ON_PETS} --lr 0", r"lr must be above 0, got 0"),
    (nothing, f"{ON_PETS} --workers -1", r"workers .* 0 or more; got -1"),
    (nothing, f"{ON_PETS} --image_size 0", r"image size of 1 to 8192 pixels; got 0"),
    (nothing, f"{ON_PETS} --image_size 10000000", r"image size of 1 to 8192 pixels; got 100"),
    (nothing, f"{ON_PETS} --test_domain skech", r"Did you mean 'sketch'"),
    (nothing, f"{ON_PETS} --test_domain photo,sketch", r"got train_domain none and"),
    (nothing, f"{ON_PETS} --train_domain photo --test_domain photo", r"not test domains, got"),
    (nothing, f"{ON_PETS} --train_domain photo,photo", r"different domains .*; got photo, photo"),
    (nothing, f"{ON_PETS} --weights erm/config.json", r"cannot be read as weights"),
    (nothing, f"{ON_PETS} --config none.yaml", r"none.yaml cannot be read .*: name a YAML file"),
    (nothing, "train --strength 2", r"strength from 0 to 1 for Shortcut; got 2"),
    (file_in_the_way, f"{ON_PETS} --run file", r"needs a folder, but file is a file; name another"),
    (file_in_the_way, f"{ON_PETS} --run file/run", r"Expected to write into file/run, .* says"),
    (
        nothing,
        f"train --method at --method.attack pgd --method.attack.eps 8 --data pets {SMALL}",
        r"between 0 and 1 .* got 8\. Did you mean 8/255\?",
    ),
    (nothing, f"{ON_PETS} --method.attack pgd", r"ERM has no option 'attack'"),
    (nothing, "evaluate erm --protocol.ball.eps 8", r"Did you mean 8/255\?"),
    (nothing, "evaluate erm --protocol.ball.eps -0.1", r"between 0 and 1"),
    (nothing, "evaluate erm --protocol.limt 3", r"no option 'limt'.*Did you mean 'limit'"),
    (nothing, "evaluate erm --protocol.stages.attacks.curve x", r"a number for .*curve, got 'x'"),
    (nothing, "evaluate erm --protocol.stages.explanations.fills [blurr]", r"Did you mean 'blur'"),
    (nothing, "evaluate erm --which worst", r"Expected one of 'best', 'last' for which"),
    (nothing, "evaluate erm --domains skech", r"Did you mean 'sketch'"),
    (nothing, "evaluate erm --device tpu", r"device"),
    (nothing, f"evaluate erm {QUICK} --protocol.seed 9 --workers -1", r"workers .* 0 or more"),
    (nothing, "claim erm --n 2 --device cuda:7", r"device"),
    (nothing, "evaluate runs/nowhere", r"No run in runs/nowhere: expected the folder"),
    (nothing, "evaluate nowhere --data pets", r"No model is called 'nowhere'.* run's folder"),
    (nothing, "evaluate resnet10t", r"on which images resnet10t is evaluated: --data"),
    (nothing, "evaluate resnet10t --data pets", r"needs weights for an evaluation: --weights FILE"),
    (nothing, "evaluate erm --pretrained", r"run in erm has weights, .*: leave out --pretrained"),
    (nothing, "evaluate erm --mean [0,0,0] --outputs sigmoids", r"leave out --mean, --outputs"),
    (nothing, "evaluate erm --others", r"--others is for a class map"),
    (nothing, "evaluate resnet10t --data pets --masker a.B", r"run has .*leave out --masker"),
    (nothing, "evaluate", r"Still needed: models"),
    (nothing, "evaluate erm --data Shortcut", r"are cat, dog, those of Shortcut 0, 1.*class_map"),
    (other_pets, "evaluate erm --overwrite --data pets", r"cat, dog, those of pets cat, cow"),
    (another_model, f"evaluate erm {QUICK}", r"best.safetensors is damaged"),
    (nothing, f"evaluate erm egat {QUICK} --names a", r"one name for each of 2 models, got 1"),
    (file_in_the_way, f"evaluate erm {QUICK} --page file/p.html", r"Expected to write into file"),
    (nothing, "report nowhere", r"Expected results in nowhere, .*`lookright evaluate"),
    (nothing, "explain erm pets/sketch/cat/99.png", r"which does not exist. Did you mean '9.png'"),
    (nothing, "explain erm erm/config.json", r"Expected a readable image at 'erm/config.json'"),
    (nothing, "explain erm", r"Still needed: images"),
    (nothing, "explain erm pets/sketch/cat/1.png --label cta", r"Did you mean 'cat'"),
    (nothing, "explain erm/config.json pets/sketch/cat/1.png", r"does not look like a model"),
    (nothing, "explain erm pets/sketch/cat/1.png --attack pdg", r"Did you mean 'PGD'"),
    (
        file_in_the_way,
        "explain erm pets/sketch/cat/1.png --output file",
        r"Expected to write file/1-explained.png, .*choose another folder",
    ),
    (nothing, "demo --seeds 0", r"seeds is a number of seeds, 1 or more; got 0"),
    (nothing, "tran", r"no command 'tran'.*Did you mean 'train'"),
    (nothing, "", r"Give a command: lookright benchmark, claim, data, demo"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "line", "message"), BAD, ids=[line[:60] for _, line, _ in BAD])
def test_bad_input_is_one_clear_line(here, lookright, spoil, line, message):
    spoil()
    code, _, err = lookright(line)
    assert code not in (0, None)
    errors = [text for text in err.splitlines() if text.startswith("error: ")]
    assert len(errors) == 1
    assert err.endswith(errors[0] + "\n")
    assert re.search(message, errors[0])
    assert "Traceback" not in err


@pytest.mark.filterwarnings("always::UserWarning")
def test_unreadable_images_can_be_left_out(here, lookright):
    spoil_image("pets/photo/cat/3.png")
    spoil_image("pets/sketch/dog/5.png", b"no image")
    code, _, err = lookright(f"{ON_PETS} --test_domain sketch --run new --skip-unreadable")
    assert code == 0
    assert "note: Left out 1 of 28 images of 'pets' that cannot be read." in err
    code, _, err = lookright(f"evaluate new {QUICK} --skip_unreadable")
    assert code == 0
    assert "Left out 2 of 56" in err


def test_more_attacks_from_the_command_line_and_from_a_file(here, lookright):
    line = f"evaluate erm {QUICK} --domains photo --overwrite"
    attacks = '[{"class_path":"apgd","init_args":{"steps":1,"loss":"margin"}},fgsm]'
    ball = "--protocol.ball.eps 4/255"
    assert lookright(f"{line} --protocol.stages.attacks.attacks {attacks} {ball}")[0] == 0
    result = newest("erm")
    judged = build(result.settings)
    assert judged.ball == Ball(eps=4 / 255)
    eps = judged.ball.eps
    assert judged.stage(Attacks).attacks == (APGD(eps, 1, loss="margin"), FGSM(eps))
    assert "accuracy_apgd" in result.domains["photo"].measures
    attack = {"class_path": "FGSM", "init_args": {"eps": "26/255"}}
    given = {"ball": {"eps": "26/255"}, "stages": {"attacks": {"attacks": [attack]}}}
    Path("more.yaml").write_text(yaml.dump({"protocol": given}))
    assert lookright("evaluate erm --domains photo --protocol.limit 4 --config more.yaml")[0] == 0
    assert build(newest("erm").settings).stage(Attacks).attacks == (FGSM(26 / 255),)
    given = {"stages": {"attacks": {"attacks": ["FGMS"]}}}
    Path("more.yaml").write_text(yaml.dump({"protocol": given}))
    code, _, err = lookright("evaluate erm --config more.yaml")
    assert code == 1
    assert "There is no attack 'FGMS' for Attacks: expected one of APGD, " in err
    assert "Did you mean 'FGSM'?" in err


@pytest.mark.filterwarnings("always::UserWarning")
def test_images_of_training_are_found_under_another_name_and_others_are_unseen(here, lookright):
    shutil.copytree("pets/photo", "other")
    code, _, err = lookright(f"evaluate erm --data other {QUICK} --overwrite")
    assert code == 0
    assert "note:" not in err
    assert newest("erm").domains["other"].in_distribution
    shutil.rmtree("other")
    shutil.copytree("pets/sketch", "other/photo")
    assert lookright(f"evaluate erm --data other {QUICK} --overwrite")[0] == 0
    assert not newest("erm").domains["photo"].in_distribution
    assert "note:" not in lookright(f"evaluate erm --data pets {QUICK} --overwrite")[2]


@pytest.mark.parametrize(
    ("name", "content"), [("result.json", b"{"), ("result.json", b"{}"), ("examples.npz", b"PK")]
)
def test_what_is_said_of_a_damaged_result_mends_it(here, lookright, name, content):
    Path(newest("erm").folder, name).write_bytes(content)
    code, _, err = lookright(f"evaluate erm {QUICK}")
    assert code == 1
    assert "--overwrite." in err
    assert lookright(f"evaluate erm {QUICK} --overwrite")[0] == 0


HEAVY = ("lightning", "torchvision", "timm", "matplotlib", "sklearn", "scipy.stats", "datasets")


@pytest.mark.parametrize(
    ("line", "libraries"),
    [("--help", ("torch", *HEAVY)), ("tran", ("torch", *HEAVY)), ("evaluate nowhere/run", HEAVY)],
)
def test_help_and_mistakes_wait_for_no_library_that_only_the_work_needs(line, libraries):
    code = f"""
import sys
from lookright import cli
try:
    cli.main({line.split()})
except SystemExit:
    pass
print("loaded", *sorted(set(sys.modules) & set({libraries})))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stdout.splitlines()[-1] == "loaded", ended.stderr


@pytest.mark.filterwarnings("always::UserWarning")
def test_only_the_domains_that_are_judged_are_read(here, lookright):
    spoil_image("pets/sketch/dog/5.png", b"no image")
    code, _, err = lookright(f"evaluate erm --data pets {QUICK} --domains photo")
    assert (code, "5.png" in err) == (0, False)
    assert lookright("claim erm --data pets --n 2")[0] == 0
    shutil.rmtree("erm/results")
    judged, claimed = f"evaluate erm {QUICK} --domains sketch,photo", "claim erm --domain sketch"
    for line, expected in ((judged, 0), (claimed, 1)):
        code, _, err = lookright(f"{line} --data pets")
        assert code == expected
        assert "sketch/dog/5.png" in err
    assert newest("erm").domains["sketch"].left_out.keys() == {"sketch/dog/5.png"}


@pytest.mark.parametrize(
    ("line", "goes_on"),
    [
        (f"evaluate erm {QUICK} --overwrite", "the same command begins anew"),
        (f"{ON_PETS} --run new", r"go on by resume=True \(--resume\)"),
        ("report erm", "the same command continues it"),
    ],
)
def test_ctrl_c_says_how_to_go_on(here, lookright, monkeypatch, line, goes_on):
    def interrupted(*given, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("lookright.evaluation.evaluator.Evaluator.see", interrupted)
    monkeypatch.setattr("lookright.methods.ERM.forward", interrupted)
    monkeypatch.setattr("lookright.verbs.report.write_page", interrupted)
    code, _, err = lookright(line)
    assert code == 130
    assert re.search(f"error: Stopped.*{goes_on}", err)
    assert "Traceback" not in err


def test_a_bug_is_not_passed_off_as_a_mistake(here, monkeypatch):
    def broken(*given, **options):
        raise AttributeError("a bug")

    monkeypatch.setattr("lookright.verbs.report.method_table", broken)
    with pytest.raises(AttributeError, match="a bug"):
        cli.main(["report", "erm"])


def test_every_verb_explains_its_options(lookright):
    for verb in cli.verbs():
        code, out, _ = lookright(f"{verb} --help")
        assert code == 0
        assert "(type: <class 'Path'>, default: unknown" not in out
    _, out, _ = lookright("train --help")
    assert "domains left out of training" in out
    for named in ("Attacks", "attacks"):
        _, out, _ = lookright(f"evaluate --protocol.stages.help {named}")
        assert "--protocol.stages.attacks.steps " in out
    _, out, _ = lookright("train --method.help egat")
    assert "--method.stability" in out


def test_the_result_of_a_run_keeps_how_it_was_made(here):
    raw = json.loads((newest("egat").folder / "result.json").read_text())
    run = json.loads(Path("egat/config.json").read_text())
    assert {key: raw["config"][key] for key in run} == run
    assert raw["train_domain"] == ["photo"]


def test_a_run_finds_its_images_from_another_working_folder(made, tmp_path, monkeypatch, lookright):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made, "moved")
    shutil.rmtree("moved/erm/results")
    assert lookright(f"evaluate moved/erm {QUICK} --domains sketch")[0] == 0
    assert newest("moved/erm").domains
    Path("moved/erm").rename("erm")
    code, _, err = lookright(f"evaluate erm {QUICK} --domains sketch")
    assert code == 1
    assert "--data" in err
    assert lookright(f"evaluate erm {QUICK} --domains sketch --data moved/pets")[0] == 0
