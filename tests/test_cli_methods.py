"""Every method trains on Shortcut from the command line, by its name alone, and is judged."""

from pathlib import Path

import pytest

from lookright import cli, methods
from lookright.data import Shortcut
from lookright.methods import AWP, GradientPenalty, Method
from lookright.methods.wrapper import Wrapper
from lookright.models import SmallResNet
from lookright.training import Run
from tiny import newest

NAMES = sorted(
    name
    for name in methods.__all__
    if issubclass(getattr(methods, name), Method)
    and not issubclass(getattr(methods, name), Wrapper)
    and getattr(methods, name) is not Method
)


@pytest.fixture(scope="module", autouse=True)
def _narrow():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SmallResNet.__init__, "__defaults__", (4,))
        keys = Shortcut.keys
        patch.setattr(Shortcut, "keys", lambda self, domain: keys(self, domain)[:60])
        yield


def trained(line: str, tmp_path: Path) -> Run:
    where = tmp_path / "run"
    cli.main([*line.split(), "--run", str(where), "--epochs", "2", "--batch_size", "20"])
    return Run(where)


@pytest.mark.filterwarnings("ignore:(DRE|RRR) has terms that a map which says nothing")
@pytest.mark.filterwarnings("ignore:.* of the explanations of validation images are empty")
@pytest.mark.parametrize("name", NAMES)
def test_each_method_by_its_name(name: str, tmp_path: Path) -> None:
    domains = "train,random" if getattr(methods, name).needs_domains else "train"
    line = f"train --method {name.lower()} --data Shortcut --train_domain {domains}"
    run = trained(line, tmp_path)
    assert run.finished
    assert type(run.method()).__name__ == name
    assert run.settings.domains == tuple(domains.split(","))
    first, last = run.history
    terms = [term for term in first if term.startswith("train/")]
    terms = [term for term in terms if term not in ("train/loss", "train/degenerate_maps")]
    assert 0 < sum(last[term] for term in terms) < 1.2 * first["train/loss"]
    assert run.best.is_file()


@pytest.mark.parametrize("name", ["at", "egat"])
def test_awp_is_an_option_of_any_adversarial_method(name: str, tmp_path: Path) -> None:
    run = trained(f"train --method {name} --awp 0.005", tmp_path)
    assert run.finished
    assert type(run.method()) is AWP


@pytest.mark.parametrize("name", ["erm", "at --awp 0.005"])
def test_a_gradient_penalty_is_an_option_of_any_method(name: str, tmp_path: Path) -> None:
    run = trained(f"train --method {name} --gradient_penalty 0.02", tmp_path)
    method = run.method()
    assert type(method) is GradientPenalty
    assert (method.weight, type(method.method) is AWP) == (0.02, "awp" in name)
    assert run.history[-1]["train/gradient"] > 0


def test_egat_by_aligns_masker_is_judged_with_its_mask(tmp_path: Path) -> None:
    run = trained("train --method egat --method.guide LearnedMask", tmp_path)
    quick = (
        "--protocol.stages.attacks.steps 1 --protocol.stages.attacks.restarts 1 "
        "--protocol.stages.attacks.curve [] --domains train"
    )
    cli.main(["evaluate", str(run.folder), *quick.split()])
    measures = newest(run.folder).domains["train"].measures
    assert {"mask_mass", "mask_iou", "mask_coverage"} <= measures.keys()
    assert {"sufficiency_blur", "sufficiency_mean"} <= measures.keys()


def test_two_domains_are_asked_for_in_one_line(tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit):
        trained("train --method irm --train_domain train", tmp_path)
    error = capsys.readouterr().err
    assert "IRM" in error
    assert "--train_domain" in error
