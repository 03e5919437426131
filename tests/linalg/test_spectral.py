"""Spectral primitives: derivatives that do not depend on signs."""

from __future__ import annotations

import numpy as np
import pytest
from ops.numeric import check_gradients

import facula as torch

A = np.array([[2.0, 0.3, -0.5], [0.1, 1.0, 0.7], [-0.2, 0.4, 3.0]])
WIDE = np.array([[2.0, 0.3, -0.5], [0.1, 1.0, 0.7]])


def _rebuilt(t, full):
    u, s, vh = torch.linalg.svd(t, full)
    k = s.shape[-1]
    return (u[..., :k] * s.sqrt().unsqueeze(-2)) @ vh[..., :k, :]


@pytest.mark.parametrize("matrix", [A, WIDE, WIDE.T], ids=["square", "wide", "tall"])
def test_svd(matrix):
    check_gradients(lambda t: _rebuilt(t, False), matrix)
    check_gradients(torch.linalg.svdvals, matrix)


@pytest.mark.parametrize("matrix", [A, WIDE, WIDE.T], ids=["square", "wide", "tall"])
def test_qr(matrix):
    check_gradients(torch.linalg.qr, matrix)


def test_eigenvalues():
    def halves(t):
        values, v = torch.linalg.eigh((t + t.T) / 2)
        return values, (v * values.sqrt()) @ v.T

    check_gradients(halves, A + A.T)
    check_gradients(lambda t: torch.linalg.eigvals(t).real.sort().values, A, second=False)


@pytest.mark.parametrize("matrix", [WIDE, WIDE.T, A])
def test_pinv(matrix):
    check_gradients(torch.linalg.pinv, matrix)


@pytest.mark.parametrize("scale", [0.0, 0.1, 3.0, 40.0])
def test_matrix_exp(scale):
    values, v = np.linalg.eigh(A + A.T)
    want = (v * np.exp(scale * values)) @ v.T
    got = torch.linalg.matrix_exp(torch.tensor(scale * (A + A.T))).numpy()
    np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-14)
    check_gradients(torch.linalg.matrix_exp, A * min(scale, 0.5))
