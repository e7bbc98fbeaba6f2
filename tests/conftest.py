"""Shared fixtures: every test starts from the same seed and leaves no grad mode behind."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
    yield
    assert torch.is_grad_enabled()
