"""Philox 4x32-10: random numbers indexed by counter instead of drawn in order.

Element ``i`` of a stream depends on ``(seed, offset, i)`` alone, so it can be computed anywhere,
in any order and by any number of threads, which is what fused kernels and devices need.

A stream is laid out so: block ``i // 4`` of counter ``(block low, block high, offset low, offset
high)`` under the key ``(seed low, seed high)`` gives elements ``4 * (i // 4)`` to ``+ 3``. Streams
of different offsets under one seed never overlap.

Source: J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as
1, 2, 3", SC 2011.
"""

from __future__ import annotations

import numpy as np

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
# Blocks computed at a time, so that temporaries stay in the cache.
_CHUNK = 8192


def philox4x32(counter: np.ndarray, key: tuple[int, int], rounds: int = 10) -> np.ndarray:
    """Philox 4x32 of counters ``(..., 4)``, uint32, under one key of two 32-bit integers.

    Returns a uint32 array of the same shape. ValueError if the last dimension is not 4.
    """
    counter = np.asarray(counter)
    if counter.ndim == 0 or counter.shape[-1] != 4:
        raise ValueError(f"philox4x32: expected counters of shape (..., 4), got {counter.shape}")
    # 32-bit words kept in 64 bits, where a product of two is exact.
    c0, c1, c2, c3 = (counter[..., j].astype(np.uint64) for j in range(4))
    k0, k1 = key
    for _ in range(rounds):
        first = c0 * _MULTIPLIERS[0]
        second = c2 * _MULTIPLIERS[1]
        c0 = (second >> _HALF) ^ c1 ^ np.uint64(k0)
        c1 = second & _LOW
        c2 = (first >> _HALF) ^ c3 ^ np.uint64(k1)
        c3 = first & _LOW
        k0 = (k0 + _KEY_STEPS[0]) & 0xFFFFFFFF
        k1 = (k1 + _KEY_STEPS[1]) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=-1).astype(np.uint32)


def philox(seed: int, offset: int, n: int, start: int = 0) -> np.ndarray:
    """Elements ``start`` to ``start + n - 1`` of a stream, as uint32.

    ``seed`` and ``offset`` are taken modulo 2**64. ValueError if ``n`` or ``start`` is negative
    or the stream, of 2**66 elements, ends before.
    """
    if n < 0 or start < 0 or start + n > 2**66:
        raise ValueError(f"philox: no elements {start} to {start} + {n} in a stream")
    seed, offset = seed % 2**64, offset % 2**64
    key = (seed & 0xFFFFFFFF, seed >> 32)
    first, end = start // 4, -(-(start + n) // 4)
    result = np.empty((max(end - first, 0), 4), np.uint32)
    for begin in range(first, end, _CHUNK):
        count = min(_CHUNK, end - begin)
        block = np.arange(count, dtype=np.uint64)
        block += np.uint64(begin)
        counter = np.empty((count, 4), np.uint64)
        counter[:, 0] = block & _LOW
        counter[:, 1] = block >> _HALF
        counter[:, 2] = offset & 0xFFFFFFFF
        counter[:, 3] = offset >> 32
        result[begin - first : begin - first + count] = philox4x32(counter, key)
    skip = start - 4 * first
    return result.reshape(-1)[skip : skip + n]


def philox_uniform(seed: int, offset: int, n: int, start: int = 0) -> np.ndarray:
    """Elements of :func:`philox` as float32 multiples of 2**-24 in [0, 1): their high 24 bits."""
    words = philox(seed, offset, n, start)
    words >>= np.uint32(8)
    result = words.astype(np.float32)
    result *= np.float32(2**-24)
    return result
