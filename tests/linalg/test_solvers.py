"""Linear equations."""

from __future__ import annotations

import numpy as np
import pytest
from ops.numeric import check_gradients

import facula as torch


def test_solve_of_vectors_matrices_and_from_the_right(rng):
    a, b = rng.normal(size=(2, 3, 3)), rng.normal(size=(2, 3))
    x = torch.linalg.solve(torch.tensor(a), torch.tensor(b))
    np.testing.assert_allclose(np.einsum("bij,bj->bi", a, x.numpy()), b)
    c = rng.normal(size=(4, 3))
    y = torch.linalg.solve(torch.tensor(a), torch.tensor(c), left=False)
    np.testing.assert_allclose(y.numpy() @ a, np.broadcast_to(c, (2, 4, 3)))
    check_gradients(torch.linalg.solve, a[0], b[0])
    check_gradients(torch.linalg.inv, a[0])


def test_solve_of_a_vector_that_lies_apart():
    a = torch.tensor([[2.0, 1.0], [0.0, 4.0]], requires_grad=True)
    b = torch.tensor([3.0, 9.0, 8.0, 9.0], requires_grad=True)
    x = torch.linalg.solve(a, b[::2])
    assert x.tolist() == [0.5, 2.0]
    assert not x._is_view()
    (x * torch.tensor([1.0, 3.0])).sum().backward()
    assert a.grad.tolist() == [[-0.25, -1.0], [-0.3125, -1.25]]
    assert b.grad.tolist() == [0.5, 0.0, 0.625, 0.0]
    x = torch.linalg.solve(a, b[::2])
    x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        x.sum().backward()


@pytest.mark.parametrize("upper", [True, False])
@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("unit", [True, False])
def test_triangular(rng, upper, left, unit):
    a, b = rng.normal(size=(3, 3)), rng.normal(size=(3, 3))
    t = np.triu(a) if upper else np.tril(a)
    if unit:
        np.fill_diagonal(t, 1)
    options = {"upper": upper, "left": left, "unitriangular": unit}
    x = torch.linalg.solve_triangular(torch.tensor(a), torch.tensor(b), **options).numpy()
    np.testing.assert_allclose(t @ x if left else x @ t, b, atol=1e-9)


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("adjoint", [True, False])
def test_lu_solve(rng, left, adjoint):
    a = rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3))
    b = rng.normal(size=(3, 3)) + 0j
    factor, pivots = torch.linalg.lu_factor(torch.tensor(a))
    x = torch.linalg.lu_solve(factor, pivots, torch.tensor(b), left=left, adjoint=adjoint).numpy()
    m = a.conj().T if adjoint else a
    np.testing.assert_allclose(m @ x if left else x @ m, b, atol=1e-10)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5)])
def test_least_squares(rng, shape):
    a, b = rng.normal(size=shape), rng.normal(size=(shape[0], 2))
    got = torch.linalg.lstsq(torch.tensor(a), torch.tensor(b), driver="gelsd")
    x, residuals, rank, singular = np.linalg.lstsq(a, b)
    np.testing.assert_allclose(got.solution.numpy(), x, atol=1e-12)
    np.testing.assert_allclose(got.residuals.numpy(), residuals)
    np.testing.assert_allclose(got.singular_values.numpy(), singular)
    assert got.rank.item() == rank
    check_gradients(lambda m, n: torch.linalg.lstsq(m, n).solution, a, b, second=False)


def test_pinv_tolerances():
    a = torch.diag(torch.tensor([1.0, 1e-3]))
    assert torch.linalg.pinv(a, rtol=0.01)[1, 1].item() == 0
    assert torch.linalg.pinv(a, atol=1e-4)[1, 1].item() == pytest.approx(1000)
    assert torch.linalg.pinv(-a, hermitian=True)[0, 0].item() == -1


def test_tensor_equations(rng):
    a, b = rng.normal(size=(2, 3, 6)), rng.normal(size=(2, 3))
    x = torch.linalg.tensorsolve(torch.tensor(a), torch.tensor(b))
    np.testing.assert_allclose(x.numpy(), np.linalg.tensorsolve(a, b))
    inverse = torch.linalg.tensorinv(torch.tensor(a))
    np.testing.assert_allclose(inverse.numpy(), np.linalg.tensorinv(a))


@pytest.mark.parametrize("b", [torch.ones(3, 2), torch.zeros(3), torch.ones(3, 0)])
def test_singular_matrices_are_refused_whatever_the_other_side(b):
    a = torch.ones(3, 3)
    with pytest.raises(torch.linalg.LinAlgError, match="singular"):
        torch.linalg.solve(a, b)
    with pytest.raises(torch.linalg.LinAlgError, match="Batch element 1"):
        torch.linalg.inv(torch.stack([torch.eye(3), a]))


def test_what_is_not_finite_is_not_singular():
    a = torch.tensor([[1.0, float("nan")], [0.0, 1.0]])
    assert not torch.linalg.inv(a).isfinite().all()
    x = torch.linalg.solve(torch.eye(2), torch.tensor([float("inf"), 1.0]))
    assert not x.isfinite().all()


@pytest.mark.parametrize("shape", [(7, 3), (2, 7, 3), (4, 4)], ids=str)
def test_least_squares_of_full_rank_by_qr(shape, tier, rng):
    a, b = rng.standard_normal(shape), rng.standard_normal(shape[:-1])
    A = torch.tensor(a, requires_grad=True)
    found = torch.linalg.lstsq(A, torch.tensor(b), driver="gelsd")
    want = np.linalg.pinv(a) @ b[..., None]
    assert np.allclose(found.solution.tolist(), want[..., 0])
    assert (found.rank == shape[-1]).all() and found.rank.shape == shape[:-2]
    assert np.allclose(found.singular_values.tolist(), np.linalg.svd(a, compute_uv=False))
    if shape[-2] > shape[-1]:
        left = ((a @ want)[..., 0] - b) ** 2
        assert found.residuals.shape == (*shape[:-2], 1)
        assert np.allclose(found.residuals.tolist(), left.sum(-1, keepdims=True))
    x = torch.linalg.lstsq(A, torch.tensor(b)).solution
    y = (torch.linalg.pinv(A) @ torch.tensor(b)[..., None])[..., 0]
    grads = [torch.autograd.grad(t.square().sum(), A)[0].tolist() for t in (x, y)]
    assert np.allclose(*grads)


def test_least_squares_of_a_rank_that_is_not_certain():
    a = torch.ones(5, 3)
    found = torch.linalg.lstsq(a, a)
    assert found.rank == 1 and torch.allclose(found.solution, torch.full((3, 3), 1 / 3))
    near = torch.eye(3) * torch.tensor([1.0, 1.0, 1e-7])
    assert torch.linalg.lstsq(near, torch.eye(3)).rank == 2


def test_solving_by_factors_of_nothing():
    pivots = torch.zeros(0, dtype=torch.int32)
    x = torch.linalg.lu_solve(torch.zeros(0, 0), pivots, torch.zeros(0, 2))
    assert x.shape == (0, 2) and x.tolist() == []
