"""Data types by the standard: promotion, kinds, limits, and what the namespace has to offer."""

from __future__ import annotations

from typing import Any, NamedTuple

from facula import dtypes as _d
from facula.devices import CPU, check, device
from facula.dtypes import (
    bool,
    complex64,
    complex128,
    dtype,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from facula.tensor import Tensor

KINDS: dict[str, tuple[dtype, ...]] = {
    "bool": (bool,),
    "signed integer": (int8, int16, int32, int64),
    "unsigned integer": (uint8, uint16, uint32, uint64),
    "real floating": (float32, float64),
    "complex floating": (complex64, complex128),
}
KINDS["integral"] = KINDS["signed integer"] + KINDS["unsigned integer"]
KINDS["numeric"] = KINDS["integral"] + KINDS["real floating"] + KINDS["complex floating"]
ALL = (bool, *KINDS["numeric"])
_WIDER = {uint8: int16, uint16: int32, uint32: int64}


def promote_types(a: dtype, b: dtype) -> dtype:
    """The smallest dtype that holds both; PyTorch's rule has none for most unsigned integers."""
    if a.category == b.category == _d.INT and a.is_signed != b.is_signed:
        u, s = (a, b) if b.is_signed else (b, a)
        if u is uint64:
            raise TypeError(f"no integer dtype holds both {a} and {b}")
        return _d.promote_types(s, _WIDER[u])
    return _d.promote_types(a, b)


def promote(*values: Any) -> dtype:
    """The dtype of an operation on arrays, dtypes and Python numbers (which give way)."""
    out: Any = None
    for x in values:
        if isinstance(x, (Tensor, dtype)):
            d = x.dtype if isinstance(x, Tensor) else x
            out = d if out is None else promote_types(out, d)
    for x in values:
        if isinstance(x, (Tensor, dtype)):
            continue
        d = _d.scalar_type(x)
        if out is None or d.category > out.category:
            if out is not None and d.category == _d.COMPLEX and out.category == _d.FLOAT:
                d = out.to_complex()
            out = d
    if out is None:
        raise ValueError("result_type(): at least one array, dtype or number is needed")
    return out


def result_type(*arrays_and_dtypes: Any) -> dtype:
    """The dtype that an operation on these arrays, dtypes and numbers has."""
    return promote(*arrays_and_dtypes)


def _dtype_of(x: Any) -> dtype:
    return x.dtype if isinstance(x, Tensor) else x


def can_cast(from_: Any, to: dtype, /) -> Any:
    """Whether promotion can turn the one dtype into the other."""
    try:
        return promote_types(_dtype_of(from_), to) is to
    except TypeError:
        return False


def isdtype(dtype: dtype, kind: Any) -> Any:
    """Whether a dtype is of a kind (a name of one, a dtype, or a tuple of both)."""
    if isinstance(kind, tuple):
        return any([isdtype(dtype, k) for k in kind])
    if isinstance(kind, str):
        if kind not in KINDS:
            raise ValueError(f"isdtype(): unknown kind {kind!r}; there are {', '.join(KINDS)}")
        return dtype in KINDS[kind]
    return dtype is kind


class FloatInfo(NamedTuple):
    """Limits of a floating-point dtype."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: dtype


class IntInfo(NamedTuple):
    """Limits of an integer dtype."""

    bits: int
    max: int
    min: int
    dtype: dtype


def finfo(type: Any, /) -> FloatInfo:
    """Limits of a floating-point dtype, or of a complex one's parts."""
    d = _dtype_of(type)
    i = _d.finfo(d)
    return FloatInfo(i.bits, i.eps, i.max, i.min, i.smallest_normal, d.to_real())


def iinfo(type: Any, /) -> IntInfo:
    """Limits of an integer dtype."""
    d = _dtype_of(type)
    i = _d.iinfo(d)
    return IntInfo(i.bits, i.max, i.min, d)


class Info:
    """What the namespace can do (`__array_namespace_info__()`)."""

    def capabilities(self) -> dict[str, Any]:
        """Indexing by masks, results whose shape depends on data, the most dimensions."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> device:
        """The device of new arrays."""
        return CPU

    def default_dtypes(self, *, device: Any = None) -> dict[str, dtype]:
        """The dtypes of arrays that are made without one."""
        check(device)
        real = _d.get_default_dtype()
        return {
            "real floating": real,
            "complex floating": real.to_complex(),
            "integral": int64,
            "indexing": int64,
        }

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, dtype]:
        """The dtypes of a kind by name."""
        check(device)
        return {d._name: d for d in ALL if kind is None or isdtype(d, kind)}

    def devices(self) -> tuple[device, ...]:
        """All devices."""
        return (CPU,)


def __array_namespace_info__() -> Info:
    """What the namespace can do."""
    return Info()
