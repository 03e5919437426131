"""Native forms of large random draws: the same words and the same numbers, in vectors.

The Mersenne Twister's words depend on words 227 and 624 places back, so that a vector of them is
made at a time. What is made of words here is, bit for bit, what `facula.mersenne` and
`facula.boxmuller` make of them with NumPy: those say what the numbers are, and tests compare.
"""

from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from facula import boxmuller as bm
from facula.cpu.text import Function, Index
from facula.cpu.vector import Lanes, Value
from facula.trace.flight import COMPILING

STATE, SHIFT = 624, 397


class Natives:
    """The functions, on arrays."""

    def __init__(self, library: Any) -> None:
        self._library = library  # the code is there as long as this is
        addresses = library.addresses
        p, i, d = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float
        self._words = ctypes.CFUNCTYPE(None, p, p, i)(addresses["words"])
        self._uniform32 = ctypes.CFUNCTYPE(None, p, p, i)(addresses["uniform32"])
        self._uniform64 = ctypes.CFUNCTYPE(None, p, p, i)(addresses["uniform64"])
        self._below = ctypes.CFUNCTYPE(None, p, p, i, i)(addresses["below"])
        self._shuffle = ctypes.CFUNCTYPE(None, p, p, i)(addresses["shuffle"])
        self._fused32 = ctypes.CFUNCTYPE(None, p, p, i, d, d)(addresses["fused32"])
        self._normal32 = ctypes.CFUNCTYPE(None, p, i, d, d)(addresses["normal32"])

    def words(self, key: Any, position: int, block: Any, n: int) -> tuple[Any, Any, Any, int]:
        """n words from a position of the tempered block on; the key, its tempered block and the
        position after them."""
        rest = block[position:]
        blocks = -(-(n - len(rest)) // STATE)
        out = np.empty(len(rest) + blocks * STATE, np.uint32)
        out[: len(rest)] = rest
        key = key.copy()
        start = out.ctypes.data + 4 * len(rest)
        self._words(key.ctypes.data, start, blocks)
        return out[:n], key, out[-STATE:].copy(), n - len(rest) - (blocks - 1) * STATE

    def uniform32(self, words: Any) -> Any:
        """As `Mersenne.uniform32`."""
        out = np.empty(len(words), np.float32)
        self._uniform32(words.ctypes.data, out.ctypes.data, len(out))
        return out

    def fused32(self, x: Any, a: float, b: float) -> Any:
        """As `boxmuller.fma32`."""
        x = np.ascontiguousarray(x)
        out = np.empty(x.shape, np.float32)
        self._fused32(x.ctypes.data, out.ctypes.data, out.size, a, b)
        return out

    def uniform64(self, words: Any) -> Any:
        """As `Mersenne.uniform64`."""
        out = np.empty(len(words) // 2)
        self._uniform64(words.ctypes.data, out.ctypes.data, len(out))
        return out

    def below(self, words: Any, p: float) -> Any:
        """Whether the float64 uniforms are below p, as bools."""
        out = np.empty(len(words) // 2, np.bool_)
        limit = math.ceil(p * 2.0**53)  # exact: a uniform is a whole multiple of 2**-53
        self._below(words.ctypes.data, out.ctypes.data, len(out), limit)
        return out

    def shuffle(self, draws: Any) -> Any:
        """As `mersenne._forward_shuffle`, one swap after the other."""
        order = np.arange(len(draws) + 1)
        self._shuffle(order.ctypes.data, draws.ctypes.data, len(draws))
        return order

    def normal32(self, data: Any, mean: float, std: float) -> None:
        """As `boxmuller.box_muller32`, in place."""
        self._normal32(data.ctypes.data, data.size // 16, mean, std)


@functools.cache
def natives() -> Natives:
    """The functions, made once."""
    with COMPILING:
        return _natives()


def _natives() -> Natives:
    from facula.cpu.jit import compile_functions, vector_width

    w = vector_width()
    declarations: set[str] = set()
    functions = [
        _words(Function("words", "ptr %key, ptr %out, i64 %n", declarations), w),
        _uniform32(Function("uniform32", "ptr %in, ptr %out, i64 %n", declarations), w),
        _fused32(
            Function("fused32", "ptr %in, ptr %out, i64 %n, float %a, float %b", declarations), w
        ),
        _pairs(Function("uniform64", "ptr %in, ptr %out, i64 %n", declarations), w, _as_double),
        _pairs(Function("below", "ptr %in, ptr %out, i64 %n, i64 %p", declarations), w, _as_bool),
        _shuffle(Function("shuffle", "ptr %order, ptr %draws, i64 %n", declarations)),
        _normal32(Function("normal32", "ptr %data, i64 %n, float %mean, float %std", declarations)),
    ]
    text = "\n".join(sorted(declarations)) + "\n" + "".join([f.text() for f in functions])
    return Natives(compile_functions(text, [f.name for f in functions]))


# ---- words


def _shift(x: Lanes, how: str, a: Value, n: int) -> Value:
    return x.op(how, a, x.const(n, a.kind))


def _mask(x: Lanes, a: Value, bits: int) -> Value:
    return x.op("and", a, x.const(bits - (1 << 32) if bits >> 31 else bits, a.kind))


def _twisted(x: Lanes, high: Value, low: Value, far: Value) -> Value:
    """The next word from two neighbours and the word that is 397 places on."""
    mixed = x.op("or", _mask(x, high, 0x80000000), _mask(x, low, 0x7FFFFFFF))
    odd = x.neg(_mask(x, low, 1))
    out = x.op("xor", far, _shift(x, "lshr", mixed, 1))
    return x.op("xor", out, _mask(x, odd, 0x9908B0DF))


def _tempered(x: Lanes, a: Value) -> Value:
    a = x.op("xor", a, _shift(x, "lshr", a, 11))
    a = x.op("xor", a, _mask(x, _shift(x, "shl", a, 7), 0x9D2C5680))
    a = x.op("xor", a, _mask(x, _shift(x, "shl", a, 15), 0xEFC60000))
    return x.op("xor", a, _shift(x, "lshr", a, 18))


def _span(f: Function, low: int, high: int, width: int, body: Callable[..., None]) -> None:
    """From low to high by vectors, then by fewer lanes."""
    at, w = low, width
    while at < high:
        count = (high - at) // w
        if count:
            with f.loop(at, at + count * w, w) as i:
                body(Lanes(f, w), i.index)
        at += count * w
        w = max(1, w // 4)


def _words(f: Function, width: int) -> Function:
    with f.loop(0, "%n") as block:
        out = f.at("%out", f.mul(block.index, STATE * 4))

        def next_words(distance: int, last: int | None = None) -> Callable[..., None]:
            def body(x: Lanes, i: Index) -> None:
                here = f.at("%key", f.mul(i, 4))
                high = x.load(here, "i32")
                low = x.load(f.at("%key", 0) if last is not None else f.at(here, 4), "i32")
                far = x.load(f.at(here, 4 * distance), "i32")
                new = _twisted(x, high, low, far)
                x.store(new, here)
                x.store(_tempered(x, new), f.at(out, f.mul(i, 4)))

            return body

        _span(f, 0, STATE - SHIFT, width, next_words(SHIFT))
        _span(f, STATE - SHIFT, STATE - 1, width, next_words(SHIFT - STATE))
        _span(f, STATE - 1, STATE, 1, next_words(SHIFT - STATE, last=0))
    return f


# ---- numbers


def _chunks(f: Function, width: int, body: Callable[..., None]) -> Function:
    """All n elements by vectors, then one by one."""
    whole = f.let(f"and i64 %n, {-width}")
    for low, high, w in (("0", whole, width), (whole, "%n", 1)):
        with f.loop(low, high, w) as i:
            body(Lanes(f, w), i.index)
    return f


def _uniform32(f: Function, width: int) -> Function:
    def body(x: Lanes, i: Index) -> None:
        at = f.mul(i, 4)
        v = x.cast(_mask(x, x.load(f.at("%in", at), "i32"), 0xFFFFFF), "f32")
        x.store(x.mul(v, x.const(2.0**-24, "f32")), f.at("%out", at))

    return _chunks(f, width, body)


def _fused32(f: Function, width: int) -> Function:
    def body(x: Lanes, i: Index) -> None:
        at = f.mul(i, 4)
        a, b = x.splat(Value("%a", "f32")), x.splat(Value("%b", "f32"))
        x.store(x.fma(x.load(f.at("%in", at), "f32"), a, b), f.at("%out", at))

    return _chunks(f, width, body)


def _as_double(x: Lanes, high: Value, low: Value, i: Index) -> None:
    v = x.mul(x.cast(high, "f64"), x.const(2.0**32, "f64"))
    v = x.mul(x.add(v, x.convert("uitofp", low, "f64")), x.const(2.0**-53, "f64"))
    x.store(v, x.f.at("%out", x.f.mul(i, 8)))


def _as_bool(x: Lanes, high: Value, low: Value, i: Index) -> None:
    v = _shift(x, "shl", x.convert("zext", high, "i64"), 32)
    v = x.op("or", v, x.convert("zext", low, "i64"))
    x.store(x.op("icmp ult", v, x.splat(Value("%p", "i64")), "b"), x.f.at("%out", i))


def _pairs(f: Function, width: int, then: Callable[..., None]) -> Function:
    """Two words make 53 bits: 21 of the first, then all of the second."""

    def body(x: Lanes, i: Index) -> None:
        pairs = x.load(f.at("%in", f.mul(i, 8)), "i64")  # the first word is the low half
        high = _mask(x, x.convert("trunc", pairs, "i32"), 0x1FFFFF)
        low = x.convert("trunc", _shift(x, "lshr", pairs, 32), "i32")
        then(x, high, low, i)

    return _chunks(f, width, body)


def _shuffle(f: Function) -> Function:
    one = Lanes(f, 1)
    with f.loop(0, "%n") as i:
        here = f.at("%order", f.mul(i.index, 8))
        draw = one.load(f.at("%draws", f.mul(i.index, 8)), "i64")
        there = f.at(here, f.mul(draw.name, 8))
        a, b = one.load(here, "i64"), one.load(there, "i64")
        one.store(b, here)
        one.store(a, there)
    return f


# ---- normals: the steps of `boxmuller`, with fused multiply-adds where it has them


def _fused(x: Lanes, coefficients: tuple[float, ...], a: Value) -> Value:
    y = x.const(coefficients[0], "f32")
    for c in coefficients[1:]:
        y = x.fma(y, a, x.const(c, "f32"))
    return y


def _log32(x: Lanes, a: Value) -> Value:
    def number(value: Any) -> Value:
        return x.const(float(value), "f32")

    bits = x.bits(a)
    exponent = x.sub(_shift(x, "ashr", bits, 23), x.const(126, "i32"))
    e = x.cast(exponent, "f32")
    fraction = x.bits(x.op("or", _mask(x, bits, 0x7FFFFF), x.const(0x3F000000, "i32")))
    low = x.compare("lt", fraction, number(bm._SQRT_HALF))
    e = x.sub(e, x.select(low, number(1), number(0)))
    reduced = x.sub(fraction, number(1))
    reduced = x.add(reduced, x.select(low, fraction, number(0)))
    square = x.mul(reduced, reduced)
    y = x.mul(_fused(x, bm._LOG_COEFFICIENTS, reduced), reduced)
    y = x.fma(y, square, x.mul(e, number(bm._LN2_LOW)))
    y = x.sub(y, x.mul(square, number(0.5)))
    return x.fma(e, number(bm._LN2_HIGH), x.add(reduced, y))


def _sincos32(x: Lanes, a: Value) -> tuple[Value, Value]:
    scaled = x.mul(a, x.const(float(bm._FOUR_OVER_PI), "f32"))
    octant = x.add(x.convert("fptosi", scaled, "i32"), x.const(1, "i32"))
    octant = x.op("and", octant, x.const(-2, "i32"))
    multiple = x.cast(octant, "f32")
    for part in bm._MINUS_PI_4:
        a = x.fma(multiple, x.const(part, "f32"), a)
    square = x.mul(a, a)
    y = x.mul(_fused(x, bm._COS_COEFFICIENTS, square), square)
    y = x.fma(y, square, x.mul(square, x.const(-0.5, "f32")))
    even = x.add(y, x.const(1.0, "f32"))
    y = x.mul(_fused(x, bm._SIN_COEFFICIENTS, square), square)
    odd = x.fma(y, a, a)
    swapped = x.compare("ne", _mask(x, octant, 2), x.const(0, "i32"))
    sine, cosine = x.select(swapped, even, odd), x.select(swapped, odd, even)

    def signed(v: Value, octant: Value) -> Value:
        return x.bits(x.op("xor", x.bits(v), _shift(x, "shl", _mask(x, octant, 4), 29)))

    return signed(sine, octant), signed(cosine, x.add(octant, x.const(2, "i32")))


def _normal32(f: Function) -> Function:
    x = Lanes(f, 8)
    std, mean = x.splat(Value("%std", "f32")), x.splat(Value("%mean", "f32"))
    with f.loop(0, "%n") as block:
        first = f.at("%data", f.mul(block.index, 64))
        second = f.at(first, 32)
        u, v = x.load(first, "f32"), x.load(second, "f32")
        radius = _log32(x, x.sub(x.const(1.0, "f32"), u))
        radius = x.intrinsic("sqrt", x.mul(radius, x.const(-2.0, "f32")))
        sine, cosine = _sincos32(x, x.mul(v, x.const(2 * math.pi, "f32")))
        x.store(x.fma(x.mul(cosine, radius), std, mean), first)
        x.store(x.fma(x.mul(sine, radius), std, mean), second)
    return f
