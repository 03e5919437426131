"""Discrete Fourier transforms, with derivatives of every order.

Source: https://pytorch.org/docs/stable/fft.html. Every function takes `norm`: "backward" (None)
scales the inverse transform by 1/n, "forward" the forward transform, "ortho" both by 1/sqrt(n).
Errors: IndexError for a dimension that is not there, RuntimeError for a length below 1 or an
unknown norm.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from facula import dtypes
from facula.errors import honest
from facula.ops import movement as mv
from facula.ops import pointwise as pw
from facula.ops.complexes import REAL_VIEW
from facula.ops.creations import arange
from facula.ops.promotion import need
from facula.ops.registry import Op
from facula.ops.storing import store
from facula.ops.table import FUNCTIONS, explained, public
from facula.tensor_base import wrap_dim
from facula.trace.recorder import record

# Modes of scaling: 0 none, 1 by 1/sqrt(n), 2 by 1/n. NumPy's names, by direction.
_NUMPY: Any = {True: ("backward", "ortho", "forward"), False: ("forward", "ortho", "backward")}


def _c2c_body(p: Any, s: Any, a: Any) -> Any:
    dims, forward, mode = p
    f = np.fft.fftn if forward else np.fft.ifftn
    return f(a, axes=dims, norm=_NUMPY[forward][mode]).astype(a.dtype)


C2C: Op = Op(
    "fft_c2c",
    lambda p, st, a: (a.shape, a.dtype, None, 0),
    _c2c_body,
    (lambda g, p: record(C2C, (g,), (p[0], not p[1], p[2])),),
)


def _r2c_infer(p: Any, st: Any, a: Any) -> Any:
    d = p[0]
    return (*a.shape[:d], a.shape[d] // 2 + 1, *a.shape[d + 1 :]), a.dtype.to_complex(), None, 0


def _r2c_body(p: Any, s: Any, a: Any) -> Any:
    d, forward, mode = p
    out = np.fft.rfft(a, axis=d, norm=_NUMPY[True][mode])
    out = out.astype(np.complex128 if a.dtype == np.float64 else np.complex64)
    return out if forward else np.conj(out)


def _r2c_grad(g: Any, an: Any, p: Any) -> Any:
    d, forward, mode = p
    whole = record(C2C, (_resized(g, d, an.shape[d]),), ((d,), not forward, mode))
    return record(REAL_VIEW, (whole,))


R2C: Op = Op("fft_r2c", _r2c_infer, _r2c_body, (_r2c_grad,))
R2C.watches = "a"


def _c2r_infer(p: Any, st: Any, a: Any) -> Any:
    d = p[0]
    return (*a.shape[:d], p[1], *a.shape[d + 1 :]), a.dtype.to_real(), None, 0


def _c2r_body(p: Any, s: Any, a: Any) -> Any:
    d, n, forward, mode = p
    out = np.fft.irfft(np.conj(a) if forward else a, n, axis=d, norm=_NUMPY[False][mode])
    return out.astype(np.float64 if a.dtype == np.complex128 else np.float32)


def _c2r_grad(g: Any, p: Any) -> Any:
    d, n, forward, mode = p
    half = record(R2C, (g,), (d, not forward, mode))
    twice = n - half.node.shape[d]  # these stand for two elements each
    weight = np.ones(half.node.shape[d])
    weight[1 : 1 + twice] = 2
    shape = [-1 if i == d else 1 for i in range(len(half.node.shape))]
    return half * FUNCTIONS["tensor"](weight, dtype=g.dtype, device=g.device).reshape(shape)


C2R: Op = Op("fft_c2r", _c2r_infer, _c2r_body, (_c2r_grad,))


def _resized(t: Any, d: int, n: int) -> Any:
    """Dimension d cut off or filled with zeros to n elements."""
    have = t.node.shape[d]
    if have == n:
        return t
    if have > n:
        at = tuple([(0, n if i == d else m, 1) for i, m in enumerate(t.node.shape)])
        return record(mv.SLICE, (t,), at)
    base = t.new_zeros((*t.node.shape[:d], n, *t.node.shape[d + 1 :]))
    at = tuple([(0, m, 1) for m in t.node.shape])
    return record(mv.SLICE_SCATTER, (base, t), at)


def _mode(name: str, norm: Any, forward: bool) -> int:
    if norm == "ortho":
        return 1
    if norm not in (None, "backward", "forward"):
        raise RuntimeError(f"fft.{name}: Invalid normalization mode: {norm!r}")
    return 2 if (norm == "forward") == forward else 0


def _input(name: str, t: Any, complex_: bool | None) -> Any:
    """The operand as floating point (False), complex (True) or either of them (None)."""
    need(f"fft.{name}", input=t)
    if t.dtype in (dtypes.float16, dtypes.bfloat16):
        raise RuntimeError(f"fft.{name}: Unsupported dtype {t.dtype}")
    if t.dtype.category < dtypes.FLOAT:
        t = pw.cast(t, dtypes.get_default_dtype())
    if complex_ is False and t.dtype.is_complex:
        raise RuntimeError(f"{name} expects a real input tensor, but got {t.dtype}")
    return pw.cast(t, t.dtype.to_complex()) if complex_ else t


def _dim(t: Any, d: int) -> int:
    if not t.node.shape:
        raise IndexError(f"Dimension specified as {d} but tensor has no dimensions")
    return wrap_dim(d, len(t.node.shape))


def _length(name: str, n: Any) -> int:
    if n < 1:
        raise RuntimeError(f"fft.{name}: Invalid number of data points ({n}) specified")
    return int(n)


def _dims(name: str, t: Any, s: Any, dim: Any) -> tuple[list[int], list[int]]:
    """The dimensions of a transform and its lengths there."""
    rank = len(t.node.shape)
    if s is not None and not isinstance(s, (tuple, list)):
        s = (s,)
    if s is not None and not all([n is None or type(n) is int for n in s]):
        raise TypeError(f"fft_{name}(): argument 's' must be tuple of ints, not {s}")
    if dim is None:
        k = rank if s is None else len(s)
        if k > rank:
            raise RuntimeError(
                f"fft.{name}: Got shape with {k} values but input tensor only has {rank} dims."
            )
        dims = list(range(rank - k, rank))
    else:
        dims = [_dim(t, d) for d in (dim if isinstance(dim, (tuple, list)) else (dim,))]
        if len(set(dims)) != len(dims):
            raise RuntimeError(f"fft.{name}: FFT dims must be unique, got {dim}")
        if s is not None and len(s) != len(dims):
            raise RuntimeError(
                f"fft.{name}: When given, dim and shape arguments must have the same length, got "
                f"{dim} and {s}"
            )
    sizes = [t.node.shape[d] if s is None or s[i] == -1 else s[i] for i, d in enumerate(dims)]
    return dims, [_length(name, n) for n in sizes]


def _fit(t: Any, dims: list[int], sizes: list[int]) -> Any:
    for d, n in zip(dims, sizes, strict=True):
        t = _resized(t, d, n)
    return t


def _complex_transform(name: str, forward: bool) -> tuple[Any, Any, Any]:
    def one(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Any:
        t = _input(name, input, True)
        d = _dim(t, dim)
        n = _length(name, t.node.shape[d] if n is None else n)
        return record(C2C, (_resized(t, d, n),), ((d,), forward, _mode(name, norm, forward)))

    def several(input: Any, s: Any = None, dim: Any = None, norm: str | None = None) -> Any:
        t = _input(name + "n", input, True)
        dims, sizes = _dims(name + "n", t, s, dim)
        if not dims:
            return t.clone()
        p = (tuple(dims), forward, _mode(name, norm, forward))
        return record(C2C, (_fit(t, dims, sizes),), p)

    return _named(name, one, several)


def _named(name: str, one: Any, several: Any) -> tuple[Any, Any, Any]:
    def plane(input: Any, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Any:
        return several(input, s, dim, norm)

    out = []
    for f, n, what in (
        (one, name, "one dimension"),
        (plane, name + "2", "two dimensions"),
        (several, name + "n", "several dimensions"),
    ):
        f.__name__ = f.__qualname__ = n
        f.__doc__ = f"{n}: the {_WHAT[name]} over {what}. See the module's text."
        out.append(public(f))
    return out[0], out[1], out[2]


_WHAT = {
    "fft": "discrete Fourier transform",
    "ifft": "inverse discrete Fourier transform",
    "rfft": "transform of real values, its non-negative frequencies",
    "irfft": "real inverse of rfft",
    "hfft": "real transform of a Hermitian signal, given by half of it",
    "ihfft": "inverse of hfft",
}


def _from_real(name: str, forward: bool) -> tuple[Any, Any, Any]:
    def several(input: Any, s: Any = None, dim: Any = None, norm: str | None = None) -> Any:
        t = _input(name + "n", input, False)
        dims, sizes = _dims(name + "n", t, s, dim)
        return run(t, dims, sizes, norm)

    def one(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Any:
        t = _input(name, input, False)
        d = _dim(t, dim)
        return run(t, [d], [_length(name, t.node.shape[d] if n is None else n)], norm)

    def run(t: Any, dims: list[int], sizes: list[int], norm: Any) -> Any:
        if not dims:
            raise RuntimeError(f"fft.{name}n must transform at least one axis")
        mode = _mode(name, norm, forward)
        out = record(R2C, (_fit(t, dims, sizes),), (dims[-1], forward, mode))
        if len(dims) > 1:
            out = record(C2C, (out,), (tuple(dims[:-1]), forward, mode))
        return out

    return _named(name, one, several)


def _to_real(name: str, forward: bool) -> tuple[Any, Any, Any]:
    def several(input: Any, s: Any = None, dim: Any = None, norm: str | None = None) -> Any:
        t = _input(name + "n", input, True)
        given = None if s is None else list(s) if isinstance(s, (tuple, list)) else [s]
        dims, sizes = _dims(name + "n", t, s, dim)
        if not dims:
            raise RuntimeError(f"fft.{name}n must transform at least one axis")
        if given is None or given[-1] == -1:
            sizes[-1] = _length(name + "n", 2 * (t.node.shape[dims[-1]] - 1))
        return run(t, dims, sizes, norm)

    def one(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Any:
        t = _input(name, input, True)
        d = _dim(t, dim)
        return run(t, [d], [_length(name, 2 * (t.node.shape[d] - 1) if n is None else n)], norm)

    def run(t: Any, dims: list[int], sizes: list[int], norm: Any) -> Any:
        mode = _mode(name, norm, forward)
        t = _fit(t, dims, [*sizes[:-1], sizes[-1] // 2 + 1])
        if len(dims) > 1:
            t = record(C2C, (t,), (tuple(dims[:-1]), forward, mode))
        return record(C2R, (t,), (dims[-1], sizes[-1], forward, mode))

    return _named(name, one, several)


fft, fft2, fftn = _complex_transform("fft", True)
ifft, ifft2, ifftn = _complex_transform("ifft", False)
rfft, rfft2, rfftn = _from_real("rfft", True)
irfft, irfft2, irfftn = _to_real("irfft", False)
hfft, hfft2, hfftn = _to_real("hfft", True)
ihfft, ihfft2, ihfftn = _from_real("ihfft", False)


def _frequencies(n: int, d: float, count: int, shift: bool, kwargs: Any) -> Any:
    if n < 0:
        raise RuntimeError(f"fftfreq: n must be non-negative, got {n}")
    rest = {name: value for name, value in kwargs.items() if name != "out"}
    out, dtype = kwargs.get("out"), kwargs.get("dtype")
    if out is not None:
        if dtype not in (None, out.dtype):
            raise RuntimeError(f"fftfreq: dtype is {dtype}, but the out tensor's is {out.dtype}")
        dtype = out.dtype
        rest["device"] = out.device
    dtype = dtype or dtypes.get_default_dtype()
    if dtype.category < dtypes.FLOAT:
        raise RuntimeError(f"fftfreq requires a floating point or complex dtype, but got {dtype}")
    if dtype.is_complex:
        raise NotImplementedError(f"fftfreq(): not implemented for {dtype}")
    k = arange(count, **{**rest, "dtype": dtype, "requires_grad": False})
    if shift:
        k = FUNCTIONS["where"](k < (n + 1) // 2, k, k - n)
    k = k * (1.0 / (n * d) if n * d else math.inf)
    if out is not None:
        k = store("fftfreq", out, k)
    return k.requires_grad_(kwargs.get("requires_grad", False))


@explained
def fftfreq(n: int, d: float = 1.0, **kwargs: Any) -> Any:
    """The frequencies of `fft` of n samples at distance d."""
    return _frequencies(n, d, n, True, kwargs)


@explained
def rfftfreq(n: int, d: float = 1.0, **kwargs: Any) -> Any:
    """The frequencies of `rfft` of n samples at distance d."""
    return _frequencies(n, d, n // 2 + 1, False, kwargs)


def _shifted(input: Any, dim: Any, half: Any) -> Any:
    if not hasattr(input, "node"):
        raise TypeError(f"fftshift(): argument 'input' must be Tensor, not {type(input).__name__}")
    rank = len(input.node.shape)
    dims = range(rank) if dim is None else (dim if isinstance(dim, (tuple, list)) else (dim,))
    at = [wrap_dim(d, rank) for d in dims]
    if not at:
        return input.clone()
    return input.roll([half(input.node.shape[d]) for d in at], at)


def fftshift(input: Any, dim: Any = None) -> Any:
    """The zero frequency moved to the middle of the dimensions (all where `dim` is None)."""
    return _shifted(input, dim, lambda n: n // 2)


def ifftshift(input: Any, dim: Any = None) -> Any:
    """The inverse of `fftshift`."""
    return _shifted(input, dim, lambda n: (n + 1) // 2)


__all__ = [
    "fft",
    "fft2",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "hfft2",
    "hfftn",
    "ifft",
    "ifft2",
    "ifftn",
    "ifftshift",
    "ihfft",
    "ihfft2",
    "ihfftn",
    "irfft",
    "irfft2",
    "irfftn",
    "rfft",
    "rfft2",
    "rfftfreq",
    "rfftn",
]


__getattr__ = honest(__name__)
