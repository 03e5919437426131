"""Factorisations."""

from __future__ import annotations

import numpy as np
import pytest
from nn.stored import agrees
from ops.numeric import check_gradients

import facula as torch


def _positive(rng, *shape):
    a = rng.normal(size=shape)
    return a @ np.swapaxes(a, -1, -2) + np.eye(shape[-1])


def test_cholesky(rng):
    a = _positive(rng, 2, 3, 3)
    for upper in (False, True):
        factor = torch.linalg.cholesky(torch.tensor(a), upper=upper).numpy()
        square = (
            np.swapaxes(factor, -1, -2) @ factor if upper else factor @ np.swapaxes(factor, -1, -2)
        )
        np.testing.assert_allclose(square, a)
    check_gradients(lambda t: torch.linalg.cholesky((t + t.T) / 2), a[0])
    a[1, 1, 1] = -1
    assert torch.linalg.cholesky_ex(torch.tensor(a)).info.tolist() == [0, 2]


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_cholesky_of_large_matrices(dtype, rng):
    a = rng.normal(size=(2, 200, 200)).astype(dtype)
    a = a + 1j * rng.normal(size=a.shape) if dtype is np.complex128 else a
    a = a @ np.conj(np.swapaxes(a, -1, -2)) + 200 * np.eye(200)
    t = torch.tensor(np.tril(a) + np.triu(np.full(a.shape, 9.0), 1))  # which is not read
    np.testing.assert_allclose(torch.linalg.cholesky(t).numpy(), np.linalg.cholesky(a), rtol=1e-9)
    a[1, 150, 150] = -1
    info = torch.linalg.cholesky_ex(torch.tensor(a)).info
    assert info.tolist() == [0, 151]


@agrees
def test_gradients_of_complex_factors(torch):
    """The gradient of one triangle is that of the matrix, and what PyTorch makes of phases."""

    def matrix(start):
        t = torch.arange(start, start + 18, dtype=torch.float64)
        return torch.complex((t * t).sin(), (t * t).cos()).reshape(2, 3, 3)

    m, g = matrix(0), matrix(30)
    positive = m @ m.mH + 3 * torch.eye(3)
    factors = {
        "lower": (torch.linalg.cholesky, positive),
        "upper": (lambda a: torch.linalg.cholesky(a, upper=True), positive),
        "q": (lambda a: torch.linalg.qr(a)[0], m),
        "r": (lambda a: torch.linalg.qr(a)[1], m),
    }
    grads = {}
    for name, (f, a) in factors.items():
        a = a.detach().requires_grad_()
        grads[name] = torch.view_as_real(torch.autograd.grad(f(a), a, g)[0])
    return grads


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4)])
def test_lu(rng, shape):
    a = rng.normal(size=shape)
    p, low, up = torch.linalg.lu(torch.tensor(a))
    np.testing.assert_allclose((p @ low @ up).numpy(), a)
    check_gradients(lambda t: torch.linalg.lu(t)[1:], a)


@pytest.mark.parametrize("hermitian", [False, True])
def test_ldl_solves(rng, hermitian):
    a = rng.normal(size=(2, 5, 5)) + 1j * rng.normal(size=(2, 5, 5))
    a = a + (np.conj(a) if hermitian else a).swapaxes(-1, -2)
    np.fill_diagonal(a[0], 0)  # needs a block of two
    b = rng.normal(size=(2, 5, 2)) + 0j
    factor, pivots = torch.linalg.ldl_factor(torch.tensor(a), hermitian=hermitian)
    assert (pivots < 0).any().item()
    x = torch.linalg.ldl_solve(factor, pivots, torch.tensor(b), hermitian=hermitian)
    np.testing.assert_allclose(a @ x.numpy(), b, atol=1e-10)


def test_eig_and_modes(rng):
    a = rng.normal(size=(4, 4))
    values, v = torch.linalg.eig(torch.tensor(a))
    np.testing.assert_allclose(a @ v.numpy(), v.numpy() * values.numpy(), atol=1e-10)
    q, r = torch.linalg.qr(torch.tensor(a[:, :2]), "complete")
    assert q.shape == (4, 4) and r.shape == (4, 2)
    assert torch.linalg.qr(torch.tensor(a), "r").Q.numel() == 0


def test_householder_product_is_q(rng):
    a = torch.tensor(rng.normal(size=(4, 3)))
    h, tau = torch.geqrf(a)
    q = torch.linalg.householder_product(h, tau)
    np.testing.assert_allclose((q @ h[:3].triu()).numpy(), a.numpy())
    check_gradients(lambda x, t: torch.linalg.householder_product(x, t), h.numpy(), tau.numpy())
