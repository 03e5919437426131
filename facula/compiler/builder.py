"""Values of kernels that are being written, and what the emitters' builders have in common.

A builder writes operations on values as the text of one device's language: LLVM's in
`facula.cpu.vector`, CUDA C++ in `facula.cuda.lanes`. What follows from other operations is here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

KINDS = {
    "float32": "f32",
    "float64": "f64",
    "int64": "i64",
    "int32": "i32",
    "int16": "i16",
    "int8": "i8",
    "uint8": "u8",
    "bool": "b",
    "bfloat16": "bf16",
    "float16": "f16",
    "pair64": "p64",  # two numbers side by side, as complex ones are stored (cuda/pairs.py)
    "pair128": "p128",
}
NARROW = ("bf16", "f16")  # stored in 16 bits; float32 in registers, rounded after each operation
SIZE = {"f32": 4, "f64": 8, "i64": 8, "i32": 4, "i16": 2, "i8": 1, "u8": 1, "b": 1}
SIZE |= {"bf16": 2, "f16": 2}


class Value:
    """The name of a value and its kind; `same` is the scalar that all lanes are, if it is known."""

    __slots__ = ("inverse", "kind", "name", "same")

    def __init__(self, name: str, kind: str, same: Value | None = None) -> None:
        self.name = name
        self.kind = kind
        self.same = same
        self.inverse: Value | None = None  # of a scalar: see `Lanes.invert`


class Builder:
    """Operations that are made of others, alike on every device."""

    # Whether numbers that meet narrow floats are rounded, as operations say (`Op.rounds`).
    rounds = True

    if TYPE_CHECKING:  # what each builder writes

        def compare(self, how: str, a: Value, b: Value) -> Value: ...

        def const(self, x: float, kind: str) -> Value: ...

        def converted(self, a: Value, kind: str) -> Value: ...

        def intrinsic(self, name: str, *args: Value) -> Value: ...

        def nan(self, a: Value) -> Value: ...

        def neg(self, a: Value) -> Value: ...

        def rounded(self, a: Value, kind: str) -> Value: ...

        def select(self, c: Value, a: Value, b: Value) -> Value: ...

    def floating(self, a: Value) -> bool:
        """Whether a value is a real number."""
        return a.kind in ("f32", "f64", *NARROW)

    def widened(self, a: Value) -> Value:
        """Narrow floats as the float32 that they are in registers."""
        return Value(a.name, "f32") if a.kind in NARROW else a

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        """a times b plus c, rounded once."""
        return self.intrinsic("fma", a, b, c)

    def maximum(self, a: Value, b: Value) -> Value:
        """The larger; NaN propagates."""
        m = self.select(self.compare("gt", a, b), a, b)
        return self.select(self.nan(a), a, m) if self.floating(a) else m

    def minimum(self, a: Value, b: Value) -> Value:
        """The smaller; NaN propagates."""
        m = self.select(self.compare("lt", a, b), a, b)
        return self.select(self.nan(a), a, m) if self.floating(a) else m

    def absolute(self, a: Value) -> Value:
        """The magnitude."""
        if self.floating(a):
            return self.intrinsic("fabs", a)
        if a.kind in ("u8", "b"):
            return a
        return self.select(self.compare("lt", a, self.const(0, a.kind)), self.neg(a), a)

    def cast(self, a: Value, kind: str) -> Value:
        """Conversion to a kind; to and from narrow floats by way of float32."""
        if a.kind == kind:
            return a
        if a.kind in NARROW:
            return self.cast(self.widened(a), kind)
        if kind in NARROW:
            return self.rounded(self.cast(a, "f32"), kind)
        return self.converted(a, kind)
