"""The inputs of random graphs."""

from __future__ import annotations

import numpy as np

import facula as torch

FLOATS = ("float32", "float64", "float16", "bfloat16")
COMPLEX = ("complex64", "complex128")
LAYOUTS = ("plain", "transposed", "gaps", "shifted", "expanded")
NUDGE = 0  # in which way inputs are changed in their last bits; 0: not


def leaf(shape: list[int], dtype: str, draw: int, layout: str):
    """An input: small numbers drawn from a seed, laid out as asked for."""
    rng = np.random.default_rng(draw)
    full = list(shape)
    if layout == "transposed":
        full.reverse()
    elif layout == "gaps":
        full = [2 * n for n in full]
    elif layout == "shifted" and full:
        full[0] += 3
    elif layout == "expanded" and full:
        full[-1] = 1
    kind = torch.float64 if dtype in FLOATS or dtype in COMPLEX else torch.int64
    if dtype == "bool":
        a = rng.integers(0, 2, full)
    elif kind is torch.int64:
        a = rng.integers(0 if dtype[0] == "u" else -9, 10, full)
    else:
        a = np.round(rng.uniform(-2, 2, full), 3)
        if NUDGE:
            some = np.random.default_rng((draw, NUDGE)).choice([-4, -3, 3, 4], full)
            a = a * (1 + some * np.finfo(np.float32).eps)
    t = torch.tensor(a, dtype=kind)
    if dtype in COMPLEX:
        t = torch.complex(t, torch.tensor(np.round(rng.uniform(-2, 2, full), 3)))
    t = t.to(getattr(torch, dtype))
    torch.synchronize()
    if layout == "transposed":
        t = t.permute(tuple(range(t.dim() - 1, -1, -1)))
    elif layout == "gaps":
        t = t[tuple([slice(1, None, 2)] * t.dim())]
    elif layout == "shifted" and full:
        t = t[3:]
    elif layout == "expanded" and full:
        t = t.expand(shape)
    return t
