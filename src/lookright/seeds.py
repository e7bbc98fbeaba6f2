"""Seeds from names, and chance that is the caller's."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derived_seed(seed: int, *names: object) -> int:
    """A seed of its own for each named purpose, so that one more purpose moves no other."""
    text = " ".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


@contextmanager
def caller_randomness(device: torch.device) -> Iterator[None]:
    """The caller's random numbers go on as if nothing had been."""
    with torch.random.fork_rng([] if device.type == "cpu" else [device], device_type=device.type):
        yield
