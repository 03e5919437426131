"""Products with Jacobians and Hessians, against PyTorch's."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import facula
from facula.autograd import functional

TESTS = Path(__file__).parents[1]
CASES = json.loads((TESTS / "data" / "autograd_functional.json").read_text())
X = facula.tensor([0.5, -1.0, 2.0])
KNOWN = {
    "A": functional,
    "x": X,
    "y": facula.tensor([1.0, 0.3, -0.7]),
    "v": facula.tensor([1.0, 2.0, 3.0]),
    "w": facula.tensor([-1.0, 0.5, 0.25]),
    "one": lambda t: t.exp() * t.flip(0),
    "two": lambda s, t: s.sin() * t**2,
    "pair": lambda s, t: (s * t, s.tanh()),
    "number": lambda t: (t**3).sum() * t[0],
    "both": lambda s, t: (s.sin() * t**2).sum(),
    "constant": lambda t: facula.ones(2),
}


def flat(value):
    if isinstance(value, (tuple, list)):
        return [x for v in value for x in flat(v)]
    return np.ravel(value.tolist() if isinstance(value, facula.Tensor) else value).tolist()


@pytest.mark.parametrize(("text", "expected"), CASES, ids=lambda c: str(c)[:40])
def test_results_are_those_of_pytorch(text, expected):
    if isinstance(expected, str):
        with pytest.raises(Exception) as caught:
            eval(text, dict(KNOWN))
        assert type(caught.value).__name__ == expected
        return
    found = eval(text, dict(KNOWN))
    assert len(found) == len(expected)
    np.testing.assert_allclose(flat(found), flat(expected), rtol=2e-5, atol=1e-6)


def test_the_inputs_are_left_alone_and_graphs_are_made_when_asked_for():
    x = facula.tensor([1.0, 2.0], requires_grad=True)
    value, product = functional.vjp(lambda t: t**2, x, facula.ones(2))
    assert not value.requires_grad and not product.requires_grad and x.grad is None
    _, product = functional.vjp(lambda t: t**2, x, facula.ones(2), create_graph=True)
    product.sum().backward()
    assert x.grad.tolist() == [2, 2]


def test_columns_are_the_same_as_rows_for_several_inputs():
    x, y = KNOWN["x"], KNOWN["y"]
    found = functional.jacobian(KNOWN["pair"], (x, y), vectorize=True, strategy="forward-mode")
    expected = functional.jacobian(KNOWN["pair"], (x, y))
    np.testing.assert_allclose(flat(found), flat(expected), rtol=1e-6)
    found = functional.hessian(
        KNOWN["both"], (x, y), vectorize=True, outer_jacobian_strategy="forward-mode"
    )
    np.testing.assert_allclose(
        flat(found), flat(functional.hessian(KNOWN["both"], (x, y))), rtol=1e-6
    )
