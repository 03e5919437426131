"""Complex numbers: their parts as views, as pairs of real numbers, in polar form."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from facula import dtypes
from facula.ops import movement as mv
from facula.ops import pointwise as pw
from facula.ops.composed import whole
from facula.ops.promotion import need
from facula.ops.registry import Op, pointwise
from facula.ops.table import FUNCTIONS, METHODS, api
from facula.trace.node import canonical
from facula.trace.recorder import record
from facula.views import make_view


def _complex_of(d: Any) -> Any:
    return d.to_complex()


COMPLEX: Op = pointwise(
    "complex",
    lambda p, s, a, b: _join(a, b),
    lambda g: g.real,
    lambda g: g.imag,
    out=_complex_of,
)


def _join(a: Any, b: Any) -> Any:
    """a + ib without arithmetic: infinities and NaN of one part leave the other alone."""
    out = np.empty(
        np.broadcast_shapes(a.shape, b.shape),
        np.complex128 if a.dtype == np.float64 else np.complex64,
    )
    out.real, out.imag = a, b
    return out


def _double_strides(a: Any) -> tuple[int, ...]:
    return tuple([2 * s for s in mv.strides_of(a)])


def _real_infer(offset: int) -> Any:
    def infer(p: Any, st: Any, a: Any) -> Any:
        return a.shape, a.dtype.to_real(), canonical(a.shape, _double_strides(a)), offset

    return infer


def _zeros(g: Any) -> Any:
    return g.new_zeros(())


REAL_VIEW: Op = Op(
    "real_view",
    _real_infer(0),
    lambda p, s, a: a.real,
    (lambda g: record(COMPLEX, (g, _zeros(g))),),
    view=True,
    write_back=lambda base, new, p: record(COMPLEX, (new, base_part(base, IMAG_VIEW))),
)
IMAG_VIEW: Op = Op(
    "imag_view",
    _real_infer(1),
    lambda p, s, a: a.imag,
    (lambda g: record(COMPLEX, (_zeros(g), g)),),
    view=True,
    write_back=lambda base, new, p: record(COMPLEX, (base_part(base, REAL_VIEW), new)),
)


def base_part(base: Any, view: Op) -> Any:
    """One part of the base's present value."""
    return record(view, (base,))


def _pairs_infer(p: Any, st: Any, a: Any) -> Any:
    shape = (*a.shape, 2)
    return shape, a.dtype.to_real(), canonical(shape, (*_double_strides(a), 1)), 0


def _from_pairs_infer(p: Any, st: Any, a: Any) -> Any:
    strides = tuple([s // 2 for s in mv.strides_of(a)[:-1]])
    return a.shape[:-1], a.dtype.to_complex(), canonical(a.shape[:-1], strides), 0


def _pairs(p: Any, s: Any, a: Any) -> Any:
    a = np.asarray(a)  # the real part of a NumPy scalar has memory of its own, of half the size
    part = np.float64 if a.dtype == np.complex128 else np.float32
    strides = (*a.strides, np.dtype(part).itemsize)
    return np.lib.stride_tricks.as_strided(a.real, (*a.shape, 2), strides)


def _from_pairs(p: Any, s: Any, a: Any) -> Any:
    if a.strides[-1] != a.itemsize:
        a = np.ascontiguousarray(a)
    kind = np.complex128 if a.dtype == np.float64 else np.complex64
    return a.view(kind)[..., 0] if a.size else np.empty(a.shape[:-1], kind)


# The conjugate and the negative of what is in memory, as views (`facula/unresolved.py`).
CONJ_VIEW: Op = Op(
    "conj",
    lambda p, st, a: (a.shape, a.dtype, a.strides, 0),
    lambda p, s, a: np.asarray(np.conj(a)),
    (lambda g: record(pw.CONJ, (g,)),),
    view=True,
    write_back=lambda base, new, p: record(pw.CONJ, (new,)),
)
NEG_VIEW: Op = Op(
    "neg_view",
    lambda p, st, a: (a.shape, a.dtype, a.strides, 0),
    lambda p, s, a: np.asarray(np.negative(a)),
    (lambda g: -g,),
    view=True,
    write_back=lambda base, new, p: -new,
)
CONJ_VIEW.computes = NEG_VIEW.computes = True

VIEW_AS_REAL: Op = Op(
    "view_as_real",
    _pairs_infer,
    _pairs,
    (lambda g: record(VIEW_AS_COMPLEX, (g,)),),
    view=True,
    write_back=lambda base, new, p: record(VIEW_AS_COMPLEX, (new,)),
)
VIEW_AS_COMPLEX: Op = Op(
    "view_as_complex",
    _from_pairs_infer,
    _from_pairs,
    (lambda g: record(VIEW_AS_REAL, (g,)),),
    view=True,
    write_back=lambda base, new, p: record(VIEW_AS_REAL, (new,)),
)


@api
def real(input: Any) -> Any:
    """The real part, as a view; a real tensor as it is."""
    return _parts(input, REAL_VIEW) if input.dtype.is_complex else input


def _parts(t: Any, op: Op) -> Any:
    """A view of real numbers, of which there are two for each complex one in memory."""
    v = make_view(t, op, ())
    if t._offset:
        v._offset += t._offset
    return v


@api
def imag(input: Any) -> Any:
    """The imaginary part, as a view."""
    if not input.dtype.is_complex:
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return _parts(input, IMAG_VIEW)


def _set_real(self: Any, value: Any) -> None:
    """`t.real = value` writes to the real parts."""
    METHODS["real"].fget(self).__setitem__(..., value)


def _set_imag(self: Any, value: Any) -> None:
    """`t.imag = value` writes to the imaginary parts."""
    METHODS["imag"].fget(self).__setitem__(..., value)


METHODS["real"] = property(METHODS["real"], _set_real)
METHODS["imag"] = property(METHODS["imag"], _set_imag)


@api(method=False)
def view_as_real(input: Any) -> Any:
    """A complex tensor as pairs of real numbers, in a new last dimension: a view."""
    if not input.dtype.is_complex:
        raise RuntimeError(f"view_as_real is only supported for complex tensors, got {input.dtype}")
    if input.is_conj():
        raise RuntimeError(
            f"view_as_real: a {input.dtype} tensor of shape {list(input.shape)} is the conjugate "
            "of what is in memory; view_as_real(x.resolve_conj()) looks at a copy"
        )
    return _parts(input, VIEW_AS_REAL)


@api(method=False)
def view_as_complex(input: Any) -> Any:
    """Pairs of real numbers in the last dimension as complex numbers: a view."""
    if input.dtype not in (dtypes.float32, dtypes.float64):
        raise RuntimeError(
            f"view_as_complex is only supported for half, float and double tensors, but got a "
            f"tensor of scalar type: {input.dtype}"
        )
    shape = input.node.shape
    if not shape or shape[-1] != 2:
        raise RuntimeError(f"Tensor must have a last dimension of size 2, got shape {list(shape)}")
    strides = mv.strides_of(input.node)
    if strides[-1] != 1 or any(s % 2 for s, n in zip(strides[:-1], shape, strict=False) if n != 1):
        raise RuntimeError(
            "view_as_complex: Tensor must have a last dimension with stride 1 and all others "
            f"divisible by 2, got strides {list(strides)}"
        )
    if input._offset % 2:
        raise RuntimeError(
            "view_as_complex: Tensor must have a storage_offset divisible by 2, got "
            f"{input._offset}"
        )
    v = make_view(input, VIEW_AS_COMPLEX, ())
    v._offset = input._offset // 2
    return v


def _two_real(name: str, a: Any, b: Any) -> None:
    if any([d.category != dtypes.FLOAT or d is dtypes.bfloat16 for d in (a.dtype, b.dtype)]):
        raise RuntimeError(
            f"{name}: Expected both inputs to be Half, Float or Double tensors but got {a.dtype} "
            f"and {b.dtype}"
        )
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"{name}: Expected object of scalar type {a.dtype} but got scalar type {b.dtype} for "
            "second argument"
        )


@api(method=False)
def complex(real: Any, imag: Any) -> Any:
    """real + i * imag."""
    need("complex", real=real, imag=imag)
    _two_real("complex", real, imag)
    return whole(record(COMPLEX, (real, imag)), "Complex", real, imag)


@api(method=False)
def polar(abs: Any, angle: Any) -> Any:
    """abs * (cos(angle) + i * sin(angle))."""
    need("polar", abs=abs, angle=angle)
    _two_real("polar", abs, angle)
    a, b = mv.apart(abs), mv.apart(angle)
    return whole(record(COMPLEX, (a * b.cos(), a * b.sin())), "Polar", abs, angle)


def _angle(p: Any, s: Any, a: Any) -> Any:
    if a.dtype.kind == "c":
        return np.angle(a)
    return np.where(np.isnan(a), a, np.where(a < 0, a.dtype.type(math.pi), a.dtype.type(0)))


def _angle_grad(g: Any, a: Any) -> Any:
    if not a.dtype.is_complex:
        return g * 0
    size = a.abs()
    zero = size == 0
    safe = record(pw.WHERE, (zero, size.new_ones(()), size))
    t = record(COMPLEX, (-a.imag / (safe * safe), a.real / (safe * safe)))
    return record(pw.WHERE, (zero, t.new_zeros(()), t * g))


ANGLE: Op = pointwise("angle", _angle, _angle_grad, out=lambda d: d.to_real())


@api
def angle(input: Any) -> Any:
    """The angle of complex numbers; pi for negative real numbers, 0 for others."""
    if input.dtype.category < dtypes.FLOAT:
        input = input.to(dtypes.get_default_dtype())
    out = record(ANGLE, (input,))
    return mv.in_layout(out, None) if input.dtype.is_complex else out


@api
def isreal(input: Any) -> Any:
    """Whether the imaginary part is zero."""
    return (
        imag.__wrapped__(input) == 0
        if input.dtype.is_complex
        else FUNCTIONS["ones_like"](input, dtype=dtypes.bool)
    )


@api
def resolve_conj(input: Any) -> Any:
    """A copy of a tensor that is the conjugate of what is in its memory; others as they are."""
    return input.clone() if input.is_conj() else input


@api
def resolve_neg(input: Any) -> Any:
    """A copy of a tensor that is the negative of what is in its memory; others as they are."""
    return input.clone() if input.is_neg() else input


@api
def _neg_view(input: Any) -> Any:
    """The negative of a tensor, as a view."""
    return make_view(input, NEG_VIEW, ())
