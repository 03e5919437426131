"""Scans along a dimension, differences and integrals of samples."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from facula import dtypes
from facula.ops import pointwise as pw
from facula.ops import reduce as rd
from facula.ops.composed import whole
from facula.ops.indexing import GATHER, only
from facula.ops.movement import RESHAPE
from facula.ops.reductions import _wide
from facula.ops.registry import Op, widened
from facula.ops.shapes import dims_of
from facula.ops.table import FUNCTIONS, api
from facula.return_types import fields
from facula.tensor import Tensor
from facula.tensor_base import wrap_dim
from facula.trace.recorder import TLS, record


def _scanned(name: str, input: Any, dim: int, dtype: Any) -> tuple[Any, int]:
    """The operand and the dimension of a running sum or product."""
    t = _wide(input, dtype)
    d = wrap_dim(dim, len(t.node.shape))
    if t.node.dtype is dtypes.bool and t.node.shape and t.numel():
        raise NotImplementedError(f"{name}: not implemented for a bool tensor {list(t.shape)}")
    return t, d


@api(inplace=True)
def cumsum(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """Running sums along a dimension."""
    t, d = _scanned("cumsum", input, dim, dtype)
    if not t.node.shape or t.node.dtype is dtypes.bool:  # of bools there are none
        return t.clone()
    return record(rd.CUMSUM, (t,), (d,))


@api(inplace=True)
def cumprod(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """Running products along a dimension."""
    t, d = _scanned("cumprod", input, dim, dtype)
    if t.node.dtype is dtypes.bool:
        return t.clone()
    return _along(rd.CUMPROD, t, d)


def _along(prim: Op, t: Any, d: int) -> Any:
    """A scan that saves its result, also of a tensor without dimensions."""
    if t.node.shape:
        return record(prim, (t,), (d,))
    row = record(prim, (record(RESHAPE, (t,), (1,)),), (0,))
    return record(RESHAPE, (row,), ())


def _running(name: str, accumulate: Any) -> Op:
    """The position of the running extreme: of the last of equal ones, and of NaN from there on."""

    def body(p: Any, s: Any, a: Any) -> Any:
        best = accumulate(a, axis=p[0])
        hit = a == best
        if a.dtype.kind == "f":
            hit |= np.isnan(a)
        shape = [1] * a.ndim
        shape[p[0]] = -1
        at = np.where(hit, np.arange(a.shape[p[0]]).reshape(shape), 0)
        return np.maximum.accumulate(at, axis=p[0])

    return Op(name, lambda p, st, a: (a.shape, dtypes.int64, None, 0), widened(body))


def _cumulative_extreme(name: str, prim: Op) -> None:
    kind = fields(name)

    def f(input: Any, dim: int) -> Any:
        # Of no elements PyTorch takes any dimension.
        d = wrap_dim(dim, len(input.node.shape)) if input.numel() else 0
        if input.node.dtype.is_complex:
            raise NotImplementedError(f'"{name}" not implemented for {input.dtype}')
        if not input.node.shape:
            return kind((only(input), FUNCTIONS["zeros"]((), dtype=dtypes.int64)))
        at = record(prim, (input,), (d,))
        values = record(GATHER, (input, at), d)
        return kind((whole(values, name.capitalize(), input, at), at))

    f.__name__ = name
    f.__doc__ = f"Running {name[3:]}ima along a dimension, and where they are."
    api(f)


_cumulative_extreme("cummax", _running("cummax_index", np.maximum.accumulate))
_cumulative_extreme("cummin", _running("cummin_index", np.minimum.accumulate))


def _log_scan(p: Any, s: Any, a: Any) -> Any:
    if a.dtype.kind != "c":
        out = np.logaddexp.accumulate(a, axis=p[0])
        out += 0  # a sum begins with log(0): of -0.0 it is 0.0
        return out
    out = np.moveaxis(a.copy(), p[0], 0)
    for i in range(1, len(out)):
        x, y = out[i - 1], out[i]
        low, high = np.where(x.real < y.real, x, y), np.where(x.real < y.real, y, x)
        out[i] = np.where(np.isfinite(low.real), np.log(1 + np.exp(low - high)) + high, high)
    return np.moveaxis(out, 0, p[0])


def _log_scan_grad(g: Any, a: Any, o: Any, p: Any) -> Any:
    (d,) = p
    if TLS.r.grad or a.dtype.is_complex:  # linear in g, as its own derivatives have to be
        top = (o.real if a.dtype.is_complex else o).detach()
        top = record(rd.AMAX, (top,), (p, True))
        top = record(pw.WHERE, (top.abs() < math.inf, top, top.new_zeros(())))
        t = (g * (top - o).exp().conj_physical()).flip(d)
        return record(rd.CUMSUM, (t,), p).flip(d) * (a - top).exp().conj_physical()
    # Signs apart and in logarithms, so that exp(-o) cannot overflow. NaN has neither sign.
    parts = []
    for sign in (g, -g):
        t = (record(pw.WHERE, (sign > 0, sign, sign.new_zeros(()))).log() - o).flip(d)
        parts.append((record(LOGCUMSUMEXP, (t,), p).flip(d) + a).exp())
    return parts[0] - parts[1]


LOGCUMSUMEXP: Op = Op(
    "logcumsumexp",
    lambda p, st, a: (a.shape, a.dtype, None, 0),
    widened(_log_scan),
    (_log_scan_grad,),
)


@api
def logcumsumexp(input: Any, dim: int) -> Any:
    """log(cumsum(exp(input))), without overflow."""
    d = wrap_dim(dim, len(input.node.shape))
    if input.node.dtype.category < dtypes.FLOAT:
        raise NotImplementedError(
            f'logcumsumexp: "logcumsumexp_out_cpu" not implemented for {input.dtype}'
        )
    return _along(LOGCUMSUMEXP, input, d)


@api
def diff(input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """The n-th differences of neighbours along a dimension (exclusive or for bools)."""
    if not input.node.shape:
        raise RuntimeError("diff expects input to be at least one-dimensional, got shape []")
    if n < 0:
        raise RuntimeError(f"diff: order must be non-negative but got {n}")
    d = wrap_dim(dim, len(input.node.shape))
    parts = [x for x in (prepend, input, append) if x is not None]
    for x in parts:
        if len(x.node.shape) != len(input.node.shape):
            raise RuntimeError(
                "diff expects prepend or append to be the same dimension as input, got shapes "
                f"{list(x.node.shape)} and {list(input.node.shape)}"
            )
    if n == 0:
        return input.clone()
    t = FUNCTIONS["cat"](parts, d) if len(parts) > 1 else input
    for _ in range(min(n, t.node.shape[d])):
        m = t.node.shape[d] - 1
        high, low = t.narrow(d, min(1, m + 1), m), t.narrow(d, 0, m)
        t = high ^ low if t.dtype is dtypes.bool else high - low
    return t


def _spacing(name: str, y: Any, x: Any, dx: Any, d: int) -> Any:
    """The widths between samples: a number, or a tensor that broadcasts with them."""
    if x is None:
        return dx
    if len(x.node.shape) == 1 and len(y.node.shape) > 1:
        if x.numel() != y.node.shape[d]:
            raise RuntimeError(
                f"{name}: There must be one `x` value for each sample point, got {x.numel()} for "
                f"{y.node.shape[d]}"
            )
        width = x.narrow(0, 1, max(x.numel() - 1, 0)) - x.narrow(0, 0, max(x.numel() - 1, 0))
        return width.reshape([-1 if i == d else 1 for i in range(len(y.node.shape))])
    if len(x.node.shape) < len(y.node.shape):
        x = x.reshape((1,) * (len(y.node.shape) - len(x.node.shape)) + x.node.shape)
        k = d
    else:
        k = d + len(x.node.shape) - len(y.node.shape)
    m = max(x.node.shape[k] - 1, 0)
    return x.narrow(k, min(1, x.node.shape[k]), m) - x.narrow(k, 0, m)


def _trapezoids(name: str, y: Any, x: Any, dx: Any, dim: int) -> tuple[Any, int]:
    d = wrap_dim(dim, len(y.node.shape))
    if not y.node.shape:
        raise IndexError(f"{name}: Dimension specified as {dim} but tensor has no dimensions")
    if isinstance(dx, Tensor):
        x, dx = dx, 1.0
    width = _spacing(name, y, x, dx, d)
    m = max(y.node.shape[d] - 1, 0)
    pairs = y.narrow(d, min(1, y.node.shape[d]), m) + y.narrow(d, 0, m)
    if dx == 1.0 and x is None and pairs.dtype.category >= dtypes.FLOAT:
        areas = pairs / 2.0
    else:
        areas = pairs * width / 2.0
    return areas, d - len(y.node.shape)


def _no_bools(name: str, *tensors: Any) -> None:
    for t in tensors:
        if isinstance(t, Tensor) and t.dtype is dtypes.bool:
            raise RuntimeError(f"{name}: received a bool tensor, which is not supported")


@api(method=False, names=("trapz",))
def trapezoid(y: Any, x: Any = None, *, dx: Any = 1.0, dim: int = -1) -> Any:
    """The integral of samples along a dimension by the trapezoidal rule."""
    _no_bools("trapezoid", y, x)
    if y.node.shape and y.node.shape[wrap_dim(dim, len(y.node.shape))] == 0:
        return y.sum(dim) * 0.0
    areas, d = _trapezoids("trapezoid", y, x, dx, dim)
    return areas.sum(d)


@api(method=False)
def cumulative_trapezoid(y: Any, x: Any = None, *, dx: Any = 1.0, dim: int = -1) -> Any:
    """The running integral of samples along a dimension by the trapezoidal rule."""
    _no_bools("cumulative_trapezoid", y, x)
    areas, d = _trapezoids("cumulative_trapezoid", y, x, dx, dim)
    return areas.cumsum(d)


@api(method=False)
def gradient(input: Any, *, spacing: Any = None, dim: Any = None, edge_order: int = 1) -> Any:
    """Derivatives of samples along dimensions: central differences, one-sided at the ends."""
    if edge_order not in (1, 2):
        raise RuntimeError(
            f"torch.gradient only supports edge_order=1 and edge_order=2, got {edge_order}"
        )
    if input.dtype in (dtypes.bool, dtypes.uint8):
        raise RuntimeError(f"torch.gradient does not support {input.dtype} input")
    rank = len(input.node.shape)
    dims = dims_of(dim, rank)
    steps: list[Any] = [1.0] * len(dims)
    if isinstance(spacing, (list, tuple)):
        if len(spacing) != len(dims):
            raise RuntimeError(
                "torch.gradient expected spacing to be unspecified, a scalar or its spacing and "
                f"dim arguments to have the same length, but got {len(spacing)} and {len(dims)}"
            )
        steps = list(spacing)
    elif spacing is not None:
        steps = [spacing] * len(dims)
    for d in dims:
        if input.node.shape[d] < edge_order + 1:
            raise RuntimeError(
                "torch.gradient expected each dimension size to be at least edge_order+1, got "
                f"size {input.node.shape[d]} for dimension {d}"
            )
    if input.dtype.category < dtypes.FLOAT:
        input = input.to(dtypes.get_default_dtype())
    return tuple([_derivative(input, d, h, edge_order) for d, h in zip(dims, steps, strict=True)])


def _derivative(t: Any, d: int, step: Any, edge: int) -> Any:
    n, rank = t.node.shape[d], len(t.node.shape)

    def at(i: int) -> Any:
        return t.narrow(d, i % n, 1)

    if isinstance(step, Tensor) and step.node.shape:
        shape = [-1 if i == d else 1 for i in range(rank)]
        h = (step.narrow(0, 1, n - 1) - step.narrow(0, 0, n - 1)).reshape(shape)
        a, b = h.narrow(d, 0, max(n - 2, 0)), h.narrow(d, 1, max(n - 2, 0))
        h0, h1 = h.narrow(d, 0, 1), h.narrow(d, min(1, n - 2), 1)
        z0, z1 = h.narrow(d, n - 2, 1), h.narrow(d, max(n - 3, 0), 1)
    else:
        a = b = h0 = h1 = z0 = z1 = step
    parts = []
    if edge == 1:
        first, last = (at(1) - at(0)) / h0, (at(-1) - at(-2)) / z0
    else:
        first, last = _edge(at(0), at(1), at(2), h0, h1), -_edge(at(-1), at(-2), at(-3), z0, z1)
    parts.append(first)
    if n > 2:
        x, y, z = t.narrow(d, 0, n - 2), t.narrow(d, 1, n - 2), t.narrow(d, 2, n - 2)
        if a is step:
            parts.append((z - x) / (2 * step))
        else:
            parts.append(
                x * (-b / (a * (a + b))) + y * ((b - a) / (a * b)) + z * (a / (b * (a + b)))
            )
    parts.append(last)
    return FUNCTIONS["cat"](parts, d)


def _edge(x: Any, y: Any, z: Any, h: Any, k: Any) -> Any:
    """The slope at x of the parabola through x, y and z, at distances h and k."""
    return x * (-(2 * h + k) / (h * (h + k))) + y * ((h + k) / (h * k)) - z * (h / (k * (h + k)))
