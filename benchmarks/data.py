"""What every framework computes with: the same inputs and the same initial values."""

from __future__ import annotations

import zlib

import numpy as np


def generator(name: str) -> np.random.Generator:
    """A generator of random numbers that belongs to a name, the same in every process."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def normal(name: str, *shape: int) -> np.ndarray:
    """Standard normal float32 numbers."""
    return generator(name).standard_normal(shape, dtype=np.float32)


def integers(name: str, high: int, *shape: int) -> np.ndarray:
    """int64 numbers from 0 to high - 1."""
    return generator(name).integers(0, high, shape, dtype=np.int64)


def initial(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Initial values of a parameter by its PyTorch name and shape.

    Biases are zero and the weights of normalisations one, everything else is uniform within
    1 / sqrt(fan-in).
    """
    if len(shape) == 1:
        last = name.rsplit(".", 1)[-1]
        return np.full(shape, 0 if last.startswith("bias") else 1, np.float32)
    bound = 1 / np.sqrt(np.prod(shape[1:]))
    return (generator(name).random(shape, dtype=np.float32) * 2 - 1) * np.float32(bound)
