"""Store products of float32 matrices: python tests/generate/summation.py

Run with a Python that has torch 2.13, on a processor of AMD (Zen 4): on others its library has
other kernels and sums in another order. Needs nothing of Facula.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch

SHAPES = [  # m, k, n; those of less than 32,768 multiplications are for compiled kernels
    *((64, 1000, 100), (1000, 64, 100), (64, 10, 100), (300, 500, 40), (100, 128, 512)),
    *((64, 100, 10), (100, 64, 10), (64, 400, 10), (33, 500, 7), (50, 77, 9), (50, 77, 11)),
    *((256, 784, 10), (1000, 50, 3), (301, 40, 5), (129, 99, 6), (64, 77, 8)),
    *((5, 7, 6), (9, 8, 7), (3, 100, 10), (2, 64, 10), (64, 64, 5)),
]


def main() -> None:
    """Write the digests of all products, of left operands as they lie and transposed."""
    out = []
    for k, (m, inner, n) in enumerate(SHAPES):
        for turned in (False, True):
            torch.manual_seed(k)
            a = torch.randn(inner, m).t() if turned else torch.randn(m, inner)
            product = a.mm(torch.randn(inner, n))
            digest = hashlib.sha256(product.numpy().tobytes()).hexdigest()
            out.append([m, inner, n, turned, digest])
    target = Path(__file__).resolve().parent.parent / "data" / "summation.json"
    target.write_text("[\n" + ",\n".join([json.dumps(x) for x in out]) + "\n]\n")


if __name__ == "__main__":
    main()
