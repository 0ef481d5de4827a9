"""Chance that is the same everywhere: a pure function of what it is for."""

import hashlib


def jitter(seed: str) -> float:
    """A fraction in [0, 1) that is a pure function of `seed`."""
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big") / 2**32
