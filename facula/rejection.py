"""Draws by rejection: gamma, Poisson and binomial numbers, one element after another.

An element takes as many uniforms as it takes, so the elements can't be drawn side by side without
leaving PyTorch's stream. Sources: Marsaglia and Tsang, "A simple method for generating gamma
variables" (2000); Hörmann, "The transformed rejection method for generating Poisson random
variables" (1993) and "The generation of binomial random variates" (1993); Knuth, The Art of
Computer Programming, vol. 2, 3.4.1; Devroye, Non-Uniform Random Variate Generation, X.4.3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

__all__ = ["binomial", "dirichlet", "gamma", "poisson"]


class Stream:
    """Uniforms and normals in double precision, one at a time, from a copy of an engine."""

    __slots__ = ("ahead", "cached", "position", "taken", "values")

    def __init__(self, engine: Any) -> None:
        self.ahead = engine.copy()
        self.cached: float | None = engine.next_normal
        self.values: list[float] = []
        self.position = 0
        self.taken = 0  # from blocks that are used up

    def uniform(self) -> float:
        if self.position == len(self.values):
            self.taken += self.position
            self.values = self.ahead.uniform64(min(4096, 2 * len(self.values) + 32)).tolist()
            self.position = 0
        self.position += 1
        return self.values[self.position - 1]

    def normal(self) -> float:
        if self.cached is not None:
            out, self.cached = self.cached, None
            return out
        first, second = self.uniform(), self.uniform()
        radius = math.sqrt(-2.0 * math.log1p(-second))
        angle = 2.0 * math.pi * first
        self.cached = radius * math.sin(angle)
        return radius * math.cos(angle)


@contextmanager
def _stream(generator: Any) -> Iterator[Stream]:
    """The generator's stream; what was taken from it is taken from the generator at the end."""
    with generator._lock:
        engine = generator._engine
        stream = Stream(engine)
        yield stream
        engine.uniform64(stream.taken + stream.position)
        engine.next_normal = stream.cached


def _each(
    generator: Any, draw: Callable[..., float], shape: tuple[int, ...], *arguments: Any
) -> Any:
    """draw(stream, *numbers) for every element, in float64."""
    flat = [np.broadcast_to(a, shape).astype(np.float64).reshape(-1).tolist() for a in arguments]
    with _stream(generator) as stream:
        out = [draw(stream, *numbers) for numbers in zip(*flat, strict=True)]
    return np.array(out, np.float64).reshape(shape)


_THIRD, _SQUEEZE = float(np.float32(1) / np.float32(3)), float(np.float32(0.0331))


def _single(x: float) -> float:
    return float(np.float32(x))


def _gamma_single(stream: Stream, alpha: float) -> float:
    """As PyTorch does for float32, which rounds what is made of alpha alone."""
    return _gamma(stream, alpha, _single)


def _gamma(stream: Stream, alpha: float, rounded: Callable[[float], float] = float) -> float:
    scale = 1.0
    if alpha < 1.0:  # as many are accepted with a larger alpha, scaled down
        if alpha == 0.0:
            return 0.0
        scale = _power(1.0 - stream.uniform(), rounded(1.0 / alpha))
        alpha = rounded(alpha + 1.0)
    d = rounded(alpha - _THIRD)
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        y = 0.0
        while y <= 0.0:
            x = stream.normal()
            y = 1.0 + c * x
        v = y * y * y
        u = 1.0 - stream.uniform()
        xx = x * x
        if u < 1.0 - _SQUEEZE * xx * xx:
            return scale * d * v
        if math.log(u) < 0.5 * xx + d * (1.0 - v + math.log(v)):
            return scale * d * v


def _power(x: float, y: float) -> float:
    try:
        return x**y
    except OverflowError:
        return math.inf


def gamma(generator: Any, alpha: Any) -> Any:
    """Gamma numbers of rate 1 with the shapes of an array, at least the smallest normal number."""
    least = np.finfo(alpha.dtype).tiny if alpha.dtype.kind == "f" else 0.0
    draw = _gamma if alpha.dtype == np.float64 else _gamma_single
    with np.errstate(all="ignore"):
        drawn = _each(generator, draw, alpha.shape, alpha).astype(alpha.dtype)
        return np.maximum(drawn, np.asarray(least, alpha.dtype))


def dirichlet(generator: Any, alpha: Any) -> Any:
    """Points of a simplex: gamma numbers divided by their sums along the last dimension."""
    with np.errstate(all="ignore"):
        drawn = np.maximum(_each(generator, _gamma, alpha.shape, alpha), np.finfo(np.float64).tiny)
        shares = (drawn / drawn.sum(-1, keepdims=True)).astype(alpha.dtype)
        one = np.nextafter(alpha.dtype.type(1), alpha.dtype.type(0))
        return np.clip(shares, np.finfo(alpha.dtype).tiny, one)


def _poisson(stream: Stream, rate: float) -> float:
    if rate >= 10.0:
        return _poisson_transformed(stream, rate)
    if rate == 0.0:
        return 0.0
    limit, product, count = math.exp(-rate), 1.0, 0
    while True:
        product *= stream.uniform()
        if product <= limit:
            return count
        count += 1


def _poisson_transformed(stream: Stream, rate: float) -> float:
    root, log = math.sqrt(rate), math.log(rate)
    b = 0.931 + 2.53 * root
    a = -0.059 + 0.02483 * b
    inverse = 1.1239 + 1.1328 / (b - 3.4)
    sure = 0.9277 - 3.6224 / (b - 2.0)
    while True:
        u = stream.uniform() - 0.5
        v = stream.uniform()
        us = 0.5 - abs(u)
        k = math.floor((2.0 * a / us + b) * u + rate + 0.43) if us else -1
        if us >= 0.07 and v <= sure:
            return k
        if k < 0 or (us < 0.013 and v > us):
            continue
        left = _log(v) + math.log(inverse) - math.log(a / (us * us) + b)
        if left <= -rate + k * log - math.lgamma(k + 1.0):
            return k


def _log(x: float) -> float:
    return math.log(x) if x > 0.0 else -math.inf


def poisson(generator: Any, rate: Any) -> Any:
    """Poisson numbers with the rates of an array."""
    return _each(generator, _poisson, rate.shape, rate).astype(rate.dtype)


def _binomial(stream: Stream, count: float, p: float) -> float:
    if math.isnan(p) or math.isnan(count):
        return math.nan
    if count <= 0.0 or p <= 0.0:
        return 0.0
    if p >= 1.0:
        return count
    q = p if p <= 0.5 else 1.0 - p
    drawn = (_binomial_transformed if count * q >= 10.0 else _binomial_waiting)(stream, count, q)
    return drawn if p <= 0.5 else count - drawn


def _binomial_waiting(stream: Stream, count: float, p: float) -> float:
    """The number of successes, by the waiting times between them."""
    log, total, found = math.log1p(-p), 0.0, 0
    while True:
        u = stream.uniform()
        total += math.ceil(math.log(u) / log) if u > 0.0 else math.inf
        if total > count:
            return found
        found += 1


_TAILS = (
    *(0.0810614667953272, 0.0413406959554092, 0.0276779256849983, 0.02079067210376509),
    *(0.0166446911898211, 0.0138761288230707, 0.0118967099458917, 0.0104112652619720),
    *(0.00925546218271273, 0.00833056343336287),
)  # fmt: skip


def _stirling_tail(k: float) -> float:
    """log k! less Stirling's formula for k + 1."""
    if k <= 9:
        return _TAILS[int(k)]
    square = (k + 1.0) * (k + 1.0)
    return (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / square) / square) / (k + 1.0)


def _binomial_transformed(stream: Stream, count: float, p: float) -> float:
    deviation = math.sqrt(count * p * (1.0 - p))
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * p
    c = count * p + 0.5
    sure = 0.92 - 4.2 / b
    odds = p / (1.0 - p)
    alpha = (2.83 + 5.1 / b) * deviation
    m = math.floor((count + 1.0) * p)
    while True:
        u = stream.uniform() - 0.5
        v = stream.uniform()
        us = 0.5 - abs(u)
        k = math.floor((2.0 * a / us + b) * u + c) if us else -1
        if k < 0 or k > count:
            continue
        if us >= 0.07 and v <= sure:
            return k
        v = _log(v * alpha / (a / (us * us) + b))
        bound = (
            (m + 0.5) * math.log((m + 1.0) / (odds * (count - m + 1.0)))
            + (count + 1.0) * math.log((count - m + 1.0) / (count - k + 1.0))
            + (k + 0.5) * math.log(odds * (count - k + 1.0) / (k + 1.0))
            + _stirling_tail(m)
            + _stirling_tail(count - m)
            - _stirling_tail(k)
            - _stirling_tail(count - k)
        )
        if v <= bound:
            return k


def binomial(generator: Any, count: Any, p: Any) -> Any:
    """Numbers of successes in so many trials, for arrays of one dtype."""
    shape = np.broadcast_shapes(count.shape, p.shape)
    return _each(generator, _binomial, shape, count, p).astype(count.dtype)
