"""What `import lookright as lr` offers: a few names, loaded when first used."""

import subprocess
import sys

import pytest
import torch

import lookright as lr
from lookright.errors import UserError


def test_every_name_is_there_and_is_the_one_of_its_room():
    for name in lr.__all__:
        assert getattr(lr, name)
    assert lr.EGAT.__module__ == "lookright.methods.egat"
    assert set(lr.__all__) <= set(dir(lr))
    with pytest.raises(AttributeError, match="no attribute 'EGTA'"):
        _ = lr.EGTA


def test_nothing_is_loaded_before_it_is_used():
    told = "print('torch' in sys.modules)"
    code = f"import sys, lookright as lr; {told}; lr.Ball; {told}"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stdout.split() == ["False", "True"], ended.stderr


def test_kinds_are_listed_by_their_word():
    assert {"EGAT", "ALIGN", "TRADES"} <= set(lr.list("method"))
    assert {"fog", "snow", "jpeg_compression"} <= set(lr.list("corruption"))
    assert lr.list("norm") == ["L2", "LInf"]
    with pytest.raises(UserError, match=r"no kind 'methd'.*Did you mean 'method'"):
        lr.list("methd")


def test_a_method_is_a_loss_for_any_loop():
    images, labels = torch.rand(6, 3, 32, 32), torch.arange(6) % 3
    model = lr.build_model("small_resnet", ("a", "b", "c"), 32)
    method = lr.EGAT(model, attack=lr.PGD(eps=8 / 255, steps=1), explainer=lr.GradCAM())
    losses = method(lr.Batch(images, labels))
    assert {"adversarial", "clean", "explanation"} == set(losses)
    sum(losses.values()).backward()
    assert any(parameter.grad is not None for parameter in model.parameters())
