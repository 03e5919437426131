"""Box-Muller transforms as PyTorch computes them, and the fused multiply-add that they need.

The float32 transform uses the single-precision logarithm, sine and cosine of Moshier's Cephes
library with every multiply-add fused, which is what PyTorch 2.13 runs on a CPU with AVX2 and FMA.
NumPy has no fused multiply-add, so it is computed in float64: there the product of two float32 is
exact, and only the final rounding to float32 is left. Adding in float64 rounds a first time; that
this never shows in the logarithm, sine and cosine was checked against PyTorch on all 2**24 values
of a 24-bit uniform, for the radius and for the angle. Where the operands are arbitrary (a mean
and a standard deviation), the float64 sum is rounded to odd, which makes the second rounding
right.

The float64 transform uses the platform's mathematical library, as PyTorch does.

Sources: G. E. P. Box, M. E. Muller, Annals of Mathematical Statistics 29 (1958); S. L. Moshier,
Cephes (logf, sinf, cosf); T. J. Dekker, Numerische Mathematik 18 (1971); S. Boldo, G. Melquiond,
"Emulation of a FMA and correctly rounded sums", IEEE Trans. Computers 57 (2008).
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

# Elements worked on at a time, so that temporaries stay in the cache.
_CHUNK = 8192
# Up to this size, functions of float64 come from the C library through `math`: NumPy's own loops
# may use a vector library whose last bit differs.
_LIBM_SIZE = 4096


# Words for which native code is made where there is a compiler already, and where there is none;
# as many in smaller draws are worth it too. Once it is there, it takes draws of `_FEW` words.
_LEAST, _ANYWAY = 1 << 14, 1 << 22
_OFTEN, _FEW = 1 << 20, 16
_EACH = 1 << 10  # as many words cost what any draw costs without native code
_natives: Any = None
_drawn = 0  # words (of each stage of a draw) that went without


def natives(n: int) -> Any:
    """The native forms of draws (`facula.cpu.drawing`) if n words are worth it, or None."""
    global _drawn, _natives
    if _natives is None:
        _drawn += n + _EACH
        compiler = "facula.cpu.jit" in sys.modules
        if n < (_LEAST if compiler else _ANYWAY) and _drawn < (_OFTEN if compiler else _ANYWAY):
            return None
        from facula.cpu import drawing

        _natives = drawing.natives()
    return _natives if n >= _FEW else None


# ---- float32 Box-Muller ------------------------------------------------------------------------


def box_muller32(data: np.ndarray, mean: float, std: float) -> None:
    """Turns float32 uniforms into normals in place, in blocks of 8 radii and 8 angles."""
    native = natives(data.size)
    if native is not None and data.flags.c_contiguous:
        native.normal32(data, mean, std)
        return
    blocks = data.reshape(-1, 2, 8)
    step = _CHUNK // 8
    minus_two, two_pi = np.float32(-2.0), np.float32(2.0 * math.pi)
    for start in range(0, len(blocks), step):
        part = blocks[start : start + step]
        radius = _log32(np.float32(1.0) - part[:, 0])
        radius *= minus_two
        np.sqrt(radius, out=radius)
        sine, cosine = _sincos32(two_pi * part[:, 1])
        cosine *= radius
        sine *= radius
        part[:, 0] = fma32(cosine, std, mean)
        part[:, 1] = fma32(sine, std, mean)


def _rounded(value: float) -> float:
    """A constant as float32 holds it."""
    return float(np.float32(value))


def _all_rounded(*values: float) -> tuple[float, ...]:
    return tuple(map(_rounded, values))


_SQRT_HALF = np.float32(0.707106781186547524)
_LOG_COEFFICIENTS = _all_rounded(
    7.0376836292e-2,
    -1.1514610310e-1,
    1.1676998740e-1,
    -1.2420140846e-1,
    1.4249322787e-1,
    -1.6668057665e-1,
    2.0000714765e-1,
    -2.4999993993e-1,
    3.3333331174e-1,
)
_COS_COEFFICIENTS = _all_rounded(2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
_SIN_COEFFICIENTS = _all_rounded(-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
_LN2_LOW, _LN2_HIGH = _rounded(-2.12194440e-4), 0.693359375
_MINUS_PI_4 = _all_rounded(-0.78515625, -2.4187564849853515625e-4, -3.77489497744594108e-8)
_FOUR_OVER_PI = np.float32(1.27323954473516)


def _round32(x: np.ndarray) -> np.ndarray:
    """Float64 values rounded to float32 and back."""
    return x.astype(np.float32).astype(np.float64)


def _polynomial32(coefficients: tuple[float, ...], x: np.ndarray) -> np.ndarray:
    """Horner's rule with float32 fused multiply-adds; ``x`` and the result are float64."""
    y = x * coefficients[0]
    y += coefficients[1]
    for coefficient in coefficients[2:]:
        y = _round32(y)
        y *= x
        y += coefficient
    return _round32(y)


def _log32(x: np.ndarray) -> np.ndarray:
    """Cephes' logf of positive normal float32 values, as compiled with fused multiply-adds."""
    bits = np.ascontiguousarray(x).view(np.int32)
    exponent = ((bits >> 23) - 126).astype(np.float32)
    fraction = ((bits & 0x007FFFFF) | 0x3F000000).view(np.float32)  # in [0.5, 1)
    low = fraction < _SQRT_HALF
    exponent -= low
    reduced = fraction - np.float32(1.0)
    reduced += np.where(low, fraction, np.float32(0.0))
    square = reduced * reduced
    exponent64, x64 = exponent.astype(np.float64), reduced.astype(np.float64)
    y = _polynomial32(_LOG_COEFFICIENTS, x64)
    y *= x64
    y = _round32(y)
    y *= square
    y += _round32(exponent64 * _LN2_LOW)
    y32 = y.astype(np.float32)
    square *= np.float32(0.5)
    y32 -= square
    reduced += y32
    exponent64 *= _LN2_HIGH
    exponent64 += reduced
    return exponent64.astype(np.float32)


def _sincos32(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cephes' sinf and cosf of float32 values in [0, 8192), with fused multiply-adds."""
    octant = (x * _FOUR_OVER_PI).astype(np.int32)
    octant += 1
    octant &= ~1
    multiple = octant.astype(np.float64)
    x64 = x.astype(np.float64)
    for part in _MINUS_PI_4:
        x64 += multiple * part
        x64 = _round32(x64)
    square = _round32(x64 * x64)
    y = _polynomial32(_COS_COEFFICIENTS, square)
    y *= square
    y = _round32(y)
    y *= square
    y -= 0.5 * square
    even = y.astype(np.float32)
    even += np.float32(1.0)
    y = _polynomial32(_SIN_COEFFICIENTS, square)
    y *= square
    y = _round32(y)
    y *= x64
    y += x64
    odd = y.astype(np.float32)
    swapped = (octant & 2) != 0
    sine = np.where(swapped, even, odd)
    cosine = np.where(swapped, odd, even)
    # The sign of the sine is bit 2 of the octant; that of the cosine, bit 2 of octant + 2.
    sine.view(np.int32)[...] ^= (octant & 4) << 29
    cosine.view(np.int32)[...] ^= ((octant + 2) & 4) << 29
    return sine, cosine


# ---- float64 -----------------------------------------------------------------------------------


def box_muller64(data: np.ndarray, mean: float, std: float) -> None:
    """Turns float64 uniforms into normals in place, in blocks of 8 radii and 8 angles."""
    blocks = data.reshape(-1, 2, 8)
    step = _CHUNK // 8
    for start in range(0, len(blocks), step):
        part = blocks[start : start + step]
        radius = np.sqrt(-2.0 * libm("log", 1.0 - part[:, 0]))
        angle = (2.0 * math.pi) * part[:, 1]
        cosine, sine = libm("cos", angle), libm("sin", angle)
        cosine *= radius
        sine *= radius
        part[:, 0] = fma64(cosine, std, mean)
        part[:, 1] = fma64(sine, std, mean)


def libm(name: str, x: np.ndarray) -> np.ndarray:
    """A function of float64 values, from the C library where that is affordable.

    ``name`` is a name that ``math`` and ``numpy`` share.
    """
    if x.size <= _LIBM_SIZE:
        try:
            values = map(getattr(math, name), x.ravel().tolist())
            return np.fromiter(values, np.float64, x.size).reshape(x.shape)
        except (ValueError, OverflowError):  # a pole or an overflow, which NumPy gives as inf
            pass
    return getattr(np, name)(x)


# ---- fused multiply-add ------------------------------------------------------------------------


def _round_to_odd(value: np.ndarray, error: np.ndarray) -> None:
    """Makes float64 ``value``, rounded to nearest with ``error`` left over, round to odd instead.

    Rounding the outcome once more, to fewer bits, is then as rounding the exact sum once.
    """
    bits = value.view(np.int64)
    upward = (error > 0) == (value > 0)
    step = np.where(upward, np.int64(1), np.int64(-1))
    step *= (np.abs(error) > 0) & ((bits & 1) == 0)  # not where it is NaN, beside infinities
    bits += step


def _two_sum(a: np.ndarray, b: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """The rounded sum and its exact error (Knuth)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _two_product(a: np.ndarray, b: float) -> tuple[np.ndarray, np.ndarray]:
    """The rounded product and its exact error (Veltkamp, Dekker)."""
    product = a * b
    scaled = a * 134217729.0
    a_high = scaled - (scaled - a)
    a_low = a - a_high
    b_scaled = b * 134217729.0
    b_high = b_scaled - (b_scaled - b)
    b_low = b - b_high
    error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return product, error


def fma32(x: np.ndarray, a: float, b: float) -> np.ndarray:
    """``x * a + b`` rounded once; ``x`` float32, ``a`` and ``b`` first rounded to float32."""
    a, b = _rounded(a), _rounded(b)
    native = natives(x.size)
    if native is not None:
        return native.fused32(x, a, b)
    result = x.astype(np.float64)
    result *= a
    if b == 0.0 or not (math.isfinite(a) and math.isfinite(b)):
        result += b
        return result.astype(np.float32)
    result, error = _two_sum(result, b)
    _round_to_odd(result, error)
    return result.astype(np.float32)


def fma64(x: np.ndarray, a: float, b: float) -> np.ndarray:
    """``x * a + b`` in float64, rounded once.

    Where the exact product's error could leave the range of float64 (``a`` or ``b`` beyond
    2**400 or below 2**-400 in size, or x beyond 2**500), it is rounded twice.
    """
    if b == 0.0 or a == 1.0:
        return x * a + b
    tame = (2.0**-400 < abs(v) < 2.0**400 for v in (a, b))
    if a == 0.0 or not all(tame):
        return x * a + b
    result = np.empty_like(x)
    flat_in, flat_out = x.reshape(-1), result.reshape(-1)
    for start in range(0, x.size, _CHUNK):
        part = flat_in[start : start + _CHUNK]
        high, low = _two_product(part, a)
        sum_low, error_low = _two_sum(low, b)
        total, error = _two_sum(high, sum_low)
        rest, rest_error = _two_sum(error_low, error)
        _round_to_odd(rest, rest_error)
        total += rest
        wild = ~np.isfinite(total) | (np.abs(part) > 2.0**500)
        if wild.any():
            total[wild] = part[wild] * a + b
        flat_out[start : start + _CHUNK] = total
    return result
