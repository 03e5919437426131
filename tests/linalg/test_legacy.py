"""Linear algebra outside of `linalg`."""

from __future__ import annotations

import math

import numpy as np
import pytest
from nn.stored import agrees, raised
from ops.numeric import check_gradients

import facula as torch


@pytest.mark.parametrize("upper", [True, False])
def test_cholesky_family(rng, upper):
    a = rng.normal(size=(3, 3))
    a, b = a @ a.T + np.eye(3), rng.normal(size=(3, 2))
    factor = torch.cholesky(torch.tensor(a), upper)
    x = torch.cholesky_solve(torch.tensor(b), factor, upper)
    np.testing.assert_allclose(a @ x.numpy(), b, atol=1e-10)
    np.testing.assert_allclose(torch.cholesky_inverse(factor, upper).numpy(), np.linalg.inv(a))


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("transpose", [True, False])
def test_ormqr_multiplies_with_q(rng, left, transpose):
    h, tau = torch.geqrf(torch.tensor(rng.normal(size=(3, 3))))
    q = torch.orgqr(h, tau).numpy()
    other = rng.normal(size=(3, 3))
    m = q.T if transpose else q
    got = torch.ormqr(h, tau, torch.tensor(other), left, transpose).numpy()
    np.testing.assert_allclose(got, m @ other if left else other @ m, atol=1e-12)


@pytest.mark.parametrize("transpose", [True, False])
def test_triangular_solve(rng, transpose):
    a, b = rng.normal(size=(3, 3)), rng.normal(size=(3, 2))
    x, copy = torch.triangular_solve(torch.tensor(b), torch.tensor(a), transpose=transpose)
    t = np.triu(a).T if transpose else np.triu(a)
    np.testing.assert_allclose(t @ x.numpy(), b, atol=1e-9)
    assert copy.tolist() == a.tolist()


def test_lu_family(rng):
    a, b = rng.normal(size=(3, 3)), rng.normal(size=(3, 2))
    factor, pivots, info = torch.lu(torch.tensor(a), get_infos=True)
    assert info.item() == 0
    np.testing.assert_allclose(
        a @ torch.lu_solve(torch.tensor(b), factor, pivots).numpy(), b, atol=1e-10
    )
    p, low, up = torch.lu_unpack(factor, pivots)
    np.testing.assert_allclose((p @ low @ up).numpy(), a, atol=1e-12)
    assert torch.lu_unpack(factor, pivots, unpack_data=False).L.numel() == 0


def test_svd_gives_v_and_approximations_find_a_low_rank(rng):
    a = torch.tensor(rng.normal(size=(8, 2)) @ rng.normal(size=(2, 5)))
    u, s, v = torch.svd(a)
    np.testing.assert_allclose((u * s @ v.T).numpy(), a.numpy(), atol=1e-12)
    u, s, v = torch.svd_lowrank(a, 2)
    np.testing.assert_allclose((u * s @ v.T).numpy(), a.numpy(), atol=1e-9)
    u, s, v = torch.pca_lowrank(a, 2)
    np.testing.assert_allclose((u * s @ v.T).numpy(), (a - a.mean(0)).numpy(), atol=1e-9)


def test_logdet():
    a = np.array([[2.0, 0.5], [0.3, 1.0]])
    check_gradients(torch.logdet, a)
    assert math.isnan(torch.tensor(a[::-1].copy()).logdet().item())
    np.testing.assert_allclose(torch.tensor(a).inverse().numpy(), np.linalg.inv(a))


@agrees
def test_batches_that_do_not_fit(torch):
    f, t = torch.linalg, torch.ones
    return [
        raised(torch.ormqr, t(2, 3, 3), t(2, 3), t(3, 2)),
        raised(torch.ormqr, t(2, 3, 3), t(3), t(2, 3, 2)),
        raised(torch.ormqr, t(2, 3, 3), t(2, 3), t(2, 3, 2)),
        raised(f.householder_product, t(2, 3, 3), t(3)),
        raised(f.householder_product, t(2, 3, 3), t(2, 3)),
        raised(f.lstsq, t(2, 3, 3), t(3)),
        raised(f.lstsq, t(2, 1, 3, 3), t(3, 3)),
        raised(f.lstsq, t(3, 3), t(1, 3, 3)),
        raised(f.lstsq, t(3, 3), t(3)),
        raised(f.lstsq, t(2, 3, 3), t(2, 3)),
    ]
