"""Figures are float32, whatever precision the caller has chosen for work of another kind."""

from contextlib import ExitStack

import pytest
import torch
from torch import Tensor, nn

from lookright.attacks import FGSM
from lookright.claims import Plan, claim
from lookright.evaluation import Attacks, Explanations, Protocol, evaluate
from lookright.modes import full_precision
from lookright.perturbations import Attacked, Corrupted
from tiny import Blobs, tiny_classifier

FULL = (False, "highest", False)


def chosen() -> tuple[bool, str, bool]:
    return (
        torch.backends.cudnn.allow_tf32,
        torch.get_float32_matmul_precision(),
        torch.is_autocast_enabled("cpu"),
    )


class Told(nn.Module):
    """A network that notes the precision in which each pass is made."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.seen = network, set[tuple[bool, str, bool]]()

    def forward(self, x: Tensor) -> Tensor:
        self.seen.add(chosen())
        return self.network(x)


@pytest.fixture
def low_precision():
    before = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    with ExitStack() as stack:
        stack.callback(torch.set_float32_matmul_precision, before[1])
        stack.callback(setattr, torch.backends.cudnn, "allow_tf32", before[0])
        torch.backends.cudnn.allow_tf32 = True
        torch.set_float32_matmul_precision("medium")
        stack.enter_context(torch.autocast("cpu", torch.bfloat16))
        yield
        assert chosen() == (True, "medium", True)


@pytest.mark.usefixtures("low_precision")
def test_an_evaluation_is_in_full_precision_and_gives_the_callers_back(tmp_path):
    model = tiny_classifier()
    model.network = told = Told(model.network)
    stages = (Attacks(1, 1, ()), Explanations(removal_steps=2))
    protocol = Protocol(stages=stages, limit=3)
    evaluate(model, Blobs(), tmp_path, domains=["other"], protocol=protocol, progress=False)
    assert told.seen == {FULL}


@pytest.mark.usefixtures("low_precision")
@pytest.mark.parametrize("perturbation", [Attacked(FGSM()), Corrupted()])
def test_so_is_a_claim(tmp_path, perturbation):
    model = tiny_classifier()
    model.network = told = Told(model.network)
    plan = Plan("other", perturbation, n=4)
    claim(model, Blobs(), plan, save=tmp_path, progress=False)
    assert told.seen == {FULL}


@pytest.mark.usefixtures("low_precision")
def test_a_failure_gives_the_callers_precision_back():
    def failing() -> None:
        with full_precision(torch.device("cpu")):
            assert chosen() == FULL
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()


def _parts():
    """The places of torch's present switches, those that include others first."""
    found = torch.backends
    return {
        "all": found,
        "cudnn": found.cudnn,
        "mkldnn": found.mkldnn,
        "cuda.matmul": found.cuda.matmul,
        **{f"cudnn.{name}": getattr(found.cudnn, name) for name in ("conv", "rnn")},
        **{f"mkldnn.{name}": getattr(found.mkldnn, name) for name in ("matmul", "conv", "rnn")},
    }


def _precisions():
    return {name: part.fp32_precision for name, part in _parts().items()}


@pytest.mark.parametrize(
    ("name", "precision"),
    [(None, None), ("all", "tf32"), ("cuda.matmul", "tf32"), ("cudnn.conv", "ieee"),
     ("mkldnn.matmul", "bf16"), ("mkldnn", "bf16"), ("cudnn", "ieee")],
)  # fmt: skip
def test_torchs_present_switches_are_overruled_and_given_back(name, precision):
    before = _precisions()
    try:
        if name:
            _parts()[name].fp32_precision = precision
        given = _precisions()
        with full_precision(torch.device("cpu")):
            inside = _precisions()
        assert {inside[part] for part in inside if "." in part} == {"ieee"}
        assert _precisions() == given
    finally:
        for part, value in before.items():
            _parts()[part].fp32_precision = value
