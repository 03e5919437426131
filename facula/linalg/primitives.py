"""Factorisations of matrices as primitives, on NumPy's LAPACK.

A factorisation has several results. They are computed once, as parts of one packed array (batch
dimensions, then all parts flat), and cut out with recorded slices; so one formula has the
gradients of all parts at hand. Sources of the formulas: M. Giles, "Collected matrix derivative
results for forward and reverse mode algorithmic differentiation" (2008); M. Seeger et al.,
"Auto-differentiating linear algebra" (2017).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from facula import dtypes
from facula.ops import movement as mv
from facula.ops.complexes import REAL_VIEW
from facula.ops.contraction import _fit, _h
from facula.ops.registry import Op, broadcast
from facula.trace.recorder import record


class _LinAlgError(RuntimeError):
    """A matrix for which the operation is not defined: singular, or not positive definite."""


LinAlgError = _LinAlgError  # the name that PyTorch's class has for itself


@contextlib.contextmanager
def converging(name: str, a: Any) -> Iterator[None]:
    """Makes NumPy's error of an algorithm that did not come to an end PyTorch's."""
    try:
        yield
    except np.linalg.LinAlgError as error:
        raise LinAlgError(
            f"linalg.{name}: {error}, of a {a.dtype} input of shape {list(a.shape)}: it is "
            "ill-conditioned, or has values that are not finite"
        ) from None


def adjoint(t: Any) -> Any:
    """The conjugate transpose of the last two dimensions."""
    return _h(t)


def eye_like(t: Any, n: int) -> Any:
    """The identity of a tensor's dtype."""
    return t.new_ones((n, n)).tril().triu()


def _size(shape: tuple[int, ...]) -> int:
    return math.prod(shape)


def unpack(t: Any, shapes: list[tuple[int, ...]]) -> list[Any]:
    """The parts of a packed tensor."""
    batch = t.node.shape[:-1]
    out, at = [], 0
    for shape in shapes:
        n = _size(shape)
        part = t
        if len(shapes) > 1:
            part = record(mv.SLICE, (t,), (*[(0, m, 1) for m in batch], (at, n, 1)))
        if len(shape) != 1:
            part = record(mv.RESHAPE, (part,), (*batch, *shape))
        out.append(part)
        at += n
    return out


def real_part(t: Any) -> Any:
    """The real part, recorded; a real tensor as it is."""
    return record(REAL_VIEW, (t,)) if t.dtype.is_complex else t


class Packed:
    """A primitive with several results; `shapes(parameters, matrix shape)` gives theirs."""

    def __init__(
        self,
        name: str,
        shapes: Callable[..., list[tuple[int, ...]]],
        body: Callable[..., Any],
        grad: Callable[..., Any] | None = None,
        dtype: Callable[[Any], Any] | None = None,
    ) -> None:
        self.shapes = shapes
        self.body = body
        self.dtype = dtype

        def infer(p: Any, st: Any, a: Any) -> Any:
            n = sum([_size(s) for s in shapes(p, a.shape[-2:])])
            return (*a.shape[:-2], n), a.dtype if dtype is None else dtype(a.dtype), None, 0

        def derive(g: Any, a: Any, o: Any, p: Any) -> Any:
            parts = shapes(p, a.node.shape[-2:])
            return grad(unpack(g, parts), a, unpack(o, parts), p)  # type: ignore[misc]

        self.op = Op(name, infer, self._run, (derive if grad is not None else None,))

    def _run(self, p: Any, s: Any, a: Any) -> Any:
        batch = a.shape[:-2]
        shapes = self.shapes(p, a.shape[-2:])
        kind = dtypes.from_np(a.dtype)
        kind = kind if self.dtype is None else self.dtype(kind)
        if a.size == 0 and self.op.name != "slogdet":
            parts = []
            for shape in shapes:
                square = len(shape) == 2 and shape[0] == shape[1]
                one = np.eye(shape[0]) if square else np.zeros(shape)
                parts.append(np.broadcast_to(one, (*batch, *shape)))
        else:
            with converging(self.op.name, a):
                parts = self.body(p, a)
        flat = [
            np.asarray(x).reshape((*batch, _size(shape)))
            for x, shape in zip(parts, shapes, strict=True)
        ]
        return np.concatenate(flat, -1).astype(kind.np)

    def __call__(self, a: Any, p: Any = ()) -> list[Any]:
        # PyTorch's formulas take the results alone, but for one.
        t = a if self.op.name == "slogdet" or not a.requires_grad else mv.apart(a)
        parts = unpack(record(self.op, (t,), p), self.shapes(p, a.node.shape[-2:]))
        if len(a.node.shape) == 2 or len(parts) == 1:
            return parts
        return [record(mv.CONTIGUOUS, (t,), 0) for t in parts]  # parts of rows lie apart


def diagonal_matrix(d: Any) -> Any:
    """Matrices with the last dimension along the diagonal."""
    from facula.ops.diagonals import diag_embed

    return diag_embed.__wrapped__(d)


def _each(f: Callable[[Any], Any], a: Any) -> Any:
    """f of every matrix of a batch."""
    flat = a.reshape(-1, *a.shape[-2:])
    return [f(m) for m in flat]


# Cholesky: the lower factor, and the order of the first minor that is not positive (or 0). The
# parameter says whether the matrix is read in its upper triangle; the gradient is that of a whole
# one either way.
def _factor(a: Any) -> Any:
    """NumPy's factor; its error also where that was not completed for a value that is no number."""
    out = np.linalg.cholesky(a)
    if not (np.diagonal(out, 0, -2, -1).real > 0).all():
        raise np.linalg.LinAlgError("Matrix is not positive definite")
    return out


def _minor(m: Any) -> tuple[Any, int]:
    try:
        return _factor(m), 0
    except np.linalg.LinAlgError:
        pass
    n = len(m)
    out = np.zeros_like(m)
    for k in range(n):
        left = m[k, k] - out[k, :k] @ np.conj(out[k, :k])
        if not left.real > 0:
            return out, k + 1
        out[k, k] = np.sqrt(left.real)
        out[k + 1 :, k] = (m[k + 1 :, k] - out[k + 1 :, :k] @ np.conj(out[k, :k])) / out[k, k]
    return out, 0


BLOCK, LARGE = 48, 192  # rows of a block, and of the matrices that are factorised so


def _in_blocks(a: Any) -> Any:
    """The lower factor. NumPy's library is slow at large ones and fast at products."""
    n = a.shape[-1]
    if n < LARGE:
        return _factor(a)
    out, a = np.zeros_like(a), a.copy()
    for k in range(0, n, BLOCK):
        e = min(k + BLOCK, n)
        own = out[..., k:e, k:e] = _factor(a[..., k:e, k:e])
        if e < n:
            below = a[..., e:, k:e] @ np.conj(np.swapaxes(np.linalg.inv(own), -1, -2))
            out[..., e:, k:e] = below
            a[..., e:, e:] -= below @ np.conj(np.swapaxes(below, -1, -2))
    return out


def _cholesky(upper: Any, a: Any) -> Any:
    if upper:
        a = np.conj(np.swapaxes(a, -1, -2))
    try:
        return [_in_blocks(a), np.zeros(a.shape[:-2])]
    except np.linalg.LinAlgError:
        done = _each(_minor, a)
        factors = np.stack([d[0] for d in done]).reshape(a.shape)
        return [factors, np.array([d[1] for d in done]).reshape(a.shape[:-2])]


def _cholesky_grad(g: Any, a: Any, o: Any, p: Any) -> Any:
    factor = o[0]
    phi = (adjoint(factor) @ g[0]).tril()
    phi = (phi + adjoint(phi.tril(-1))) / 2
    upper = adjoint(factor)
    return solve(upper, adjoint(solve(upper, adjoint(phi), "upper")), "upper")


CHOLESKY = Packed("cholesky", lambda p, s: [s, ()], _cholesky, _cholesky_grad)


# LU with partial pivoting: the compact factor, the rows exchanged (from 1), the first zero pivot.
def _lu(p: Any, a: Any) -> Any:
    m, n = a.shape[-2:]
    batch = a.shape[:-2]
    x = a.reshape(-1, m, n).copy()
    k = min(m, n)
    rows = np.arange(len(x))
    pivots = np.tile(np.arange(1, k + 1), (len(x), 1))
    info = np.zeros(len(x), np.int64)
    for j in range(k):
        if p:  # partial pivoting
            c = x[:, j:, j]
            at = j + np.argmax(np.abs(c.real) + np.abs(c.imag), 1)  # as LAPACK compares
            pivots[:, j] = at + 1
            x[rows, j], x[rows, at] = x[rows, at].copy(), x[rows, j].copy()
        d = x[:, j, j]
        info = np.where((d == 0) & (info == 0), j + 1, info)
        low = x[:, j + 1 :, j] / np.where(d == 0, 1, d)[:, None]
        x[:, j + 1 :, j] = low
        x[:, j + 1 :, j + 1 :] -= low[:, :, None] * x[:, j, None, j + 1 :]
    return [x.reshape(a.shape), pivots.reshape(*batch, k), info.reshape(batch)]


def split_lu(lu: Any) -> tuple[Any, Any]:
    """The two factors of a compact one: L with a unit diagonal, and U."""
    m, n = lu.node.shape[-2:]
    k = min(m, n)
    low = lu.narrow(-1, 0, k).tril(-1)
    unit = lu.new_ones((m, k)).tril().triu()
    return low + unit, lu.narrow(-2, 0, k).triu()


def _lu_grad(g: Any, a: Any, o: Any, p: Any) -> Any:
    m, n = a.node.shape[-2:]
    k = min(m, n)
    low, up = split_lu(o[0])
    gl, gu = g[0].narrow(-1, 0, k).tril(-1), g[0].narrow(-2, 0, k).triu()
    low1, up1 = low.narrow(-2, 0, k), up.narrow(-1, 0, k)
    below = adjoint(low1) @ gl.narrow(-2, 0, k)
    above = gu.narrow(-1, 0, k) @ adjoint(up1)
    if n > k:
        g2 = gu.narrow(-1, k, n - k)
        below = below - g2 @ adjoint(up.narrow(-1, k, n - k))
    if m > k:
        g2 = gl.narrow(-2, k, m - k)
        above = above - adjoint(low.narrow(-2, k, m - k)) @ g2
    inner = below.tril(-1) + above.triu()
    first = _over(solve_adjoint(low1, inner, "lower"), up1, "upper")
    if n > k:
        from facula.ops.joining import cat

        beside = solve_adjoint(low1, gu.narrow(-1, k, n - k), "lower")
        first = cat.__wrapped__([first, beside], -1)
    if m > k:
        from facula.ops.joining import cat

        first = cat.__wrapped__([first, _over(gl.narrow(-2, k, m - k), up1, "upper")], -2)
    return permutation(o[1].detach(), m) @ first if p else first


_TURNED = {"": "", "lower": "upper", "upper": "lower"}


def solve_adjoint(a: Any, b: Any, triangle: str = "") -> Any:
    """a^-H b."""
    return solve(adjoint(a), b, _TURNED[triangle])


def _over(b: Any, a: Any, triangle: str = "") -> Any:
    """b a^-H."""
    return adjoint(solve(a, adjoint(b), triangle))


def _zero_pivot(p: Any, s: Any, a: Any) -> Any:
    found = np.zeros(a.shape[:-2], np.int32)
    if a.size == 0:
        return found
    singular = np.linalg.slogdet(a)[0] == 0
    if singular.any():
        first = _lu(True, a[singular])[2]
        found[singular] = np.where(first == 0, a.shape[-1], first)
    return found


# The first zero pivot of each square matrix, 0 where there is none.
ZERO_PIVOT: Op = Op(
    "zero_pivot", lambda p, st, a: (a.shape[:-2], dtypes.int32, None, 0), _zero_pivot
)

LU = Packed("lu_factor", lambda p, s: [s, (min(s),), ()], _lu, _lu_grad)


def _permutation(p: Any, s: Any, a: Any) -> Any:
    (m,) = p
    count = math.prod(a.shape[:-1])
    swaps = a.reshape(count, a.shape[-1]).real.astype(np.int64) - 1
    every = np.arange(count)
    if count == 1:
        order = list(range(m))
        for j, at in enumerate(swaps[0].tolist()):
            order[j], order[at] = order[at], order[j]
        rows = np.array([order], np.int64)  # also where there is no row
    else:
        rows = np.tile(np.arange(m), (count, 1))
        for j in range(swaps.shape[1]):
            at = swaps[:, j]
            rows[every, j], rows[every, at] = rows[every, at].copy(), rows[every, j].copy()
    out = np.zeros((len(rows), m, m), a.dtype if a.dtype.kind in "fc" else np.float32)
    out[every[:, None], rows, np.arange(m)] = 1
    return out.reshape(*a.shape[:-1], m, m)


PERMUTATION: Op = Op(
    "pivots_to_permutation",
    lambda p, st, a: (
        (*a.shape[:-1], p[0], p[0]),
        a.dtype if a.dtype.category >= dtypes.FLOAT else dtypes.float32,
        None,
        0,
    ),
    _permutation,
)


def permutation(pivots: Any, m: int) -> Any:
    """P of A = P L U, from the rows exchanged."""
    return record(PERMUTATION, (pivots,), (m,))


# Solving and inverting. A singular matrix gives infinities; the callers raise before that is seen.
# The parameter says which triangle alone is not zero, where that is known: kernels use it.
def _solve_body(p: Any, s: Any, a: Any, b: Any) -> Any:
    if a.size == 0 or b.size == 0:
        shape = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), *b.shape[-2:])
        return np.zeros(shape, a.dtype)
    try:
        return np.linalg.solve(a, b).astype(a.dtype)
    except np.linalg.LinAlgError:
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        x = np.broadcast_to(a, (*batch, *a.shape[-2:]))
        y = np.broadcast_to(b, (*batch, *b.shape[-2:]))
        out = np.empty(y.shape, a.dtype)
        for i in np.ndindex(*batch):
            out[i] = _by_elimination(x[i], y[i])
        return out


def _by_elimination(a: Any, b: Any) -> Any:
    lu, pivots, _ = _lu(True, a[None])
    lu, y = lu[0], b.copy()
    for j, at in enumerate(pivots[0] - 1):
        y[[j, at]] = y[[at, j]]
    for j in range(len(lu)):
        y[j] -= lu[j, :j] @ y[:j]
    for j in range(len(lu) - 1, -1, -1):
        y[j] = (y[j] - lu[j, j + 1 :] @ y[j + 1 :]) / lu[j, j]
    return y


def _solve_infer(p: Any, st: Any, a: Any, b: Any) -> Any:
    return (*broadcast([a.shape[:-2], b.shape[:-2]], "solve"), *b.shape[-2:]), a.dtype, None, 0


SOLVE: Op = Op(
    "solve",
    _solve_infer,
    _solve_body,
    (
        lambda g, a, o, an, p: _fit(-(solve_adjoint(a, g, *p) @ adjoint(o)), an),
        lambda g, a, bn, p: _fit(solve_adjoint(a, g, *p), bn),
    ),
)
SOLVE.watches = "o"


def solve(a: Any, b: Any, triangle: str = "") -> Any:
    """x of a x = b, for matrices b; `triangle`: outside which a is zero ("lower", "upper")."""
    return record(SOLVE, (a, b), (triangle,) if triangle else ())


def _inverse(p: Any, s: Any, a: Any) -> Any:
    if a.size == 0:
        return a.copy()
    try:
        return np.linalg.inv(a).astype(a.dtype)
    except np.linalg.LinAlgError:
        return _solve_body(p, s, a, np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape))


INVERSE: Op = Op(
    "inverse",
    lambda p, st, a: (a.shape, a.dtype, None, 0),
    _inverse,
    (lambda g, o: -(adjoint(o) @ g @ adjoint(o)),),
)


# Determinants.
NEARLY_SINGULAR = 1e-4  # a condition number, in units of the rounding


def _cofactors(p: Any, s: Any, a: Any) -> Any:
    """det(a) a^-T; by way of the singular values where a matrix is singular, or nearly so."""
    if a.size == 0:
        return a.copy()
    try:
        inverse = np.linalg.inv(a)
        condition = np.abs(a).sum(-1).max(-1) * np.abs(inverse).sum(-1).max(-1)
        if (condition * np.finfo(a.dtype).eps < NEARLY_SINGULAR).all():
            turned = np.swapaxes(inverse, -1, -2)
            return np.asarray(np.linalg.det(a)[..., None, None] * turned).astype(a.dtype)
    except np.linalg.LinAlgError:
        pass
    u, d, v = np.linalg.svd(a)
    n = d.shape[-1]
    others = np.broadcast_to(d[..., None, :], (*d.shape, n)).copy()
    others[..., np.arange(n), np.arange(n)] = 1
    scale = np.linalg.det(u) * np.linalg.det(v)
    out = np.conj(u * others.prod(-1)[..., None, :] @ v) * np.conj(1 / scale)[..., None, None]
    return out.astype(a.dtype)


def _cofactors_grad(g: Any, a: Any, o: Any) -> Any:
    w = record(INVERSE, (a,)).transpose(-2, -1).conj_physical()
    d = record(DET, (a,)).conj_physical().unsqueeze(-1).unsqueeze(-1)
    total = (g * w).sum((-2, -1), keepdim=True)
    return total * o.conj_physical() - d * (w @ g.transpose(-2, -1) @ w)


COFACTORS: Op = Op(
    "cofactors", lambda p, st, a: (a.shape, a.dtype, None, 0), _cofactors, (_cofactors_grad,)
)


def _det_grad(g: Any, a: Any) -> Any:
    return g.unsqueeze(-1).unsqueeze(-1) * record(COFACTORS, (a,)).conj_physical()


DET: Op = Op(
    "det",
    lambda p, st, a: (a.shape[:-2], a.dtype, None, 0),
    lambda p, s, a: np.asarray(np.linalg.det(a)).astype(a.dtype),
    (_det_grad,),
)
DET.watches = "o"


def _slogdet(p: Any, a: Any) -> Any:
    sign, size = np.linalg.slogdet(a)
    return [sign, size]


def _slogdet_grad(g: Any, a: Any, o: Any, p: Any) -> Any:
    t = real_part(g[1]).to(a.dtype)
    if a.dtype.is_complex:
        turn = (g[0].conj_physical() * o[0] * 1j).real
        t = t + turn * 1j
    return t.unsqueeze(-1).unsqueeze(-1) * adjoint(record(INVERSE, (a,)))


SLOGDET = Packed("slogdet", lambda p, s: [(), ()], _slogdet, _slogdet_grad)
