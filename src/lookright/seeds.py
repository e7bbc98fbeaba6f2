"""Seeds from names, and noise that disturbs no other."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derived_seed(seed: int, *names: object) -> int:
    """A seed of its own for each named purpose, so that one more purpose moves no other."""
    text = " ".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


@contextmanager
def own_noise(device: torch.device, seed: int | None = None) -> Iterator[None]:
    """Torch's global noise starts from the seed, if one is given, and is afterwards as it was."""
    with torch.random.fork_rng([] if device.type == "cpu" else [device], device_type=device.type):
        if seed is not None:
            torch.manual_seed(seed)
        yield
