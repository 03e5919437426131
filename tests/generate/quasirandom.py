"""Writes facula/sobol.bin and tests/data/quasirandom.json, from PyTorch's Sobol engine.

python tests/generate/quasirandom.py    # with PyTorch

The file of bits has, for each dimension after the first, the inner coefficients of its polynomial
and its first direction numbers without their last bit, which is one. The coefficients are solved
for in the recurrence that the direction numbers follow.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch.quasirandom import SobolEngine

ROOT = Path(__file__).resolve().parents[2]
COUNTS = (1, 1, 2, 2, 6, 6, 18, 16, 48, 60, 176, 144, 630, 756, 1800, 2048, 7710, 7776)
BITS = 30
CASES = [
    (3, False, None, ["draw 5", "draw 1", "fast_forward 6", "draw 2", "reset", "draw_base2 2"]),
    (7, False, None, ["fast_forward 1000", "draw 3", "fast_forward 1", "draw 2"]),
    (40, False, None, ["draw 1", "draw 3"]),
    (5, True, 3, ["draw 1", "draw 4", "fast_forward 9", "draw 2", "reset", "draw 2"]),
    (130, True, 11, ["draw 3"]),
    (4, True, None, ["draw 3"]),
]


def solve(v: list[int], s: int) -> list[int]:
    """The coefficients c of v[k] = v[k-s] ^ (v[k-s] >> s) ^ c[1] v[k-1] ^ ... ^ c[s-1] v[k-s+1]."""
    equations = []
    for k in range(s, BITS):
        right = v[k] ^ v[k - s] ^ (v[k - s] >> s)
        for bit in range(BITS):
            row = sum(((v[k - j] >> bit) & 1) << (j - 1) for j in range(1, s))
            equations.append((row, (right >> bit) & 1))
    pivots: dict[int, tuple[int, int]] = {}
    for row, right in equations:
        for column, (other, value) in pivots.items():
            if row >> column & 1:
                row, right = row ^ other, right ^ value
        if row:
            column = row.bit_length() - 1
            for c, (other, value) in pivots.items():
                if other >> column & 1:
                    pivots[c] = other ^ row, value ^ right
            pivots[column] = row, right
            if len(pivots) == s - 1:
                break
    assert sorted(pivots) == list(range(s - 1)), "the recurrence does not say what it follows"
    return [pivots[j][1] for j in range(s - 1)]


def table() -> bytes:
    """The file of bits."""
    states = SobolEngine(SobolEngine.MAXDIM).sobolstate.tolist()
    bits: list[int] = []
    at = 1
    for s, count in enumerate(COUNTS, 1):
        for v in states[at : at + count]:
            bits += solve(v, s)
            for k in range(s):
                number = v[k] >> (BITS - 1 - k)
                bits += [number >> j & 1 for j in range(k, 0, -1)]
        at += count
    return np.packbits(np.array(bits, np.uint8)).tobytes()


def case(dimension: int, scramble: bool, seed: int | None, steps: list[str]) -> dict:
    """What an engine gives, in 2**-30."""
    torch.manual_seed(5)
    engine = SobolEngine(dimension, scramble, seed)
    drawn = []
    for step in steps:
        name, *n = step.split()
        found = getattr(engine, name)(*map(int, n))
        if name.startswith("draw"):
            drawn.append(found.double().mul(2**BITS).long().tolist())
    return {
        "dimension": dimension, "scramble": scramble, "seed": seed, "steps": steps, "drawn": drawn,
        "repr": repr(engine),
    }  # fmt: skip


def main() -> None:
    """Write both files."""
    (ROOT / "facula" / "sobol.bin").write_bytes(table())
    whole = SobolEngine(SobolEngine.MAXDIM).sobolstate
    sums = [[d, int(whole[d].sum())] for d in (0, 1, 2, 3, 9, 40, 500, 1110, 9000, 21000, 21200)]
    total = int((whole * torch.arange(1, BITS + 1)).sum())
    result = {"sums": sums, "total": total, "cases": [case(*c) for c in CASES]}
    (ROOT / "tests" / "data" / "quasirandom.json").write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
