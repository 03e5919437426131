"""Reductions and scans. Parameters: the dimensions (normalised), and whether they are kept."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from facula import dtypes
from facula.ops.movement import EXPAND, RESHAPE
from facula.ops.pointwise import WHERE
from facula.ops.registry import Op, widened
from facula.trace.recorder import TLS, record


def reduced(shape: tuple[int, ...], dims: tuple[int, ...], keep: bool) -> tuple[int, ...]:
    """The shape of a reduction's result."""
    if not isinstance(keep, int):
        raise TypeError(f"argument 'keepdim' must be bool, not {type(keep).__name__}")
    if keep:
        return tuple([1 if i in dims else n for i, n in enumerate(shape)])
    return tuple([n for i, n in enumerate(shape) if i not in dims])


def unreduce(g: Any, an: Any, p: Any) -> Any:
    """A reduction's gradient (or result), spread over the reduced dimensions."""
    dims, keep = p[0], p[1]
    if not keep:
        g = record(RESHAPE, (g,), reduced(an.shape, dims, True))
    return record(EXPAND, (g,), an.shape)


def _sum_grad(g: Any, an: Any, p: Any) -> Any:
    # That of a mean is dense: PyTorch divides after it expands, and its result may be written to.
    g = unreduce(g, an, p)
    return g.contiguous() if len(p) > 2 else g


def _infer(p: Any, st: Any, a: Any) -> Any:
    return reduced(a.shape, p[0], p[1]), a.dtype, None, 0


def _bool_infer(p: Any, st: Any, a: Any) -> Any:
    return reduced(a.shape, p[0], p[1]), dtypes.bool, None, 0


def _index_infer(p: Any, st: Any, a: Any) -> Any:
    return reduced(a.shape, p[0], p[1]), dtypes.int64, None, 0


def _np(f: Any) -> Any:
    return widened(lambda p, s, a: np.asarray(f(a, p[0], a.dtype, None, p[1])))


# A third parameter: the sum is that of a mean.
SUM: Op = Op("sum", _infer, _np(np.add.reduce), (_sum_grad,))


def _prod_grad(g: Any, a: Any, p: Any) -> Any:
    """Product of all the others."""
    (dim,), _ = p
    n = a.shape[dim]
    g = unreduce(g, a.node, p)
    if n < 2:
        from facula.ops.movement import TIED

        # A second derivative of zero there is, too.
        return record(TIED, (g, a), (a.shape, a.dtype)) if n and TLS.r.grad else g.clone()
    if not TLS.r.grad and not a.dtype.is_complex:
        return g * _product_of_others(a, dim)
    return _without_dividing(g, a, dim)


def _product_of_others(a: Any, dim: int) -> Any:
    """The product of a line divided by each of it, and what zero, infinity and NaN make of it.

    PyTorch divides where the tensor has no zero, and multiplies all the others where it has one.
    """
    one, nan = a.new_ones(()), a.new_full((), math.nan)
    zero, bad, endless = a == 0, a != a, a.abs() == math.inf
    unit = _choose(endless, _choose(a > 0, one, -one), _choose(zero | bad, one, a))
    product = record(PROD, (unit,), ((dim,), True)) / unit
    zeros, bads, infinite = (
        record(SUM, (t,), ((dim,), True)) - t
        for t in [mask.to(a.dtype) for mask in (zero, bad, endless)]
    )
    at_zero = _choose(infinite > 0, nan, a.new_zeros(()))
    product = _choose(zeros > 0, at_zero, _choose(infinite > 0, product * math.inf, product))
    divided = (endless | bad) & ~zero.any()
    return _choose((bads > 0) | divided, nan, product)


def _without_dividing(g: Any, a: Any, dim: int) -> Any:
    """Products of all the others: right at zeros too, as are its derivatives."""
    n = a.shape[dim]
    one = a.new_ones([1 if i == dim else m for i, m in enumerate(a.shape)])
    left = record(CUMPROD, (a.narrow(dim, 0, n - 1),), (dim,))
    right = record(CUMPROD, (a.narrow(dim, 1, n - 1).flip(dim),), (dim,)).flip(dim)
    from facula.ops.movement import cat_record

    return g * (cat_record((one, left), dim) * cat_record((right, one), dim)).conj_physical()


PROD: Op = Op("prod", _infer, _np(np.multiply.reduce), (_prod_grad,))
PROD.watches = "o"


def _extreme_grad(g: Any, a: Any, o: Any, p: Any) -> Any:
    """Equal shares to all that attain the extreme."""
    if len(p[0]) == len(a.node.shape) and not p[1]:  # PyTorch's `max()`
        hit = (a == o) | ((a != a) & (o != o))
        share = unreduce(g / hit.to(g.dtype).sum(p[0]), a.node, p)
        return record(WHERE, (hit, share, g.new_zeros(())))
    hit = (a == unreduce(o, a.node, p)).to(g.dtype)
    return unreduce(g, a.node, p) * (hit / hit.sum(p[0], keepdim=True))


def _extreme(f: Any, where: Any) -> Any:
    """Extremes; of equal zeros the first, whose sign NumPy's do not keep."""

    def body(p: Any, s: Any, a: Any) -> Any:
        dims, keepdim = p
        out = np.asarray(f(a, axis=dims, keepdims=keepdim))
        if a.dtype.kind != "f" or not a.size or out.all():
            return out
        dims = [d % a.ndim for d in dims]
        kept = [d for d in range(a.ndim) if d not in dims]
        rows = a.transpose(kept + sorted(dims)).reshape(*[a.shape[d] for d in kept], -1)
        return np.take_along_axis(rows, where(rows, axis=-1, keepdims=True), -1).reshape(out.shape)

    return widened(body)


AMAX: Op = Op("amax", _infer, _extreme(np.maximum.reduce, np.argmax), (_extreme_grad,))
AMIN: Op = Op("amin", _infer, _extreme(np.minimum.reduce, np.argmin), (_extreme_grad,))
ANY: Op = Op(
    "any", _bool_infer, lambda p, s, a: np.asarray(np.logical_or.reduce(a, p[0], keepdims=p[1]))
)
ALL: Op = Op(
    "all", _bool_infer, lambda p, s, a: np.asarray(np.logical_and.reduce(a, p[0], keepdims=p[1]))
)


def _arg(f: Any) -> Any:
    return widened(
        lambda p, s, a: np.asarray(f(a, axis=p[0][0], keepdims=p[1])).astype(np.int64, copy=False)
    )


ARGMAX: Op = Op("argmax", _index_infer, _arg(np.argmax))
ARGMIN: Op = Op("argmin", _index_infer, _arg(np.argmin))


def _scan_infer(p: Any, st: Any, a: Any) -> Any:
    return a.shape, a.dtype, None, 0


def _cumsum(p: Any, s: Any, a: Any) -> Any:
    out = np.cumsum(a, axis=p[0], dtype=a.dtype)
    out += 0  # a sum begins with 0: of -0.0 it is 0.0
    return out


CUMSUM: Op = Op(
    "cumsum",
    _scan_infer,
    widened(_cumsum),
    (lambda g, p: record(CUMSUM, (g.flip(p[0]),), p).flip(p[0]),),
)


def _choose(c: Any, a: Any, b: Any) -> Any:
    return record(WHERE, (c, a, b))


def _cumprod_grad(g: Any, a: Any, o: Any, p: Any) -> Any:
    (d,) = p
    if TLS.r.grad:
        return _cumprod_exact(g, a, d)
    # Products before the first zero are divided; at it, they are taken with a one in its place.
    zero = a == 0
    first = zero & (zero.cumsum(d) == 1)
    free = zero.cumsum(d) == 0
    one, none = a.new_ones(()), a.new_zeros(())
    with_one = record(CUMPROD, (_choose(first, one, a),), p)
    at = record(CUMSUM, ((g * with_one.conj_physical()).flip(d),), p).flip(d)
    before = record(CUMSUM, ((g * o.conj_physical()).flip(d),), p).flip(d)
    return _choose(first, at, _choose(free, before / _choose(zero, one, a).conj_physical(), none))


def _cumprod_exact(g: Any, a: Any, d: int) -> Any:
    """Every partial product without each of its factors: quadratic, and right at every order."""
    n = a.node.shape[d]
    x = a.movedim(d, -1)
    eye = a.new_ones((n, n)).tril().triu()
    parts = (x.unsqueeze(-2) * (1 - eye) + eye).cumprod(-1)  # [factor left out, up to]
    parts = parts * a.new_ones((n, n)).triu()
    return (g.movedim(d, -1).unsqueeze(-2) * parts.conj_physical()).sum(-1).movedim(-1, d)


CUMPROD: Op = Op(
    "cumprod",
    _scan_infer,
    widened(lambda p, s, a: np.cumprod(a, axis=p[0], dtype=a.dtype)),
    (_cumprod_grad,),
)


def _softmax_grad(g: Any, o: Any, p: Any) -> Any:
    part = g * o
    return part - o * record(SUM, (part,), p)


# A softmax, of which the first operand is the value: its derivative needs nothing else, while those
# of the exponential and the quotient would keep two values more. Parameters: those of the sum.
SOFTMAX: Op = Op(
    "softmax",
    lambda p, st, a, b: (a.shape, a.dtype, a.strides, 0),
    lambda p, s, a, b: a,
    (None, _softmax_grad),
)


def _var_grad(g: Any, b: Any, p: Any) -> Any:
    dims, keepdim, left = p
    g = unreduce(g, b.node, (dims, keepdim))
    n = math.prod([b.node.shape[d] for d in dims])
    off = b - record(SUM, (b,), (dims, True)) / n
    if left <= 0:
        return g * _choose(off == 0, off.new_full((), math.nan), off.new_full((), math.inf))
    return g * (2 / left) * off


def _std_grad(g: Any, b: Any, o: Any, p: Any) -> Any:
    return _var_grad(_choose(o == 0, g.new_zeros(()), g / (o * 2)), b, p)


def _norm_grad(g: Any, b: Any, o: Any, p: Any) -> Any:
    dims, _, order = p
    g, o = unreduce(g, b.node, p), unreduce(o, b.node, p)
    none = g.new_zeros(())
    if order == 0:
        return (g * none).to(b.node.dtype)
    if order == 1:
        return b.sgn() * g
    if order == 2:  # where the norm is 0, so is the derivative, but the second one is NaN
        return g * _choose(o == 0, b.new_zeros(()), b / o)
    size = b.abs()
    if math.isinf(order):
        most = (size == o) | (size != size)
        shared = unreduce(record(SUM, (most.to(g.node.dtype),), (dims, True)), b.node, (dims, True))
        return b.sgn() * _choose(most, g / shared, none)
    if order < 1:
        part = b.sgn() * _choose(size == 0, none, size.pow(order - 1))
        return part * g * o.pow(1 - order)
    part = b.sgn() * size.pow(order - 1) if order < 2 else b * size.pow(order - 2)
    apart = _choose(o == 0, o.new_ones(()), o)  # products with tangents are 0 there, not NaN
    return part * _choose(o == 0, none, g / apart.pow(order - 1))


# A variance, its root, and a norm, after the value: as the softmax. Parameters: the dimensions,
# keepdim, and what the sum of squares was divided by, or the norm's order.
VAR, STD, NORM = [
    Op(
        name,
        lambda p, st, a, b: (a.shape, a.dtype, a.strides, 0),
        lambda p, s, a, b: a,
        (None, formula),
    )
    for name, formula in (("var", _var_grad), ("std", _std_grad), ("norm", _norm_grad))
]
# Sorting gives indices; values are gathered with them, which has the derivative.
ARGSORT: Op = Op(
    "argsort",
    lambda p, st, a: (a.shape, dtypes.int64, None, 0),
    widened(lambda p, s, a: _argsort(a, p[0], p[1])),
)


def _argsort(a: Any, dim: int, descending: bool) -> Any:
    if not descending:
        return _stable(a, dim).astype(np.int64, copy=False)
    back = (*[slice(None)] * (dim % a.ndim), slice(None, None, -1))
    index = _stable(a[back], dim)[back]
    return (a.shape[dim] - 1 - index).astype(np.int64, copy=False)


def _stable(a: Any, dim: int) -> Any:
    """`a.argsort(dim, "stable")`. NumPy sorts 16 bits by counting, and all else by comparing, which
    takes three times as long as two rounds of the former: the low bits, then the high ones."""
    if not a.size or not a.ndim or a.shape[dim] < LONG:
        return a.argsort(dim, "stable")
    if dim % a.ndim != a.ndim - 1:  # lines that lie together
        return np.moveaxis(_stable(np.ascontiguousarray(np.moveaxis(a, dim, -1)), -1), -1, dim)
    keys, order = _keys(a), None
    if keys is None:
        return a.argsort(dim, "stable")
    for shift in range(0, 8 * keys.itemsize, 16):
        digits = (keys >> keys.dtype.type(shift)).astype(np.uint16)
        if order is None:
            order = digits.argsort(dim, "stable")
        else:
            again = _take_along(digits, order, dim).argsort(dim, "stable")
            order = _take_along(order, again, dim)
    return order


LONG = 512  # elements of a line that are sorted by their bits


def _keys(a: Any) -> Any:
    """Unsigned integers that are ordered as these numbers, or None: NaN last, zeros equal."""
    if a.dtype.kind in "iu" and a.itemsize > 2:
        low = a.min()
        span = int(a.max()) - int(low)
        if span >= 1 << 32:
            return None
        with np.errstate(over="ignore"):
            return (a - low).astype(np.uint16 if span < 1 << 16 else np.uint32)
    if a.dtype not in (np.float32, np.float64):
        return None
    bits = np.dtype(f"u{a.itemsize}")
    one = bits.type(1)
    keys = (a + a.dtype.type(0)).view(bits)  # of -0.0 this makes 0.0
    sign = keys >> bits.type(8 * a.itemsize - 1)
    # Negative ones in the opposite order, and before the others.
    keys ^= (bits.type(0) - sign) | (one << bits.type(8 * a.itemsize - 1))
    keys[np.isnan(a)] = ~bits.type(0)
    return keys


def _take_along(a: Any, index: Any, dim: int) -> Any:
    return a[index] if a.ndim == 1 else np.take_along_axis(a, index, dim)


def _topk_index(a: Any, dim: int, k: int, largest: bool) -> Any:
    n = a.shape[dim]
    ends = [slice(None)] * a.ndim
    if k == 0 or 8 * k >= n:
        ends[dim] = slice(0, k)
        return _argsort(a, dim, largest)[tuple(ends)]
    # Selecting takes one pass on average; NaN is the largest, as it is for PyTorch. Of equal
    # values the first come first.
    at = n - k if largest else k - 1
    ends[dim] = slice(at, at + 1)
    last = _take_along(a, np.argpartition(a, at, axis=dim)[tuple(ends)], dim)
    nan, of_last = np.isnan(a), np.isnan(last)
    better = (nan & ~of_last) | (a > last) if largest else (of_last & ~nan) | (a < last)
    equal = np.where(of_last, nan, a == last)
    left = k - better.sum(dim, keepdims=True)
    taken = np.moveaxis(better | (equal & (equal.cumsum(dim) <= left)), dim, -1)
    chosen = np.nonzero(taken)[-1].reshape(*taken.shape[:-1], k)
    chosen = np.moveaxis(chosen, -1, dim)
    order = _argsort(_take_along(a, chosen, dim), dim, largest)
    return _take_along(chosen, order, dim).astype(np.int64, copy=False)


TOPK_INDEX: Op = Op(
    "topk_index",
    lambda p, st, a: ((*a.shape[: p[0]], p[1], *a.shape[p[0] + 1 :]), dtypes.int64, None, 0),
    widened(lambda p, s, a: np.ascontiguousarray(_topk_index(a, *p))),
)
