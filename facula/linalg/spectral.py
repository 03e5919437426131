"""Primitives: eigenvalues, singular values, QR, the exponential, the pseudo-inverse."""

from __future__ import annotations

from typing import Any

import numpy as np

from facula.linalg.primitives import (
    Packed,
    _over,
    adjoint,
    converging,
    diagonal_matrix,
    real_part,
    solve,
)
from facula.ops import pointwise as pw
from facula.ops.joining import cat
from facula.ops.registry import Op
from facula.trace.recorder import record


# Symmetric eigenvalues: values, vectors. Only the lower triangle is read.
def _inverse_gaps(values: Any) -> Any:
    """1 / (x_j - x_i), zero where they are equal."""
    gap = values.unsqueeze(-2) - values.unsqueeze(-1)
    same = gap == 0
    one = gap.new_ones(())
    return record(pw.WHERE, (same, gap.new_zeros(()), 1 / record(pw.WHERE, (same, one, gap))))


def _eigh_grad(g: Any, a: Any, o: Any, p: Any) -> Any:
    v, values = o[1], real_part(o[0])
    turn = (adjoint(v) @ g[1]) * _inverse_gaps(values).to(a.dtype)
    middle = turn + diagonal_matrix(real_part(g[0]).to(a.dtype))
    out = v @ middle @ adjoint(v)
    return (out + adjoint(out)) / 2


def _eigh(p: Any, a: Any) -> Any:
    return np.linalg.eigh(a, "L")


EIGH = Packed("eigh", lambda p, s: [(s[0],), s], _eigh, _eigh_grad)


def _eigvalsh_grad(g: Any, a: Any, o: Any, p: Any) -> Any:
    v = EIGH(a)[1]
    return v @ (real_part(g[0]).to(a.dtype).unsqueeze(-1) * adjoint(v))


EIGVALSH = Packed(
    "eigvalsh", lambda p, s: [(s[0],)], lambda p, a: [np.linalg.eigvalsh(a)], _eigvalsh_grad
)


# Eigenvalues of any square matrix: complex results.
def _eig_grad(g: Any, a: Any, o: Any, p: Any) -> Any:
    values, v = o
    vh = adjoint(v)
    gram = vh @ g[1]
    own = gram.diagonal(0, -2, -1).real.to(v.dtype)
    middle = (gram - (vh @ v) * own.unsqueeze(-2)) * _inverse_gaps(values).conj_physical()
    middle = middle + diagonal_matrix(g[0])
    out = solve(vh, middle @ vh)
    return out if a.dtype.is_complex else out.real


EIG = Packed(
    "eig",
    lambda p, s: [(s[0],), s],
    lambda p, a: np.linalg.eig(a),
    _eig_grad,
    lambda d: d.to_complex(),
)


# Singular values. The parameter: whether U and V are square.
def _svd_shapes(p: Any, s: tuple[int, ...]) -> list[tuple[int, ...]]:
    (m, n), k = s, min(s)
    return [(m, m), (k,), (n, n)] if p else [(m, k), (k,), (k, n)]


def _svd_grad(g: Any, a: Any, o: Any, p: Any) -> Any:
    m, n = a.node.shape[-2:]
    k = min(m, n)
    u, s, vh = o[0].narrow(-1, 0, k), real_part(o[1]), o[2].narrow(-2, 0, k)
    gu, gs, gv = g[0].narrow(-1, 0, k), real_part(g[1]), adjoint(g[2].narrow(-2, 0, k))
    v = adjoint(vh)
    uu, vv = adjoint(u) @ gu, vh @ gv
    gaps = _inverse_gaps(s * s).to(a.dtype)
    wide = s.to(a.dtype)
    inner = ((uu - adjoint(uu)) * gaps) * wide.unsqueeze(-2)
    inner = inner + wide.unsqueeze(-1) * ((vv - adjoint(vv)) * gaps)
    inner = inner + diagonal_matrix(gs.to(a.dtype))
    zero = s == 0
    safe = record(pw.WHERE, (zero, s.new_ones(()), s)).to(a.dtype)
    if a.dtype.is_complex:
        inner = inner + diagonal_matrix((uu - adjoint(uu)).diagonal(0, -2, -1) / (safe * 2))
    out = u @ inner @ vh
    if m > k:
        rest = (gu - u @ uu) / safe.unsqueeze(-2)
        out = out + rest @ vh
    if n > k:
        rest = (gv - v @ vv) / safe.unsqueeze(-2)
        out = out + u @ adjoint(rest)
    return out


SVD = Packed("svd", _svd_shapes, lambda p, a: np.linalg.svd(a, full_matrices=p), _svd_grad)


def _svdvals_grad(g: Any, a: Any, o: Any, p: Any) -> Any:
    u, _, vh = SVD(a, False)
    return u @ (real_part(g[0]).to(a.dtype).unsqueeze(-1) * vh)


SVDVALS = Packed(
    "svdvals",
    lambda p, s: [(min(s),)],
    lambda p, a: [np.linalg.svd(a, compute_uv=False)],
    _svdvals_grad,
)


# QR. The parameter: 'reduced' or 'complete'.
def _qr_shapes(p: Any, s: tuple[int, ...]) -> list[tuple[int, ...]]:
    (m, n), k = s, min(s)
    return [(m, m), (m, n)] if p == "complete" else [(m, k), (k, n)]


def _qr_grad(g: Any, a: Any, o: Any, p: Any) -> Any:
    m, n = a.node.shape[-2:]
    (q, r), (gq, gr) = o, g
    if p == "complete" and m > n:
        raise RuntimeError(
            "linalg_qr_backward: The QR decomposition is not differentiable when mode='complete' "
            f"and nrows > ncols; shape {list(a.node.shape)}"
        )
    k = min(m, n)
    if n > k:
        r1 = r.narrow(-1, 0, k)
        gy = gr.narrow(-1, k, n - k)
        y = a.narrow(-1, k, n - k)
        first = _qr_square(q, r1, gq + y @ adjoint(gy), gr.narrow(-1, 0, k))
        return cat.__wrapped__([first, q @ gy], -1)
    return _qr_square(q, r, gq, gr)


def _qr_square(q: Any, r: Any, gq: Any, gr: Any) -> Any:
    inner = r @ adjoint(gr) - adjoint(gq) @ q
    low = inner.tril(-1)
    d = real_part(inner.diagonal(0, -2, -1))  # an imaginary part would turn phases
    whole = low + adjoint(low) + diagonal_matrix(d)
    return _over(gq + q @ whole, r)


QR = Packed("qr", _qr_shapes, lambda p, a: np.linalg.qr(a, p), _qr_grad)


def _raw(p: Any, a: Any) -> Any:
    h, tau = np.linalg.qr(a, "raw")
    return [np.swapaxes(h, -1, -2), tau]


GEQRF = Packed("geqrf", lambda p, s: [s, (min(s),)], _raw)


# The exponential, by scaling and squaring a Taylor polynomial of degree 18.
def _exponential(p: Any, s: Any, a: Any) -> Any:
    if a.size == 0:
        return a.copy()
    norm = np.abs(a).sum(-1).max(-1)
    norm = np.where(np.isfinite(norm), norm, 0)
    times = np.maximum(np.ceil(np.log2(np.maximum(norm, 1e-30) / 0.5)), 0).astype(int)
    wide = np.complex128 if a.dtype.kind == "c" else np.float64
    x = a.astype(wide) / np.exp2(times)[..., None, None]
    out = eye = np.broadcast_to(np.eye(a.shape[-1], dtype=wide), a.shape)
    for k in range(18, 0, -1):
        out = eye + x @ out / k
    for k in range(int(times.max())):
        out = np.where((k < times)[..., None, None], out @ out, out)
    return out.astype(a.dtype)


def _exponential_grad(g: Any, a: Any) -> Any:
    """The derivative at a^H towards g is a corner of the exponential of a block matrix."""
    n = a.node.shape[-1]
    h = adjoint(a)
    none = h.new_zeros(h.node.shape)
    top, bottom = cat.__wrapped__([h, g], -1), cat.__wrapped__([none, h], -1)
    whole = record(EXPONENTIAL, (cat.__wrapped__([top, bottom], -2),))
    return whole.narrow(-2, 0, n).narrow(-1, n, n)


EXPONENTIAL: Op = Op(
    "matrix_exp", lambda p, st, a: (a.shape, a.dtype, None, 0), _exponential, (_exponential_grad,)
)


# The pseudo-inverse. Parameters: absolute and relative tolerance, hermitian or not.
def _pinv(p: Any, s: Any, a: Any, *tolerances: Any) -> Any:
    hermitian = p[2]
    if a.size == 0:
        return np.zeros((*a.shape[:-2], a.shape[-1], a.shape[-2]), a.dtype)
    found: Any
    with converging("pinv", a):
        found = np.linalg.eigh(a, "L") if hermitian else np.linalg.svd(a, full_matrices=False)
    if hermitian:
        w, v = found
        size, left, right = np.abs(w), v, np.conj(np.swapaxes(v, -1, -2))
        inverse = w
    else:
        u, size, vh = found
        left, right = np.conj(np.swapaxes(vh, -1, -2)), np.conj(np.swapaxes(u, -1, -2))
        inverse = size
    absolute, relative = np.asarray(p[0])[..., None], np.asarray(p[1])[..., None]
    limit = np.maximum(absolute, relative * size.max(-1, keepdims=True))
    keep = size > limit
    inverse = np.where(keep, 1 / np.where(keep, inverse, 1), 0)
    return ((left * inverse[..., None, :]) @ right).astype(a.dtype)


def _pinv_grad(g: Any, a: Any, o: Any) -> Any:
    m, n = a.node.shape[-2:]
    gh, oh = adjoint(g), adjoint(o)
    if m <= n:
        k = gh @ o
        t = k @ oh
        return -adjoint(o @ k) + t - (a @ o) @ t + (oh @ o) @ (gh - k @ a)
    k = o @ gh
    t = oh @ k
    return -adjoint(k @ o) + (gh - a @ k) @ o @ oh + t - (t @ o) @ a


PINV: Op = Op(
    "pinv",
    lambda p, st, a: ((*a.shape[:-2], a.shape[-1], a.shape[-2]), a.dtype, None, 0),
    _pinv,
    (_pinv_grad,),
)
