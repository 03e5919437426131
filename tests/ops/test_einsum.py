"""Sums of products."""

from __future__ import annotations

import numpy as np
import pytest
from ops.numeric import check_gradients

import facula as torch

CASES = [
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij,jk", (2, 3), (3, 4)),
    ("bij,bjk->bk", (2, 3, 4), (2, 4, 5)),
    ("ii->i", (3, 3)),
    ("ii", (3, 3)),
    ("...ij,...jk->...ik", (2, 1, 3, 4), (5, 4, 2)),
    ("i,j->ij", (2,), (3,)),
    ("ij,kj,l->il", (2, 3), (4, 3), (2,)),
    ("ijk->ki", (2, 3, 4)),
    ("i...->...", (2, 3)),
    ("ab,ab->", (2, 3), (2, 3)),
    ("ab , bA -> Aa", (2, 3), (3, 4)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c[0])
def test_against_numpy(rng, case):
    equation, *shapes = case
    arrays = [rng.normal(size=s) for s in shapes]
    got = torch.einsum(equation, *[torch.tensor(a) for a in arrays])
    np.testing.assert_allclose(
        got.numpy(), np.einsum(equation.replace(" ", ""), *arrays), atol=1e-12
    )
    check_gradients(lambda *ts: torch.einsum(equation, *ts), *arrays, second=len(shapes) < 3)


def test_sublists_and_broadcasting(rng):
    a, b = torch.tensor(rng.normal(size=(2, 3))), torch.tensor(rng.normal(size=(3, 4)))
    out = torch.einsum(a, [0, 1], b, [1, 2], [2, 0])
    np.testing.assert_allclose(out.numpy(), (a @ b).T.numpy())
    np.testing.assert_allclose(torch.einsum("ij,ij->i", a[:, :1], a).numpy(), (a[:, :1] * a).sum(1))


@pytest.mark.parametrize("equation", ["ij,jk->iz", "i->i", "ij->ii", "i.j->i", "i1->i"])
def test_equations_that_do_not_fit(equation):
    with pytest.raises(RuntimeError, match="einsum"):
        torch.einsum(equation, *[torch.ones(2, 2)] * (equation.split("->")[0].count(",") + 1))


def test_tensordot_kron_cross_trace(rng):
    a, b = rng.normal(size=(2, 3, 4)), rng.normal(size=(4, 3, 5))
    got = torch.tensordot(torch.tensor(a), torch.tensor(b), ([1, 2], [1, 0]))
    np.testing.assert_allclose(got.numpy(), np.tensordot(a, b, ([1, 2], [1, 0])))
    x, y = rng.normal(size=(2, 3)), rng.normal(size=(3, 1))
    np.testing.assert_allclose(torch.kron(torch.tensor(x), torch.tensor(y)).numpy(), np.kron(x, y))
    u, v = rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    np.testing.assert_allclose(
        torch.cross(torch.tensor(u), torch.tensor(v)).numpy(), np.cross(u, v)
    )
    assert torch.arange(4).reshape(2, 2).trace().item() == 3


def test_dimensions_of_one_are_dropped_without_a_change_of_dtype():
    a, b = torch.ones(2, 3, dtype=torch.uint8), torch.ones(1, 3, dtype=torch.uint8)
    for got in (torch.einsum("ij,kj->i", a, b), torch.tensordot(a, b, ([0, 1], [0, 1]))):
        assert got.dtype is torch.uint8
    x = torch.ones(2, 1, dtype=torch.uint8)
    y = torch.einsum("ij->i", x)
    y.zero_()
    assert y.dtype is torch.int64
    assert x.tolist() == [[1], [1]]


def test_there_is_no_vector_product_of_bools():
    x = torch.ones(2, 3, dtype=torch.bool)
    for cross in (torch.linalg.cross, lambda a, b: torch.cross(a, b, dim=1)):
        with pytest.raises(NotImplementedError, match=r"torch\.bool"):
            cross(x, x)


@pytest.mark.parametrize("args", [(), ("",), ("i",), ("i", []), ("", [])])
def test_sums_of_nothing(args):
    with pytest.raises(ValueError, match="at least one operand"):
        torch.einsum(*args)
