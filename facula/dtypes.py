"""Data types, PyTorch's promotion rules and the default floating-point type.

Source: https://pytorch.org/docs/stable/tensor_attributes.html#torch-dtype
"""

from __future__ import annotations

import builtins
import functools
import math
import numbers
from typing import Any

import ml_dtypes
import numpy as np

from facula.quiet import quietly

# Categories order promotion: a tensor of a higher category wins, whatever its size.
BOOL, INT, FLOAT, COMPLEX = range(4)


class dtype:
    """A data type; one object for each, compared by identity."""

    __slots__ = (
        "_name",
        "category",
        "is_complex",
        "is_floating_point",
        "is_signed",
        "itemsize",
        "np",
        "order",
    )

    def __init__(self, name: str, np_type: Any, category: int, order: int) -> None:
        self._name = name
        self.np = np.dtype(np_type)
        self.category = category
        self.order = order
        self.itemsize = self.np.itemsize
        self.is_floating_point = category == FLOAT
        self.is_complex = category == COMPLEX
        self.is_signed = name not in ("bool", "uint8", "uint16", "uint32", "uint64")

    def __repr__(self) -> str:
        return "torch." + self._name

    def __reduce__(self) -> Any:
        return _by_name, (self._name,)

    @property
    def abbr(self) -> str:
        """A short name: `f32`, `bf16`, `i64`, `b8`."""
        if self._name == "bool":
            return "b8"
        short = self._name.replace("float", "f").replace("complex", "c").replace("_", "")
        return short.replace("uint", "u").replace("int", "i")

    def to_complex(self) -> dtype:
        """The complex type of this precision."""
        if self.category == COMPLEX:
            return self
        return complex128 if self is float64 else complex64

    def to_real(self) -> dtype:
        """The real type of this precision."""
        return {complex64: float32, complex128: float64}.get(self, self)


class named(dtype):
    """A type of which there are no tensors here; libraries compare with it, or list it."""

    __slots__ = ()

    def __init__(self, name: str, category: int, itemsize: int) -> None:
        self._name, self.category, self.order, self.itemsize = name, category, 0, itemsize
        self.is_floating_point = False
        self.is_complex = category == COMPLEX
        self.is_signed = not name.startswith("quint")

    @property
    def np(self) -> Any:  # type: ignore[override]
        """Whatever makes or converts a tensor comes here."""
        raise NotImplementedError(f"{self!r}: tensors of this type are not in Facula")

    @property
    def abbr(self) -> str:
        """A short name: `c32`; quantised types have none."""
        return "c32" if self.is_complex else self._name

    def to_real(self) -> dtype:
        """The real type of this precision."""
        return float16 if self.is_complex else self


def _by_name(name: str) -> dtype:
    return BY_NAME[name]


bool = dtype("bool", np.bool_, BOOL, 0)
uint8 = dtype("uint8", np.uint8, INT, 1)
int8 = dtype("int8", np.int8, INT, 1)
int16 = dtype("int16", np.int16, INT, 2)
int32 = dtype("int32", np.int32, INT, 3)
int64 = dtype("int64", np.int64, INT, 4)
uint16 = dtype("uint16", np.uint16, INT, 2)
uint32 = dtype("uint32", np.uint32, INT, 3)
uint64 = dtype("uint64", np.uint64, INT, 4)
float16 = dtype("float16", np.float16, FLOAT, 1)
bfloat16 = dtype("bfloat16", ml_dtypes.bfloat16, FLOAT, 1)
float32 = dtype("float32", np.float32, FLOAT, 2)
float64 = dtype("float64", np.float64, FLOAT, 3)
complex64 = dtype("complex64", np.complex64, COMPLEX, 2)
complex128 = dtype("complex128", np.complex128, COMPLEX, 3)

ALL = (
    bool,
    uint8,
    int8,
    int16,
    int32,
    int64,
    uint16,
    uint32,
    uint64,
    float16,
    bfloat16,
    float32,
    float64,
    complex64,
    complex128,
)
# Numbers of 8 bits: tensors of them are made, converted, moved and saved, as in PyTorch.
STORED = tuple(
    [
        dtype(name, getattr(ml_dtypes, name), FLOAT, 0)
        for name in (
            "float8_e4m3fn",
            "float8_e5m2",
            "float8_e4m3fnuz",
            "float8_e5m2fnuz",
            "float8_e8m0fnu",
        )
    ]
)
NAMED = (
    named("complex32", COMPLEX, 4),
    named("qint8", INT, 1),
    named("quint8", INT, 1),
    named("qint32", INT, 4),
    named("quint4x2", INT, 1),
    named("quint2x4", INT, 1),
)
BY_NAME = {d._name: d for d in (*ALL, *STORED, *NAMED)}
BY_NP = {d.np: d for d in (*ALL, *STORED)}
ALIASES = {
    "half": float16,
    "float": float32,
    "double": float64,
    "short": int16,
    "int": int32,
    "long": int64,
    "chalf": NAMED[0],
    "cfloat": complex64,
    "cdouble": complex128,
}

# Python's own types where a `dtype=` is asked for: `builtins.float` is float64, `float` here not.
OF_PYTHON = {
    builtins.bool: bool,
    builtins.int: int64,
    builtins.float: float64,
    builtins.complex: complex128,
}

_default = [float32]


def get_default_dtype() -> dtype:
    """The type of floating-point tensors made without an explicit one."""
    return _default[0]


def set_default_dtype(d: dtype) -> None:
    """Set the type of floating-point tensors made without an explicit one."""
    if not isinstance(d, dtype) or not d.is_floating_point:
        raise TypeError("only floating-point types are supported as the default type")
    _default[0] = d


def convert(a: Any, to: Any) -> Any:
    """`a.astype(to)`, float64 to float16 rounded as PyTorch does: to float32, and once more."""
    if to == np.float16 and a.dtype == np.float64:
        a = quietly(a.astype, np.float32)
    return quietly(a.astype, to)  # what is too large is infinite


@functools.cache
def _bounds(d: dtype) -> tuple[Any, Any, Any]:
    """The least whole number, the least and the largest number that a dtype has a place for."""
    if d.category == INT:
        info = np.iinfo(d.np)
        low, high = builtins.int(info.min), builtins.int(info.max)
        # As in PyTorch a negative number may stand for the unsigned one of the same bits.
        return (-high if low == 0 and info.bits < 64 else low), low, high
    largest = builtins.float(ml_dtypes.finfo(d.np).max)
    return -largest, -largest, largest


def fits(value: Any, d: dtype) -> builtins.bool:
    """Whether a dtype has a place for a Python number; infinities and NaN are floats."""
    real = isinstance(value, (builtins.int, builtins.float, np.integer, np.floating))
    if d.category not in (INT, FLOAT) or not real or isinstance(value, builtins.bool):
        return True
    if d.category == FLOAT and (value - value != 0 or d.itemsize < 2):
        return True
    whole, low, high = _bounds(d)
    least = whole if isinstance(value, (builtins.int, np.integer)) else low
    return builtins.bool(least <= value <= high)


def _check_bits(value: Any) -> None:
    """OverflowError for a whole number that is taken for a scalar and has more than 64 bits."""
    if not -(2**63) <= value < 2**64:
        raise OverflowError(f"int too big to convert: {value} has more than 64 bits")


def check_long(value: Any) -> None:
    """ValueError for a whole number that 64 bits do not hold with its sign, as in assignments."""
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"Overflow when unpacking long long: {value} has more than 64 bits")


def check_fits(value: Any, d: dtype, elements: builtins.int = 2) -> None:
    """Refuse a Python number that a dtype has no place for; TypeError for what is no number.

    As in PyTorch one element of a 16-bit float becomes infinite.
    """
    if value.__class__ is builtins.bool or (elements == 1 and d in (float16, bfloat16)):
        return
    if not isinstance(value, (numbers.Number, np.generic)) and not hasattr(value, "node"):
        raise TypeError(
            f"expected a number, got {type(value).__name__} {value!r} for a tensor of dtype {d}"
        )
    if isinstance(value, builtins.int):
        _check_bits(value)
    if not fits(value, d):
        raise RuntimeError(f"value cannot be converted to type {d} without overflow: {value}")


def narrowed(value: Any, np_dtype: Any) -> builtins.float:
    """A Python number as a dtype of 16 bits holds it: rounded to float32 first, as in C."""
    with np.errstate(over="ignore"):
        return builtins.float(np_dtype.type(np.float32(value)))


def from_np(np_dtype: Any) -> dtype:
    """The data type of a NumPy dtype; TypeError where there is none."""
    nd = np.dtype(np_dtype)
    found = BY_NP.get(nd) or BY_NP.get(nd.newbyteorder("="))
    if found is None:
        raise TypeError(
            f"can't convert np.ndarray of type {nd}. The only supported types are: float64, "
            "float32, float16, complex64, complex128, int64, int32, int16, int8, uint64, uint32, "
            "uint16, uint8, and bool."
        )
    return found


_memo: dict[tuple[dtype, dtype], dtype] = {}


def promote_types(a: dtype, b: dtype) -> dtype:
    """The smallest type that both can be converted to, by PyTorch's table."""
    if a is b and isinstance(a, dtype):
        return a
    found = _memo.get((a, b))
    if found is None:
        for i, d in enumerate((a, b), 1):
            if not isinstance(d, dtype):
                raise TypeError(
                    f"promote_types(): argument 'type{i}' must be torch.dtype, not "
                    f"{type(d).__name__}"
                )
        found = _memo[a, b] = _promote(a, b)
    return found


def _promote(a: dtype, b: dtype) -> dtype:
    for d in (a, b):
        if isinstance(d, named):
            raise NotImplementedError(f"{d!r}: tensors of this type are not in Facula")
    if a in STORED or b in STORED:
        raise RuntimeError(
            f"Promotion for Float8 Types is not supported, attempted to promote {a} and {b}"
        )
    if a.category > b.category:
        a, b = b, a
    if a.category < b.category:
        if b.category == COMPLEX and a.category == FLOAT:
            return complex128 if float64 in (a, b) or b is complex128 else complex64
        return b
    if a.category == INT:
        if a.is_signed == b.is_signed:
            return a if a.order >= b.order else b
        u, s = (a, b) if b.is_signed else (b, a)
        if u.order < s.order:
            return s
        if u is uint8:
            return int16
        if u in (uint16, uint32, uint64):
            raise RuntimeError(
                f"Promotion for uint16, uint32, uint64 types is not supported, "
                f"attempted to promote {a} and {b}"
            )
        return s
    if a.category == FLOAT and a.order == b.order:  # float16 with bfloat16
        return float32
    return a if a.order >= b.order else b


def scalar_type(value: object) -> dtype:
    """The type that a Python number has on its own."""
    kind = type(value)
    if kind is builtins.bool or isinstance(value, np.bool_):
        return bool
    if isinstance(value, (builtins.int, np.integer)):
        _check_bits(value)
        return int64
    if isinstance(value, (builtins.float, np.floating)):
        return _default[0]
    if isinstance(value, (builtins.complex, np.complexfloating)):
        return _default[0].to_complex()
    raise TypeError(f"expected a number, got {kind.__name__}")


def can_cast(from_: dtype, to: dtype) -> builtins.bool:
    """Whether an in-place result of type `from_` may be stored as `to` (category must not fall)."""
    for name, d in (("from_", from_), ("to", to)):
        if not isinstance(d, dtype):
            raise TypeError(
                f"can_cast(): argument '{name}' must be torch.dtype, not {type(d).__name__}"
            )
    if from_.category > to.category:
        return False
    return not (from_.category == INT and to is bool)


class _Info:
    __slots__ = ("bits", "dtype", "eps", "max", "min", "resolution", "smallest_normal", "tiny")

    def __repr__(self) -> str:
        names = [
            n
            for n in ("resolution", "min", "max", "eps", "smallest_normal", "tiny", "dtype")
            if hasattr(self, n)
        ]
        parts = []
        for n in names:
            x = getattr(self, n)
            parts.append(f"{n}={x:.6g}" if isinstance(x, builtins.float) else f"{n}={x}")
        return f"{type(self).__name__}({', '.join(parts)})"


class finfo(_Info):
    """Limits of a floating-point type (https://pytorch.org/docs/stable/type_info.html)."""

    __slots__ = ()

    def __init__(self, type: dtype | None = None) -> None:
        if type is not None and not isinstance(type, dtype):
            raise TypeError(
                f"finfo(): argument 'type' must be torch.dtype, not {type.__class__.__name__}"
            )
        d = (type or _default[0]).to_real()
        if not d.is_floating_point:
            raise TypeError(
                f"torch.finfo() requires a floating point input type. Use torch.iinfo "
                f"to handle 'torch.{d._name}'"
            )
        i = ml_dtypes.finfo(d.np)
        self.bits = d.itemsize * 8
        self.dtype = d._name
        self.eps, self.max, self.min = (
            builtins.float(i.eps),
            builtins.float(i.max),
            builtins.float(i.min),
        )
        self.tiny = self.smallest_normal = builtins.float(i.smallest_normal)
        self.resolution = 10.0 ** -math.floor(i.nmant * math.log10(2))  # of its decimal digits


class iinfo(_Info):
    """Limits of an integer type (https://pytorch.org/docs/stable/type_info.html)."""

    __slots__ = ()

    def __init__(self, type: dtype) -> None:
        if not isinstance(type, dtype):
            raise TypeError(
                f"iinfo(): argument 'type' must be torch.dtype, not {type.__class__.__name__}"
            )
        if type.category != INT:
            raise TypeError(
                f"torch.iinfo() requires an integer input type. Use torch.finfo "
                f"to handle 'torch.{type._name}'"
            )
        i = np.iinfo(type.np)
        self.bits, self.dtype = i.bits, type._name
        self.max, self.min = builtins.int(i.max), builtins.int(i.min)


def result_default(*values: object) -> dtype:
    """The default dtype, complex where a value is."""
    d = get_default_dtype()
    return d.to_complex() if any(isinstance(v, builtins.complex) for v in values) else d
