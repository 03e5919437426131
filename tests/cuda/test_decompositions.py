"""Systems of equations, determinants and factorisations on the device are those of the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import facula as torch

L = torch.linalg


def _hermitian(a: Any) -> Any:
    return a + a.mH


def _positive(a: Any) -> Any:
    return a @ a.mH + 2 * torch.eye(a.shape[-2], dtype=a.dtype).to(a.device)


def _again(values: Any, vectors: Any) -> Any:
    """The square of the matrix that these are of."""
    return vectors @ torch.diag_embed(values**2) @ L.inv(vectors)


SQUARE, TALL, FLAT = (2, 5, 5), (3, 6, 4), (2, 3, 5)
# Functions of a matrix whose results are the CPU's, element by element.
EXACT: dict[str, tuple[Any, tuple[int, ...]]] = {
    "solve": (lambda a: L.solve(a, a[..., :2] * 3 + 1), SQUARE),
    "one_for_all": (lambda a: L.solve(a[0], a), SQUARE),
    "transposed": (lambda a: L.solve(a.mT, a[:, :2].mT + 1), SQUARE),
    "inverse": (lambda a: L.inv(a) * 2, (2, 40, 40)),
    "det": (lambda a: L.det(a), SQUARE),
    "slogdet": (lambda a: L.slogdet(a)[1] + L.slogdet(a)[0].real, SQUARE),
    "cholesky": (lambda a: L.cholesky(_positive(a)), SQUARE),
    "cholesky_upper": (lambda a: L.cholesky(_positive(a), upper=True), SQUARE),
    "cholesky_solve": (lambda a: torch.cholesky_solve(a, L.cholesky(_positive(a))), SQUARE),
    "lu": (lambda a: torch.cat(list(L.lu(a)), -1), SQUARE),
    "lu_tall": (lambda a: L.lu(a).L @ L.lu(a).U, TALL),
    "lu_factor": (lambda a: L.lu_factor(a)[0], FLAT),
    "lu_solve": (lambda a: L.lu_solve(*L.lu_factor(a), a + 1), SQUARE),
    "triangular": (lambda a: L.solve_triangular(a.tril(), a, upper=False), SQUARE),
    "qr": (lambda a: torch.cat(list(L.qr(a)), -2), TALL),
    "qr_flat": (lambda a: torch.cat(list(L.qr(a)), -1), FLAT),
    "geqrf": (lambda a: torch.geqrf(a.detach())[0] * a, TALL),
    "householder": (lambda a: L.householder_product(*torch.geqrf(a.detach())) * a, TALL),
    "eigvalsh": (lambda a: L.eigvalsh(_hermitian(a)), SQUARE),
    "eigh": (lambda a: (L.eigh(_hermitian(a))[1]).abs() ** 2, SQUARE),
    "svdvals": (lambda a: L.svdvals(a), TALL),
    "svd": (lambda a: L.svd(a, full_matrices=False)[0].abs() ** 2, TALL),
    "svd_flat": (lambda a: L.svd(a, full_matrices=False)[2].abs() ** 2, FLAT),
    "pinv": (lambda a: L.pinv(a), TALL),
    "pinv_hermitian": (lambda a: L.pinv(_hermitian(a), hermitian=True), SQUARE),
    "lstsq": (lambda a: L.lstsq(a, a[..., :2] + 1)[0], TALL),
    "norm": (lambda a: L.norm(a, 2, (-2, -1)) + L.matrix_norm(a, "nuc"), TALL),
    "cond": (lambda a: L.cond(a), SQUARE),
    "matrix_exp": (lambda a: L.matrix_exp(a), SQUARE),
    "matrix_power": (lambda a: L.matrix_power(a, -2), SQUARE),
    "eigvals": (lambda a: (L.eigvals(a) ** 3).sum(-1), SQUARE),
    "eig": (lambda a: _again(*L.eig(a)), SQUARE),
    "many_rows": (lambda a: L.svdvals(a), (70, 33)),
}


def _numbers(rng: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    a = rng.standard_normal(shape)
    if np.dtype(dtype).kind == "c":
        a = a + 1j * rng.standard_normal(shape)
    return a.astype(dtype)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [*[(name, np.float64) for name in EXACT], *[(name, np.complex128) for name in [*EXACT][::2]]],
)
def test_values_and_gradients(device: Any, rng: Any, name: str, dtype: Any) -> None:
    f, shape = EXACT[name]
    a = _numbers(rng, shape, dtype)
    found = []
    for where in ("cpu", "cuda"):
        t = torch.from_numpy(a.copy()).to(where).requires_grad_()
        y = f(t)
        (y * torch.arange(y.numel()).reshape(y.shape).to(where)).abs().pow(2).sum().backward()
        found.append([x.detach().cpu().numpy() for x in (y, t.grad)])
    for want, got in zip(*found, strict=True):
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got, want, 1e-7, 1e-7 * max(1.0, np.abs(want).max()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
@pytest.mark.parametrize("shape", [(5, 5), (7, 3), (3, 7), (1, 1), (40, 21)])
@pytest.mark.parametrize("full", [True, False])
def test_singular_values(device: Any, rng: Any, shape: Any, full: bool, dtype: Any) -> None:
    a = torch.from_numpy(_numbers(rng, shape, np.complex128)).to(dtype)
    for b in (a, a * 0, a[:, :1] @ a[:1]):
        u, s, v = [x.cpu() for x in L.svd(b.to("cuda"), full_matrices=full)]
        k = min(shape)
        near = {"rtol": 1e-4, "atol": 1e-4}
        torch.testing.assert_close(u.mH @ u, torch.eye(u.shape[1], dtype=dtype), **near)
        torch.testing.assert_close(v @ v.mH, torch.eye(v.shape[0], dtype=dtype), **near)
        torch.testing.assert_close((u[:, :k] * s.to(dtype)) @ v[:k], b, **near)
        torch.testing.assert_close(s, L.svdvals(b), **near)


@pytest.mark.parametrize("n", [1, 2, 9, 34])
def test_eigenvalues_of_hermitian_matrices(device: Any, rng: Any, n: int) -> None:
    for dtype in (np.float64, np.complex128):
        a = torch.from_numpy(_numbers(rng, (n, n), dtype))
        for b in (a + a.mH, a * 0, torch.eye(n, dtype=a.dtype) - 2 * a[:, :1] @ a[:, :1].mH):
            w, v = [x.cpu() for x in L.eigh(b.to("cuda"))]
            torch.testing.assert_close(w, L.eigvalsh(b), rtol=1e-10, atol=1e-10)
            torch.testing.assert_close((v * w.to(v.dtype)) @ v.mH, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
@pytest.mark.parametrize("hermitian", [True, False])
def test_symmetric_matrices_by_blocks(device: Any, rng: Any, hermitian: bool, dtype: Any) -> None:
    a = torch.from_numpy(_numbers(rng, (6, 6, 6), dtype))
    a[::2].diagonal(0, -2, -1).zero_()  # blocks of two
    a = a + (a.mH if hermitian else a.mT)
    want = L.ldl_factor(a, hermitian=hermitian)
    got = L.ldl_factor(a.to("cuda"), hermitian=hermitian)
    assert (want[1] < 0).any()
    for w, g in zip(want, got, strict=True):
        torch.testing.assert_close(g.cpu(), w)
    x = L.ldl_solve(*got, a[:, :, :2].to("cuda"), hermitian=hermitian).cpu()
    torch.testing.assert_close(a @ x, a[:, :, :2])


@pytest.mark.parametrize("n", [1, 2, 3, 20])
def test_eigenvalues_of_any_matrix(device: Any, rng: Any, n: int) -> None:
    for dtype in (np.float64, np.complex128):
        a = torch.from_numpy(_numbers(rng, (n, n), dtype))
        for b in (a, a * 0, a.triu(), torch.eye(n, dtype=a.dtype).roll(1, 0)):
            w, v = [x.cpu() for x in L.eig(b.to("cuda"))]
            torch.testing.assert_close(b.to(v.dtype) @ v, v * w, rtol=1e-9, atol=1e-9)
            torch.testing.assert_close(v.abs().pow(2).sum(0), w.abs() * 0 + 1)
            torch.testing.assert_close(w.sum(), b.diagonal().sum().to(w.dtype))


@pytest.mark.parametrize("mode", ["reduced", "complete", "r"])
def test_orthogonal_factors_of_every_form(device: Any, rng: Any, mode: str) -> None:
    for shape in (TALL, FLAT):
        a = torch.from_numpy(_numbers(rng, shape, np.float64))
        for want, got in zip(L.qr(a, mode), L.qr(a.to("cuda"), mode), strict=True):
            torch.testing.assert_close(got.cpu(), want)


def test_what_fails_says_so(device: Any) -> None:
    singular = torch.tensor([[1.0, 2.0], [2.0, 4.0]]).to("cuda")
    with pytest.raises(RuntimeError, match="singular"):
        L.inv(singular).cpu()
    with pytest.raises(RuntimeError, match="minor of order 2"):
        L.cholesky(singular - torch.eye(2).to("cuda") * torch.tensor([0.0, 1.0]).to("cuda"))
    factor, info = L.cholesky_ex(torch.tensor([[4.0, 2], [2, -1]]).to("cuda"))
    assert info.item() == 2 and factor.cpu().tolist() == [[2.0, 0.0], [1.0, 0.0]]
    assert L.det(torch.ones(3, 3).to("cuda")).item() == 0.0
    a = torch.ones(3, 3).to("cuda").requires_grad_()
    L.det(a + torch.eye(3).to("cuda") * 0).backward()
    torch.testing.assert_close(a.grad.cpu(), torch.zeros(3, 3), atol=1e-6, rtol=0)


def test_matrices_without_elements(device: Any) -> None:
    a = torch.empty(2, 0, 0).to("cuda")
    assert L.inv(a).cpu().shape == (2, 0, 0)
    assert L.det(a).cpu().tolist() == [1.0, 1.0]
    assert [x.cpu().tolist() for x in L.slogdet(a)] == [[1.0, 1.0], [0.0, 0.0]]
    assert L.qr(torch.empty(3, 0).to("cuda"), "complete")[0].cpu().tolist() == torch.eye(3).tolist()
    assert L.svd(torch.empty(0, 2).to("cuda"))[2].cpu().tolist() == torch.eye(2).tolist()
    assert L.cholesky(a).cpu().shape == (2, 0, 0)
