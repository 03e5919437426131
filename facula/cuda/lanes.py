"""Values of one thread and the operations on them, as CUDA C++.

The builder that expressions (`compiler/expressions.py`) are given here: what `cpu.vector.Lanes` is
for the CPU. The elementary functions are CUDA's own. NaN, infinities and signed zeros come out as
PyTorch's; integers wrap around, which C++ leaves undefined and is therefore spelled out.
"""

from __future__ import annotations

import math
import struct

from facula.compiler.builder import NARROW, SIZE, Builder, Value

TYPE = {
    "f32": "float",
    "f64": "double",
    "i64": "long long",
    "i32": "int",
    "i16": "short",
    "i8": "signed char",
    "u8": "unsigned char",
    "b": "bool",
    "bf16": "float",
    "f16": "float",
    "p64": "Pair<float>",
    "p128": "Pair<double>",
}
STORED = {**TYPE, "b": "unsigned char", "bf16": "unsigned short", "f16": "unsigned short"}
_UNSIGNED = {"i64": "unsigned long long", "i32": "unsigned", "i16": "unsigned", "i8": "unsigned"}
_UNSIGNED["u8"] = "unsigned"

# What every module begins with: conversions of 16-bit floats, without headers.
PRELUDE = """
typedef unsigned long long u64;
typedef unsigned int u32;
template <class T> struct __align__(2 * sizeof(T)) Pair { T x, y; };
static __device__ __forceinline__ float from_f16(unsigned short h) {
  float f; asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(h)); return f; }
static __device__ __forceinline__ unsigned short to_f16(float f) {
  unsigned short h; asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(f)); return h; }
static __device__ __forceinline__ float from_bf16(unsigned short h) {
  return __uint_as_float((u32)h << 16); }
static __device__ __forceinline__ unsigned short to_bf16(float f) {
  u32 i = __float_as_uint(f);
  if (f != f) return 0x7fc0;
  return (unsigned short)((i + 0x7fff + ((i >> 16) & 1)) >> 16); }
template <class T> static __device__ __forceinline__ T sigmoid_(T a) {
  T e = exp(-fabs(a)); return a >= 0 ? 1 / (1 + e) : (a < 0 ? e / (1 + e) : a); }
template <class T> static __device__ __forceinline__ T remainder_(T a, T b) {
  T r = fmod(a, b);
  if (r != 0 && (r < 0) != (b < 0)) r += b;
  return r == 0 ? copysign(r, b) : r; }

// Reductions over the threads of a row: in an order that depends on their number alone.
struct Sum { template <class T> static __device__ __forceinline__ T of(T a, T b) {
  return a + b; } };
struct Prod { template <class T> static __device__ __forceinline__ T of(T a, T b) {
  return a * b; } };
struct Max { template <class T> static __device__ __forceinline__ T of(T a, T b) {
  return a > b || a != a ? a : b; } };
struct Min { template <class T> static __device__ __forceinline__ T of(T a, T b) {
  return a < b || a != a ? a : b; } };
template <class F, int N, class T> static __device__ __forceinline__ T together(T v) {
  for (int m = 16; m; m >>= 1) v = F::of(v, __shfl_xor_sync(~0u, v, m));
  if (N <= 32) return v;
  __shared__ T part[32];
  __syncthreads();
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v;
  __syncthreads();
  v = part[0];
  for (int k = 1; k < N / 32; k++) v = F::of(v, part[k]);
  return v; }
"""

_SAME = (
    *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan"),
    *("asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh"),
    *("erf", "erfc", "atan2", "fmod", "pow"),
)
_CALLS = {name: name for name in _SAME} | {"sigmoid": "sigmoid_", "remainder": "remainder_"}
_INTRINSICS = {
    "sqrt": "sqrt",
    "floor": "floor",
    "ceil": "ceil",
    "trunc": "trunc",
    "roundeven": "rint",
    "copysign": "copysign",
    "fabs": "fabs",
    "fma": "fma",
}
_COMPARE = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


def single(name: str, kind: str) -> str:
    """A function of the mathematical library in the form for this kind."""
    return name if kind == "f64" or name.endswith("_") else name + "f"


class Report:
    """What expressions know as the function being written: where errors are reported."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.used = False

    def report(self, bad: str) -> None:
        """Set the status word where a condition holds."""
        self.used = True
        self.lines.append(f"if ({bad}) *status = 1;")


class Thread(Builder):
    """Writes operations of one thread into `f.lines`."""

    width = 1
    rounds = False

    def __init__(self, f: Report) -> None:
        self.f = f
        self.count = 0

    def let(self, text: str, kind: str) -> Value:
        """A new variable."""
        self.count += 1
        name = f"v{self.count}"
        self.f.lines.append(f"const {TYPE[kind]} {name} = {text};")
        return Value(name, kind)

    def const(self, x: float, kind: str) -> Value:
        """A constant."""
        if kind == "f64":
            (bits,) = struct.unpack("<q", struct.pack("<d", float(x)))
            return Value(f"__longlong_as_double({bits}ll)", kind)
        if kind in ("f32", *NARROW):
            (bits,) = struct.unpack("<i", struct.pack("<f", _single(float(x))))
            return Value(f"__int_as_float({bits})", kind)
        if kind == "b":
            return Value("true" if x else "false", kind)
        if kind == "i64":
            return Value(f"((long long)0x{int(x) & (1 << 64) - 1:x}ull)", kind)
        return Value(f"(({TYPE[kind]}){int(x)})", kind)

    def splat(self, a: Value) -> Value:
        """A scalar in every lane: there is one."""
        return a

    # Memory.
    def load(self, where: str, kind: str) -> Value:
        """The value that lies in memory as an element of this kind."""
        how = {"b": f"{where} != 0", "bf16": f"from_bf16({where})", "f16": f"from_f16({where})"}
        return self.let(how.get(kind, where), kind)

    def pack(self, a: Value) -> str:
        """The value in the form in which it lies in memory."""
        how = {"b": f"(unsigned char){a.name}", "bf16": f"to_bf16({a.name})"}
        how["f16"] = f"to_f16({a.name})"
        return how.get(a.kind, a.name)

    def rounded(self, a: Value, kind: str) -> Value:
        """float32 rounded to a narrow kind."""
        return self.let(f"from_{kind}(to_{kind}({a.name}))", kind)

    def pair(self, a: Value, b: Value) -> Value:
        """Two numbers as one value."""
        kind = "p64" if a.kind == "f32" else "p128"
        return self.let(f"{TYPE[kind]}{{{a.name}, {b.name}}}", kind)

    # Arithmetic.
    def _wrapped(self, sign: str, a: Value, b: Value) -> Value:
        u = _UNSIGNED[a.kind]
        return self.let(f"({TYPE[a.kind]})(({u}){a.name} {sign} ({u}){b.name})", a.kind)

    def op(self, name: str, a: Value, b: Value, kind: str | None = None) -> Value:
        """An operation by LLVM's name."""
        t, u = TYPE[a.kind], _UNSIGNED.get(a.kind, "")
        word, _, how = name.partition(" ")
        if word == "fcmp":
            ordered = f"({a.name} == {a.name} && {b.name} == {b.name})"
            text = {"ord": ordered, "uno": f"!{ordered}"}.get(how)
            if text is None:  # uge: not less
                text = f"!({a.name} {_COMPARE[{'uge': 'lt', 'ugt': 'le'}[how]]} {b.name})"
        elif word == "icmp":
            text = f"({u}){a.name} {_COMPARE[how[1:]]} ({u}){b.name}"
        elif word in ("and", "or", "xor"):
            sign = {"and": "&", "or": "|", "xor": "^"}[word]
            text = f"({t})({a.name} {sign} {b.name})"
        elif word == "shl":
            text = f"({t})(({u}){a.name} << {b.name})"
        elif word in ("ashr", "lshr"):
            text = f"({t})({a.name} >> {b.name})"
        elif word in ("sdiv", "udiv"):
            text = f"({t})({a.name} / {b.name})"
        elif word == "urem":
            text = f"({t})({a.name} % {b.name})"
        else:
            raise KeyError(name)
        return self.let(text, kind or a.kind)

    def add(self, a: Value, b: Value) -> Value:
        if a.kind == "b":
            return self.op("or", a, b)
        if not self.floating(a):
            return self._wrapped("+", a, b)
        return self.let(f"{a.name} + {b.name}", a.kind)

    def sub(self, a: Value, b: Value) -> Value:
        if not self.floating(a):
            return self._wrapped("-", a, b)
        return self.let(f"{a.name} - {b.name}", a.kind)

    def mul(self, a: Value, b: Value) -> Value:
        if a.kind == "b":
            return self.op("and", a, b)
        if not self.floating(a):
            return self._wrapped("*", a, b)
        return self.let(f"{a.name} * {b.name}", a.kind)

    def div(self, a: Value, b: Value) -> Value:
        return self.let(f"{a.name} / {b.name}", a.kind)

    def neg(self, a: Value) -> Value:
        if self.floating(a):
            return self.let(f"-{a.name}", a.kind)
        return self.sub(self.const(0, a.kind), a)

    def _function(self, name: str, args: tuple[Value, ...]) -> Value:
        kind = args[0].kind
        listed = ", ".join([a.name for a in args])
        return self.let(f"{single(name, kind)}({listed})", kind)

    def intrinsic(self, name: str, *args: Value) -> Value:
        return self._function(_INTRINSICS[name], args)

    def library(self, name: str, *args: Value) -> Value:
        return self._function(name, args)

    def function(self, name: str, *args: Value) -> Value:
        """An elementary function."""
        return self._function(_CALLS[name], args)

    def compare(self, how: str, a: Value, b: Value) -> Value:
        """how: eq ne lt le gt ge; a NaN compares unequal to everything."""
        return self.let(f"{a.name} {_COMPARE[how]} {b.name}", "b")

    def select(self, c: Value, a: Value, b: Value) -> Value:
        return self.let(f"{c.name} ? {a.name} : {b.name}", a.kind)

    def nan(self, a: Value) -> Value:
        return self.let(f"{a.name} != {a.name}", "b")

    def converted(self, a: Value, kind: str) -> Value:
        """Conversion as PyTorch does it."""
        if kind == "b":
            return self.compare("ne", a, self.const(0, a.kind))
        if self.floating(a) and kind not in ("f32", "f64", "i64"):
            return self.cast(self.cast(a, "i64"), kind)  # wraps
        return self.let(f"({TYPE[kind]}){a.name}", kind)

    def some(self, a: Value) -> str:
        """Whether a lane is true."""
        return a.name

    def bits(self, a: Value) -> Value:
        """The bit pattern of floats, or the floats of a bit pattern."""
        how = {
            "f64": ("__double_as_longlong", "i64"),
            "i64": ("__longlong_as_double", "f64"),
            "i32": ("__int_as_float", "f32"),
        }
        name, kind = how.get(a.kind, ("__float_as_int", "i32"))
        return self.let(f"{name}({a.name})", kind)


def _single(x: float) -> float:
    """A float64 that float32 can hold: beyond its range, infinite."""
    if math.isfinite(x) and abs(x) > 3.4028235677973366e38:
        return math.copysign(math.inf, x)
    return x


__all__ = ["PRELUDE", "SIZE", "STORED", "TYPE", "Report", "Thread", "Value", "single"]
