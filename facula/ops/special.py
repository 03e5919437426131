"""Special functions: the operations of `facula.special` and those of them that tensors have."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from facula import dtypes
from facula.ops import bessel, gamma, normal, polynomials
from facula.ops import pointwise as pw
from facula.ops.movement import in_layout
from facula.ops.promotion import need, one_tensor, operands, result_type, tensor_of
from facula.ops.registry import Op, pointwise
from facula.ops.table import FUNCTIONS, METHODS, api
from facula.trace.recorder import record


def _zero(g: Any) -> Any:
    return g.new_zeros(())


def _where(c: Any, a: Any, b: Any) -> Any:
    return record(pw.WHERE, (c, a, b))


def _p(name: str, body: Any, *grads: Any) -> Op:
    """A primitive whose body works in float64."""
    return pointwise(name, lambda p, s, *a: body(*a).astype(a[-1].dtype), *grads)


def _op(name: str, *ts: Any) -> Any:
    return record(_PRIMS[name], ts)


def _i1_grad(g: Any, a: Any, o: Any) -> Any:
    zero = a == 0
    safe = _where(zero, a.new_ones(()), a)
    return g * _where(zero, a.new_full((), 0.5), _op("i0", a) - o / safe)


def _i1e_grad(g: Any, a: Any, o: Any) -> Any:
    zero = a == 0
    safe = _where(zero, a.new_ones(()), a)
    return g * _where(zero, a.new_full((), 0.5), _op("i0e", a) - o * (a.sign() + 1 / safe))


def _entr(p: Any, s: Any, a: Any) -> Any:
    x = np.where(a > 0, a, 1)
    out = np.where(a > 0, -x * np.log(x), np.where(a == 0, 0, -np.inf))
    return np.where(np.isnan(a), a, out).astype(a.dtype)


def _entr_grad(g: Any, a: Any) -> Any:
    return g * _where(a > 0, -(a.log()) - 1, _where(a == 0, g.new_full((), math.inf), _zero(g) / 0))


_ROOT_TWO_PI = math.sqrt(2 * math.pi)
_PRIMS: dict[str, Op] = {
    "lgamma": _p("lgamma", gamma.lgamma, lambda g, a: g * _op("digamma", a)),
    "digamma": _p("digamma", gamma.digamma, lambda g, a: g * polygamma.__wrapped__(1, a)),
    # Of the operand: the result may be written to.
    "erfinv": _p(
        "erfinv",
        normal.erfinv,
        lambda g, a: g * _op("erfinv", a).square().exp() * (math.sqrt(math.pi) / 2),
    ),
    "erfcx": _p("erfcx", normal.erfcx, lambda g, a, o: g * (a * o * 2 - 2 / math.sqrt(math.pi))),
    "ndtr": _p("ndtr", normal.ndtr, lambda g, a: g * (a * a * -0.5).exp() / _ROOT_TWO_PI),
    "log_ndtr": _p(
        "log_ndtr",
        normal.log_ndtr,
        lambda g, a: g / _op("erfcx", a * -math.sqrt(0.5)) * math.sqrt(2 / math.pi),
    ),
    "ndtri": _p("ndtri", normal.ndtri, lambda g, o: g * (o * o * 0.5).exp() * _ROOT_TWO_PI),
    "i0": _p("i0", lambda a: bessel.i(0, a), lambda g, a: g * _op("i1", a)),
    "i0e": _p("i0e", lambda a: bessel.ie(0, a), lambda g, a, o: g * (_op("i1e", a) - a.sign() * o)),
    "i1": _p("i1", lambda a: bessel.i(1, a), _i1_grad),
    "i1e": _p("i1e", lambda a: bessel.ie(1, a), _i1e_grad),
    "entr": pointwise("entr", _entr, _entr_grad),
    "bessel_j0": _p("bessel_j0", lambda a: bessel.j(0, a), None),
    "bessel_j1": _p("bessel_j1", lambda a: bessel.j(1, a), None),
    "bessel_y0": _p("bessel_y0", lambda a: bessel.y(0, a), None),
    "bessel_y1": _p("bessel_y1", lambda a: bessel.y(1, a), None),
    "modified_bessel_i0": _p("modified_bessel_i0", lambda a: bessel.i(0, a), None),
    "modified_bessel_i1": _p("modified_bessel_i1", lambda a: bessel.i(1, a), None),
    "modified_bessel_k0": _p("modified_bessel_k0", lambda a: bessel.k(0, a), None),
    "modified_bessel_k1": _p("modified_bessel_k1", lambda a: bessel.k(1, a), None),
    "scaled_modified_bessel_k0": _p("scaled_modified_bessel_k0", lambda a: bessel.ke(0, a), None),
    "scaled_modified_bessel_k1": _p("scaled_modified_bessel_k1", lambda a: bessel.ke(1, a), None),
    "airy_ai": _p("airy_ai", bessel.airy, None),
}
_DOCS = {
    "lgamma": "The logarithm of the gamma function's absolute value.",
    "digamma": "The derivative of lgamma.",
    "erfinv": "The inverse of erf.",
    "erfcx": "exp(x^2) erfc(x).",
    "ndtr": "The normal distribution function.",
    "log_ndtr": "The logarithm of the normal distribution function.",
    "ndtri": "The inverse of the normal distribution function.",
    "entr": "-x log(x), 0 at zero, -inf below.",
    "airy_ai": "Airy's function Ai.",
}
_ON_TENSORS = ("lgamma", "digamma", "erfinv", "i0")
_SPECIAL_NAME = {"lgamma": "gammaln", "digamma": "psi"}
SPECIAL: dict[str, Any] = {}


def _real(name: str, t: Any) -> Any:
    need(name, input=t)
    if t.dtype.is_complex:
        raise NotImplementedError(f'"{name}" not implemented for {t.dtype}')
    return pw.cast(t, dtypes.get_default_dtype()) if t.dtype.category < dtypes.FLOAT else t


def _declare(name: str, f: Any, on_tensors: bool) -> Any:
    """Enter a function: as `special_<name>`, and for some as a function and methods of tensors."""
    f.__name__ = name if on_tensors else "special_" + name
    call = api(f, method=on_tensors, inplace=on_tensors)
    SPECIAL[name] = call
    return call


def _unary(name: str) -> None:
    prim = _PRIMS[name]

    def f(input: Any) -> Any:
        return record(prim, (_real(name, input),))

    f.__doc__ = _DOCS.get(name, f"The Bessel function {name}.")
    _declare(name, f, name in _ON_TENSORS)
    if name in _SPECIAL_NAME:
        SPECIAL[_SPECIAL_NAME[name]] = SPECIAL[name]


for _name in _PRIMS:
    _unary(_name)


@api(method=False)
def special_spherical_bessel_j0(input: Any) -> Any:
    """sin(x) / x, 1 at zero."""
    t = _real("spherical_bessel_j0", input)
    far = record(pw.COMPARE_S["eq"], (t.abs(),), (), (math.inf,))
    zero = t == 0
    safe = _where(zero | far, t.new_ones(()), t)
    return _where(far, _zero(t), _where(zero, t.new_ones(()), safe.sin() / safe))


SPECIAL["spherical_bessel_j0"] = special_spherical_bessel_j0


# Two arguments.
def _apply(name: str, prim: Op, input: Any, other: Any, both: bool = False) -> Any:
    """The primitive of two tensors or numbers; `both`: of two tensors, one of floats."""
    if both:
        need(name, input=input, other=other)
    else:
        one_tensor(name, input, other)
    a, b, d = operands(name, input, other, True)
    if d.is_complex or (both and result_type(input, other).category < dtypes.FLOAT):
        raise NotImplementedError(f'"{name}" not implemented for {result_type(input, other)}')
    return record(prim, (tensor_of(a, d), tensor_of(b, d)))


def _two(name: str, prim: Op, on_tensors: bool, both: bool = False) -> None:
    def f(input: Any, other: Any) -> Any:
        return _apply(name, prim, input, other, both)

    _declare(name, _documented(f, name), on_tensors)


def _documented(f: Any, name: str) -> Any:
    f.__doc__ = f"{name} of two arguments, element by element."
    return f


def _gamma_density(g: Any, a: Any, b: Any) -> Any:
    """The derivative of P(a, x) by x."""
    return g * ((a - 1) * b.log() - b - _op("lgamma", a)).exp()


def _no_grad_of_first(g: Any, on: Any) -> Any:
    of = "zeta" if on.op.name == "zeta" else f"{on.op.name}: input"
    raise NotImplementedError(f"the derivative for '{of}' is not implemented.")


_two(
    "igamma",
    _p("igamma", lambda a, b: gamma.incomplete(a, b, False), _no_grad_of_first, _gamma_density),
    True,
    True,
)
_two(
    "igammac",
    _p(
        "igammac",
        lambda a, b: gamma.incomplete(a, b, True),
        _no_grad_of_first,
        lambda g, a, b: -_gamma_density(g, a, b),
    ),
    True,
    True,
)
SPECIAL["gammainc"], SPECIAL["gammaincc"] = SPECIAL["igamma"], SPECIAL["igammac"]
_ZETA: Op = _p(
    "zeta", gamma.zeta, _no_grad_of_first, lambda g, a, b: g * -a * record(_ZETA, (a + 1, b))
)
_two("zeta", _ZETA, False)


def _xlog1py(a: Any, b: Any) -> Any:
    zero = (a == 0) & ~np.isnan(b)
    return np.where(zero, 0.0, a * np.log1p(np.where(zero, 0.0, b)))


_two(
    "xlog1py",
    _p(
        "xlog1py",
        _xlog1py,
        lambda g, a, b: _where((a == 0) & (b <= -1), _zero(g), FUNCTIONS["special_xlog1py"](g, b)),
        lambda g, a, b: g * a / (b + 1),
    ),
    False,
)


def _polynomial(name: str) -> None:
    prim = _p(name, lambda a, b: polynomials.evaluate(name, a, b), None, None)

    def f(input: Any, n: Any) -> Any:
        return _apply(name, prim, input, n)

    _declare(name, _documented(f, name), False)


for _name in polynomials.NAMES:
    _polynomial(_name)


# polygamma, mvlgamma.
def _polygamma_grad(g: Any, a: Any, p: Any) -> Any:
    return g * record(POLYGAMMA, (a,), p + 1)


POLYGAMMA: Op = pointwise(
    "polygamma", lambda p, s, a: gamma.polygamma(p, a).astype(a.dtype), _polygamma_grad
)


@api(method=False)
def polygamma(n: int, input: Any) -> Any:
    """The n-th derivative of digamma."""
    if n < 0:
        raise RuntimeError(f"polygamma(n, x) does not support negative n, got {n}")
    return record(POLYGAMMA, (_real("polygamma", input),), int(n))


def _polygamma_of(self: Any, n: int) -> Any:
    """The n-th derivative of digamma."""
    return polygamma.__wrapped__(n, self)


_polygamma_of.__name__ = "polygamma"
api(_polygamma_of, function=False, inplace=True)


@api(names=("special_multigammaln",), inplace=True)
def mvlgamma(input: Any, p: int) -> Any:
    """The logarithm of the multivariate gamma function of dimension p."""
    if p < 1:
        raise RuntimeError(f"mvlgamma: p has to be greater than or equal to 1, got {p}")
    t = _real("mvlgamma", input)
    total = _op("lgamma", t)
    for k in range(1, p):
        total = total + _op("lgamma", t - k / 2)
    return in_layout(total + p * (p - 1) / 4 * math.log(math.pi), None)


SPECIAL["polygamma"] = polygamma
SPECIAL["multigammaln"] = mvlgamma
# Operations that are elsewhere under other names.
for _name, _there in (
    ("erf", "erf"),
    ("erfc", "erfc"),
    ("exp2", "exp2"),
    ("expm1", "expm1"),
    ("expit", "sigmoid"),
    ("log1p", "log1p"),
    ("log_softmax", "log_softmax"),
    ("logit", "logit"),
    ("logsumexp", "logsumexp"),
    ("round", "round"),
    ("sinc", "sinc"),
    ("softmax", "softmax"),
    ("xlogy", "xlogy"),
):
    SPECIAL[_name] = FUNCTIONS[_there]
FUNCTIONS["i0_"] = METHODS["i0_"]
