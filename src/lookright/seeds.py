"""Seeds derived from names, and random numbers that leave torch's global state unchanged."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import torch


def derived_seed(seed: int, *names: object) -> int:
    """A separate seed for each named purpose, so that adding a purpose does not change others."""
    text = " ".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


@contextmanager
def own_noise(device: torch.device, seed: int | None = None) -> Iterator[None]:
    """Seed torch's global random state, if a seed is given, and restore the state afterwards: that
    of the CPU, and of the device."""
    with torch.random.fork_rng([] if device.type == "cpu" else [device], device_type=device.type):
        if seed is not None and device.type == "cpu":
            torch.default_generator.manual_seed(seed)  # torch.manual_seed also seeds accelerators
        elif seed is not None:
            torch.manual_seed(seed)
        yield


def same_noise(device: torch.device) -> Callable[[], AbstractContextManager[None]]:
    """`with again():` draws from torch's global random state, that of the CPU and of the device,
    what was drawn since this call, and leaves that state unchanged."""
    accelerator = None if device.type == "cpu" else getattr(torch, device.type)
    state = torch.get_rng_state()
    on_device = accelerator and accelerator.get_rng_state(device)

    @contextmanager
    def again() -> Iterator[None]:
        with own_noise(device):
            torch.set_rng_state(state)
            if accelerator is not None:
                accelerator.set_rng_state(on_device, device)
            yield

    return again
