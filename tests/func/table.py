"""The operations of operations.txt as functions of named operands."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

import facula
from facula.utils._pytree import tree_flatten

LINES = (Path(__file__).parent / "operations.txt").read_text().splitlines()
OPERATIONS = [line for line in LINES if not line.startswith("#")]
GROUPS = [OPERATIONS[k : k + 12] for k in range(0, len(OPERATIONS), 12)]
SIZE = 3


def operands():
    """The batches that the table speaks of."""
    rng = np.random.default_rng(5)
    normal = {
        "x": (3, 4), "y": (3, 4), "v": (4,), "u": (4,), "z": (), "p": (2, 3, 6, 6),
        "s": (2, 3, 9), "w": (4, 3, 3, 3), "f": (4, 3, 3), "g": (3, 2, 3, 3),
    }  # fmt: skip
    out = {name: rng.standard_normal((SIZE, *shape)) for name, shape in normal.items()}
    out["a"] = rng.uniform(0.05, 0.95, (SIZE, 3, 4))
    square = rng.standard_normal((SIZE, 4, 4))
    out["m"] = square @ square.swapaxes(1, 2) + 2 * np.eye(4)
    out["n"], out["k"] = rng.integers(1, 9, (2, SIZE, 3, 4))
    for name, shape in (("i", (2,)), ("j", (3, 4)), ("t", (2,))):
        out[name] = rng.integers(0, 3, (SIZE, *shape))
    out["i"] = np.array([[0, 1], [2, 0], [1, 2]])  # no place is written twice
    out["b"] = rng.random((SIZE, 3, 4)) < 0.5
    for name in ("c", "d"):
        out[name] = rng.standard_normal((SIZE, 3, 4)) + 1j * rng.standard_normal((SIZE, 3, 4))
    return {name: facula.tensor(a) for name, a in out.items()}


BATCHES = operands()


def names_in(expression):
    """The operands of an expression, in the order in which they appear."""
    found = re.findall(r"(?<![\w.\"])[a-z](?![\w\"])", expression)
    return list(dict.fromkeys([n for n in found if n in BATCHES]))


def function(expression, names, fixed=None):
    """The expression as a function of these operands, giving a tuple of tensors."""
    code = compile(expression, expression, "eval")

    def f(*values):
        known = {"torch": facula, **(fixed or {}), **dict(zip(names, values, strict=True))}
        return tuple(tree_flatten(eval(code, known))[0])

    return f
