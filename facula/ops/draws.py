"""Gamma, Dirichlet, Poisson and binomial numbers, and derivatives of those that have them.

A draw moves smoothly with its parameter if its place in the distribution stays: dx/da is
-(dF/da) / f for a distribution function F with density f. dF/da is a difference of the incomplete
gamma and beta functions. Source: Figurnov, Mohamed and Mnih, "Implicit reparameterization
gradients" (2018).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from facula import rejection
from facula.ops import gamma as gm
from facula.ops.drawing import drawn_of, zero_gradients
from facula.ops.indices import known
from facula.ops.promotion import need
from facula.ops.registry import Op, pointwise
from facula.ops.table import api
from facula.ops.underived import underived
from facula.trace.recorder import record


def _density_log(a: Any, x: Any) -> Any:
    return (a - 1) * np.log(x) - x - gm.lgamma(a)


def gamma_slope(a: Any, x: Any) -> Any:
    """dx/da of a gamma number x of shape a."""
    a, x = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(x, np.float64))
    good = (a > 0) & (x > 0) & np.isfinite(a) & np.isfinite(x)
    sa, sx = np.where(good, a, 1.0), np.where(good, x, 1.0)
    h = 1e-4 * np.minimum(sa, np.sqrt(sa))
    low = sx < sa + 1  # the smaller of the two tails is the accurate one
    la, lx = np.where(low, sa, 1.0), np.where(low, sx, 0.5)
    hl = np.where(low, h, 1e-4)
    below, p = np.log(gm._lower(la + hl, lx) / gm._lower(la - hl, lx)), gm._lower(la, lx)
    ua, ux = np.where(low, 1.0, sa), np.where(low, 3.0, sx)
    hu = np.where(low, 1e-4, h)
    above, q = np.log(gm._upper(ua + hu, ux) / gm._upper(ua - hu, ux)), gm._upper(ua, ux)
    change = np.where(low, p * below, -q * above) / (2 * h)
    out = -change * np.exp(-_density_log(sa, sx))
    # Far below, log x dominates: x^a / gamma(a + 1).
    tiny = sx < 1e-8 * np.minimum(sa, 1.0)
    out = np.where(tiny, -sx / sa * (np.log(sx) - gm.digamma(sa + 1)), out)
    return np.where(good, out, np.where(x == 0, 0.0, np.nan))


def _beta_fraction(a: Any, b: Any, x: Any) -> Any:
    """I_x(a, b) by its continued fraction (DLMF 8.17.22), for x below its turning point."""
    tiny = 1e-300
    c = np.ones_like(x)
    d = 1 - (a + b) * x / (a + 1)
    d = 1 / np.where(np.abs(d) < tiny, tiny, d)
    h = d
    for m in range(1, 10_000):
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 + step * d
            d = 1 / np.where(np.abs(d) < tiny, tiny, d)
            c = 1 + step / c
            c = np.where(np.abs(c) < tiny, tiny, c)
            h = h * d * c
        if not np.any(np.abs(d * c - 1) > 1e-15):
            break
    log = gm.lgamma(a + b) - gm.lgamma(a) - gm.lgamma(b) + a * np.log(x) + b * np.log1p(-x)
    return np.exp(log) * h / a


def beta_slope(x: Any, a: Any, total: Any) -> Any:
    """dx/da / (1 - x) of a beta number x with parameters a and total - a."""
    x, a, total = np.broadcast_arrays(*[np.asarray(v, np.float64) for v in (x, a, total)])
    b = total - a
    good = (x > 0) & (x < 1) & (a > 0) & (b > 0)
    sx = np.where(good, x, 0.25)
    sa, sb = np.where(good, a, 1.0), np.where(good, b, 1.0)
    h = 1e-4 * np.minimum(sa, np.sqrt(sa))
    low = sx < (sa + 1) / (sa + sb + 2)

    def tails(shape: Any) -> Any:
        first, second = np.where(low, shape, sb), np.where(low, sb, shape)
        return _beta_fraction(first, second, np.where(low, sx, 1 - sx))

    tail = tails(sa)
    change = tail * np.log(tails(sa + h) / tails(sa - h)) / (2 * h)
    change = np.where(low, change, -change)
    log = gm.lgamma(sa + sb) - gm.lgamma(sa) - gm.lgamma(sb)
    density = np.exp(log + (sa - 1) * np.log(sx) + (sb - 1) * np.log1p(-sx))
    out = -change / (density * (1 - sx))
    return np.where(good, out, 0.0)


GAMMA_SLOPE: Op = pointwise(
    "gamma_slope", lambda p, s, a, b: gamma_slope(a, b).astype(b.dtype), None, None
)
BETA_SLOPE: Op = pointwise(
    "beta_slope", lambda p, s, a, b, c: beta_slope(a, b, c).astype(b.dtype), None, None, None
)
GAMMA_DRAWN: Op = pointwise(
    "standard_gamma",
    lambda p, s, a, b: b,
    lambda g, a, o: g * record(GAMMA_SLOPE, (a, o)),
    None,
)


def _dirichlet_grad(g: Any, a: Any, o: Any) -> Any:
    slope = record(BETA_SLOPE, (o, a, a.sum(-1, keepdim=True)))
    return slope * (g - (o * g).sum(-1, keepdim=True))


DIRICHLET_DRAWN: Op = pointwise("sample_dirichlet", lambda p, s, a, b: b, _dirichlet_grad, None)


def _drawn(name: str, t: Any, draw: Any, op: Op, generator: Any) -> Any:
    need(name, input=t)
    if not t.is_floating_point():
        raise NotImplementedError(f'"{name}" not implemented for {t.dtype}')
    out = drawn_of(generator, draw, t)
    return record(op, (t, out)) if t.requires_grad else out


@api
def _standard_gamma(input: Any, generator: Any = None) -> Any:
    """Gamma numbers of rate 1, whose shapes are the input's elements."""
    return _drawn("_standard_gamma", input, rejection.gamma, GAMMA_DRAWN, generator)


@api
def _sample_dirichlet(input: Any, generator: Any = None) -> Any:
    """Points of a simplex, whose concentrations are the input's last dimension."""
    return _drawn("_sample_dirichlet", input, rejection.dirichlet, DIRICHLET_DRAWN, generator)


@api(method=False)
def poisson(input: Any, generator: Any = None) -> Any:
    """Poisson numbers, whose rates are the input's elements."""
    need("poisson", input=input)
    if not input.is_floating_point():
        raise NotImplementedError(f'"poisson_cpu" not implemented for {input.dtype}')
    if not np.all(known(input) >= 0):
        raise RuntimeError("poisson: invalid Poisson rate, expected rate to be non-negative")
    return zero_gradients(drawn_of(generator, rejection.poisson, input), input)


@api(method=False)
def binomial(count: Any, prob: Any, generator: Any = None) -> Any:
    """Numbers of successes in `count` trials of probability `prob`."""
    need("binomial", count=count, prob=prob)
    if count.dtype is not prob.dtype or not count.is_floating_point():
        raise RuntimeError(
            f"binomial: Expected count and prob of one floating-point dtype, got {count.dtype} "
            f"and {prob.dtype}"
        )
    drawn = drawn_of(generator, rejection.binomial, count, prob)
    return underived("binomial", drawn, count, prob)
