"""Shared fixtures: every test starts from the same seed and leaves no grad mode behind."""

import os

import pytest
import torch
from hypothesis import settings

# The tests run in parallel, so each process and its children compute on one thread.
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)

# A busy machine makes no test fail. All else is as hypothesis has it, in CI without chance.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
    yield
    assert torch.is_grad_enabled()
