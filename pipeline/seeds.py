"""Independent random streams from the one seed in ``params.yaml``."""

import hashlib

import torch


def generator(seed: int, *labels: str | int) -> torch.Generator:
    """A CPU generator that depends only on the seed and on the labels, which say what it is for."""
    digest = hashlib.sha256(repr((seed, *labels)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
