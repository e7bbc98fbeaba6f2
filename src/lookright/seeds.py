"""Seeds from names."""

import hashlib


def derived_seed(seed: int, *names: object) -> int:
    """A seed of its own for each named purpose, so that one more purpose moves no other."""
    text = " ".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
