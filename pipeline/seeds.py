"""Independent random streams from the one seed in ``params.yaml``."""

import hashlib

import torch


def generator(seed: int, *labels: str | int) -> torch.Generator:
    """A CPU generator that is a function of the seed and of what it is for, as the labels say."""
    digest = hashlib.sha256(repr((seed, *labels)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
