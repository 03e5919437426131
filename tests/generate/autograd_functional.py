"""Products with Jacobians and Hessians, by PyTorch.

python tests/generate/autograd_functional.py    # writes tests/data/autograd_functional.json
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch.autograd import functional as A

OUT = Path(__file__).resolve().parents[1] / "data" / "autograd_functional.json"

CASES = """
A.vjp(one, x, v)
A.vjp(two, (x, y), v)
A.vjp(pair, (x, y), (v, w))
A.vjp(number, x)
A.jvp(one, x, v)
A.jvp(two, (x, y), (v, w))
A.jvp(pair, (x, y), (v, w))
A.jacobian(one, x)
A.jacobian(two, (x, y))
A.jacobian(pair, (x, y))
A.jacobian(number, x)
A.jacobian(constant, x)
A.hessian(number, x)
A.hessian(both, (x, y))
A.vhp(number, x, v)
A.vhp(both, (x, y), (v, w))
A.hvp(number, x, v)
A.hvp(both, (x, y), (v, w))
A.vjp(one, x)
A.vjp(one, x, w[:1])
A.vjp(one, 3)
A.vjp(lambda t: 3, x, v)
A.jacobian(constant, x, strict=True)
A.hessian(one, x)
A.vhp(one, x, v)
A.jacobian(one, x, strategy="sideways")
A.jacobian(one, x, vectorize=True)
A.jacobian(two, (x, y), vectorize=True)
A.jacobian(pair, (x, y), vectorize=True)
A.jacobian(number, x, vectorize=True)
A.jacobian(constant, x, vectorize=True)
A.jacobian(one, x, vectorize=True, strategy="forward-mode")
A.jacobian(number, x, vectorize=True, strategy="forward-mode")
A.jacobian(constant, x, vectorize=True, strategy="forward-mode")
A.hessian(number, x, vectorize=True)
A.hessian(both, (x, y), vectorize=True)
A.jacobian(one, x, strategy="forward-mode")
A.jacobian(one, x, strategy="forward-mode", create_graph=True)
A.jacobian(one, x, strategy="forward-mode", strict=True)
A.jacobian(one, x, vectorize=True, strict=True)
A.hessian(number, x, outer_jacobian_strategy="forward-mode")
A.hessian(number, x, outer_jacobian_strategy="sideways")
A.hessian(one, x, vectorize=True)
A.jvp(constant, x, v)
A.vjp(constant, x, v[:2])
A.vjp(constant, x, v[:2], strict=True)
A.jvp(constant, x, v, strict=True)
A.hvp(number, x)
A.jacobian(A.jacobian and (lambda t: A.jacobian(one, t, create_graph=True).sum(0)), x)
"""


def names(torch, A):
    """What the cases speak of."""
    x = torch.tensor([0.5, -1.0, 2.0])
    return {
        "A": A,
        "x": x,
        "y": torch.tensor([1.0, 0.3, -0.7]),
        "v": torch.tensor([1.0, 2.0, 3.0]),
        "w": torch.tensor([-1.0, 0.5, 0.25]),
        "one": lambda t: t.exp() * t.flip(0),
        "two": lambda s, t: s.sin() * t**2,
        "pair": lambda s, t: (s * t, s.tanh()),
        "number": lambda t: (t**3).sum() * t[0],
        "both": lambda s, t: (s.sin() * t**2).sum(),
        "constant": lambda t: torch.ones(2),
    }


def plain(value):
    """Nested lists."""
    return [plain(v) for v in value] if isinstance(value, tuple) else value.tolist()


def answer(text, known):
    """The result, or the name of the error's type."""
    try:
        return plain(eval(text, known))
    except Exception as error:
        return type(error).__name__


def main() -> None:
    """Write the file."""
    cases = [[t, answer(t, names(torch, A))] for t in CASES.split("\n") if t]
    OUT.write_text(json.dumps(cases, indent=0) + "\n")


if __name__ == "__main__":
    main()
