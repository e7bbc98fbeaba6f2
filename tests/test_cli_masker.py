"""A learned mask on the command line: trained, judged and shown without another word."""

import pytest
from PIL import Image

from lookright import cli
from lookright.data import Shortcut
from lookright.evaluation.result import read_examples
from lookright.models import SmallResNet
from lookright.training import Run
from tiny import newest

QUICK = (
    "--domains reversed --protocol.limit 4 --protocol.stages.attacks.steps 1 "
    "--protocol.stages.attacks.restarts 1 --protocol.stages.attacks.curve [0.1]"
)

OWN = "test_training_masker.Brightness"
TRAINED = {
    "align": "--method align --method.guide learnedmask --method.guide.warm_up 0",
    "egat": "--method egat --method.attack fgsm --method.guide LearnedMask",
    "own": f"--method align --method.guide learnedmask --method.guide.masker {OWN}",
}


@pytest.fixture(scope="module", autouse=True)
def _small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SmallResNet.__init__, "__defaults__", (4,))
        keys = Shortcut.keys
        patch.setattr(Shortcut, "keys", lambda self, domain: keys(self, domain)[:90])
        yield


@pytest.fixture(scope="module")
def runs(tmp_path_factory, _small):
    root = tmp_path_factory.mktemp("runs")
    for name, options in TRAINED.items():
        cli.main(f"train {options} --epochs 1 --run {root / name}".split())
    pixels = Shortcut().samples("train", [0]).images[0].permute(1, 2, 0)
    Image.fromarray((pixels * 255).byte().numpy()).save(root / "digit.png")
    return root


def refused(line: str, capsys) -> str:
    with pytest.raises(SystemExit):
        cli.main(line.split())
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    return error


@pytest.mark.parametrize("name", ["align", "egat"])
def test_the_mask_of_a_run_is_judged_without_being_asked_for(runs, capsys, name):
    cli.main(f"evaluate {runs / name} {QUICK}".split())
    assert "learned mask on" in capsys.readouterr().out
    result = newest(runs / name)
    assert {"mask_mass", "mask_iou", "mask_coverage"} <= result.domains["reversed"].measures.keys()
    assert "masks" in read_examples(result, "reversed").shown["learned_masks"]
    assert "its mask" in (runs / name / "report.html").read_text()


def test_which_is_of_the_masker_too(runs, monkeypatch):
    asked = []
    monkeypatch.setattr(Run, "masker", lambda self, which, own: asked.append(which))
    cli.main(f"evaluate {runs / 'align'} {QUICK} --which last --overwrite".split())
    assert asked == ["last"]


def test_a_masker_of_ones_own_is_given_by_its_name(runs, capsys):
    own = runs / "own"
    explain = f"explain {own} {runs / 'digit.png'} --output {runs / 'own-seen'} --attack fgsm"
    for line in (f"evaluate {own} {QUICK}", explain):
        assert "your own masker module; give the module as masker= (--masker)" in refused(
            line, capsys
        )
        assert "test_training_masker" in refused(f"{line} --masker {OWN[:-4]}", capsys)
        cli.main(f"{line} --masker {OWN}".split())
    assert "mask_mass" in newest(own).domains["reversed"].measures
    assert (runs / "own-seen" / "digit-explained.png").exists()


def test_the_picture_has_one_more_column_where_a_mask_was_learned(runs):
    widths = {}
    for run in ("align", "align/checkpoints/best.safetensors"):
        folder = runs / "seen" / run
        line = f"explain {runs / run} {runs / 'digit.png'} --attack fgsm --output {folder}"
        cli.main(line.split())
        with Image.open(folder / "digit-explained.png") as picture:
            widths[run] = picture.width
    with_mask, without = widths.values()
    assert with_mask == 4 * without / 3
