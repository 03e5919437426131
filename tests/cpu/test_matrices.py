"""Matrices that kernels factorise and solve with, one a lane and one at a time."""

import numpy as np
import pytest
from cpu.both import both, lowered

import facula as torch
from facula.interpreter import program
from facula.linalg import primitives

L = torch.linalg
SHAPES = (
    (1, 1),
    (3, 3),
    (4, 1, 1),
    (7, 3, 3),
    (40, 4, 4),
    (5, 16, 16),
    (2, 33, 33),
    (2, 3, 20, 20),
)
FACTORS = ("zero_pivot", "pivots_to_permutation")  # which have no kernels


def _made(shape, dtype):
    """A matrix, one whose eigenvalues are positive, and three columns."""
    n = shape[-1]
    a = torch.randn(shape, dtype=dtype)
    given = a, a @ a.mT / n + torch.eye(n, dtype=dtype), torch.randn(*shape[:-1], 3, dtype=dtype)
    torch.synchronize()
    return given


OPERATIONS = {
    "inv": lambda a, s, b: [L.inv(s)],
    "solve": lambda a, s, b: [L.solve(s, b), L.solve(s.mT, b[..., :1]), L.solve(s, b[..., 0])],
    "det": lambda a, s, b: [L.det(a), *L.slogdet(a)],
    "cholesky": lambda a, s, b: [L.cholesky(s), L.cholesky(s.mT, upper=True)],
    "lu": lambda a, s, b: [*L.lu_factor(a), *L.lu(a), *L.lu_factor(s, pivot=False)],
    "tall and wide": lambda a, s, b: [*L.lu_factor(torch.cat([a, a + 1], -1)), *L.lu(a[..., :1])],
    "qr": lambda a, s, b: [*L.qr(a), *L.qr(s, "complete"), L.qr(a, "r")[1]],
    "qr, tall": lambda a, s, b: [*L.qr(torch.cat([a, s], -2)), *L.qr(b, "complete")],
    "qr, wide": lambda a, s, b: [*L.qr(torch.cat([a, s], -1)), *L.qr(b.mT, "complete")],
    "qr of few": lambda a, s, b: [*L.qr(a * 0), *L.qr(a * 1e18 if a.dtype.itemsize == 4 else a)],
    "upper": lambda a, s, b: [L.solve_triangular(s, b, upper=True)],
    "lower": lambda a, s, b: [L.solve_triangular(s, b.mT, upper=False, left=False)],
    "unit": lambda a, s, b: [L.solve_triangular(s / 4, b, upper=True, unitriangular=True)],
    "with factors": lambda a, s, b: [torch.cholesky_solve(b, L.cholesky(s))],
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", OPERATIONS)
def test_as_interpreted(name, dtype):
    both(
        lambda: [x for shape in SHAPES for x in OPERATIONS[name](*_made(shape, dtype))],
        5e-3 if dtype is torch.float32 else 1e-9,
        FACTORS,
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_one_that_does_not_fit_on_the_stack(dtype):
    def build():
        given = _made((130, 130), dtype)
        return [x for name in ("inv", "cholesky", "lu", "qr") for x in OPERATIONS[name](*given)]

    both(build, 5e-3 if dtype is torch.float32 else 1e-9, FACTORS)


def test_matrices_and_columns_of_other_batches():
    def build():
        a, b = torch.randn(5, 1, 4, 4) + 4 * torch.eye(4), torch.randn(6, 4, 2)
        torch.synchronize()
        return [L.solve(a, b), L.solve(a[0, 0], b), L.solve_triangular(a.mT, b, upper=True)]

    both(build, 1e-4)


def test_what_is_singular(tier):
    z = torch.zeros(6, 3, 3)
    z[1], z[2] = torch.eye(3), -torch.eye(3)
    z[3] = torch.diag(torch.tensor([1.0, -1.0, 2.0]))
    factor, info = L.cholesky_ex(z)
    assert info.tolist() == [1, 0, 1, 2, 1, 1]
    assert factor[1].equal(torch.eye(3)) and factor[3].tolist() == [[1, 0, 0], [0] * 3, [0] * 3]
    assert L.lu_factor_ex(z).info.tolist() == [1, 0, 0, 0, 1, 1]
    assert L.det(z).tolist() == [0, 1, -1, -2, 0, 0]
    sign, log = L.slogdet(z)
    assert sign.tolist() == [0, 1, -1, -1, 0, 0] and log[0].item() == -np.inf
    for f in (L.inv, L.cholesky, lambda a: L.solve(a, a)):
        with pytest.raises(torch.linalg.LinAlgError, match="Batch element 0"):
            f(z)


def test_pivots_are_those_of_lapack(monkeypatch):
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    for shape in ((9, 5, 5), (40, 40)):
        a = torch.randn(shape)
        want = primitives._lu(True, a.numpy())[1]
        assert np.array_equal(L.lu_factor(a).pivots.numpy(), want)


def test_the_triangle_is_known_in_gradients(monkeypatch):
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    made = lowered(monkeypatch)
    a = torch.randn(8, 5, 5, requires_grad=True)
    b = torch.randn(8, 5, 2, requires_grad=True)
    L.solve_triangular(a, b, upper=True).square().sum().backward()
    assert a.grad.tril(-1).count_nonzero() == 0 and b.grad.shape == b.shape
    found = [n.params for p in made for c, _ in p.steps for n in c.nodes if n.op.name == "solve"]
    assert set(found) == {("upper",), ("lower",)}


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_bits_whatever_the_threads(threads, monkeypatch):
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    before = torch.get_num_threads()
    results = []
    try:
        for count in (1, threads):
            torch.set_num_threads(count)
            torch.manual_seed(3)
            a = torch.randn(999, 6, 6)
            results.append(L.inv(a).numpy().tobytes())
    finally:
        torch.set_num_threads(before)
    assert results[0] == results[1]
