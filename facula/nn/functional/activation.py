"""Activation functions.

Each is the formula of PyTorch's documentation, written so that no branch that is not taken can
overflow: the gradient of ``where`` is zero times the branch's own, and zero times infinity is NaN.
"""

from __future__ import annotations

from typing import Any

import facula
from facula import Tensor
from facula.dtypes import check_fits
from facula.ops.composed import whole
from facula.ops.movement import in_layout
from facula.ops.registry import Op, like_strides
from facula.ops.table import explained, mixed
from facula.trace.recorder import TLS, record
from facula.trace.spans import pure, run

from ._common import in_place, no_tensor, output, require_float, scalar_type, upcast

_SQRT_HALF = 0.7071067811865476
_SQRT_2_OVER_PI = 0.7978845608028654
_SELU_ALPHA = 1.6732632423543772
_SELU_SCALE = 1.0507009873554805


def _activation(name: str, slope: Any) -> Op:
    """An operation whose value is its first operand, and whose derivative is one formula.

    The operands: the value, that of which it is one, and what else the formula takes. Derivatives
    of the single steps would keep each of their operands, and where infinite ones cancel, their sum
    is NaN; this is one factor, which can be made with the value.
    """
    return Op(
        name,
        lambda p, st, a, *rest: (a.shape, a.dtype, a.strides, 0),
        lambda p, s, a, *rest: a,
        (None, slope),
    )


def _rounded(out: Tensor, input: Tensor, name: str) -> Tensor:
    """What was computed in a higher precision, in the operand's."""
    return out if out.dtype is input.dtype else whole(out.to(input.dtype), name, input)


# ---- rectifiers


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """``max(input, 0)``, element by element."""
    try:
        return input.relu_() if inplace else input.relu()
    except AttributeError:
        if isinstance(input, Tensor):
            raise
        raise no_tensor("relu", "input", input) from None


def relu_(input: Tensor) -> Tensor:
    """In-place :func:`relu`."""
    return input.relu_()


@explained
def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """``input`` where it is greater than ``threshold``, else ``value``."""
    if inplace:
        return in_place(_threshold, input, threshold, value)
    return _threshold(input, threshold, value)


def _threshold(x: Tensor, threshold: float, value: float) -> Tensor:
    if x.dtype is facula.bool:
        raise NotImplementedError("\"threshold_cpu\" not implemented for 'Bool'")
    out = in_layout(x.masked_fill(upcast(x) <= threshold, value), like_strides(x.node))
    return whole(out, "Threshold", x)


def threshold_(input: Tensor, threshold: float, value: float) -> Tensor:
    """In-place :func:`threshold`."""
    return in_place(_threshold, input, threshold, value)


@explained
def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """``input`` limited to ``[min_val, max_val]``."""
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    if input.dtype is facula.bool:
        raise RuntimeError("Bool inputs not supported for hardtanh")
    if not (input.dtype.is_floating_point or input.dtype.is_complex):
        min_val, max_val = int(min_val), int(max_val)
    if inplace:
        return in_place(_hardtanh, input, min_val, max_val)
    return _hardtanh(input, min_val, max_val)


def _hardtanh(x: Tensor, low: float, high: float) -> Tensor:
    if not x.requires_grad:
        return x.clamp(low, high)
    # Unlike clamp, hardtanh has no gradient at the two limits themselves.
    limited = facula.where((x <= low) | (x >= high), x.detach().clamp(low, high), x)
    return whole(limited, "Hardtanh", x)


def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """In-place :func:`hardtanh`."""
    return hardtanh(input, min_val, max_val, inplace=True)


@explained
def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """``min(max(input, 0), 6)``."""
    return hardtanh(input, 0.0, 6.0, inplace)


def _refuse_negative(g: Any, p: Any) -> Any:
    name, slope = p
    raise RuntimeError(
        f"In-place {name} backward calculation is triggered with a negative slope which is not "
        f"supported: {slope}. Use the form that is not in place."
    )


_NEGATIVE = Op(
    "negative_slope",
    lambda p, st, a: (a.shape, a.dtype, a.strides, 0),
    lambda p, s, a: a,
    (_refuse_negative,),
)


def _by_result(out: Tensor, x: Tensor, name: str, slope: float) -> Tensor:
    """What takes x's place, of which PyTorch tells the slope by its sign: it may not be written to
    before the backward pass, which fails where a negative slope changes signs."""
    out = whole(out, name + "_", x)
    return record(_NEGATIVE, (out,), (name, slope)) if slope < 0 and out.requires_grad else out


@explained
def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """``input`` where positive, else ``negative_slope * input``."""
    if inplace:
        return in_place(_leaky_relu_, input, negative_slope)
    return run(_leaky, (input,), negative_slope)


@pure
def _leaky(tensors: Any, slope: Any, numbers: Any) -> Tensor:
    return _leaky_relu(*tensors, slope)


def _leaky_relu(x: Tensor, slope: float) -> Tensor:
    require_float(x, "leaky_relu_cpu")
    return whole(facula.where(x > 0, x, x * slope), "LeakyRelu", x)


def _leaky_relu_(x: Tensor, slope: float) -> Tensor:
    return _by_result(_leaky_relu(x, slope), x, "LeakyRelu", slope)


def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """In-place :func:`leaky_relu`."""
    return leaky_relu(input, negative_slope, inplace=True)


@mixed
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """``input`` where positive, else ``weight * input``.

    Args:
        weight: one element, or one per channel (dimension 1 of ``input``).
    """
    if input.dtype != weight.dtype:
        raise RuntimeError(
            f"prelu: Type promoting not supported. Got {scalar_type(input.dtype)} and "
            f"{scalar_type(weight.dtype)}"
        )
    if weight.dim() > 1:
        raise RuntimeError(
            f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.dim()}"
        )
    if weight.numel() != 1:
        if input.dim() == 0:
            raise RuntimeError("Not allow zero-dim input tensor.")
        channels = input.shape[1] if input.dim() > 1 else 1
        if channels != weight.numel():
            raise RuntimeError(
                "Mismatch of parameter numbers and input channel size. Found parameter numbers = "
                f"{weight.numel()} and channel size = {channels}."
            )
        weight = weight.reshape([-1] + [1] * (input.dim() - 2))
    elif weight.dim() == 1 and input.dim() == 0:
        weight = weight.reshape([])
    return whole(facula.where(input > 0, input, weight * input), "PreluKernel", input, weight)


@explained
def rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """:func:`leaky_relu` with a slope drawn from ``[lower, upper]`` for each element.

    Outside training the slope is the mean of the two.
    """
    if lower > upper:
        raise RuntimeError(
            "Lower bound should be less than or equal to the upper bound, but got lower: "
            f"{lower}, upper: {upper}"
        )
    if inplace:
        return in_place(_rrelu_, input, lower, upper, training)
    return _rrelu(input, lower, upper, training)


def _rrelu(x: Tensor, lower: float, upper: float, training: bool) -> Tensor:
    if not training:
        return in_layout(_leaky_relu(x, (lower + upper) / 2), None)
    require_float(x, "rrelu_with_noise_out_cpu")
    # PyTorch draws for the elements that are not positive, in order, and in double precision.
    places = (x.detach().reshape(-1) <= 0).nonzero().reshape(-1)
    drawn = facula.empty(places.shape[0], dtype=facula.float64).uniform_(lower, upper)
    slope = facula.ones(x.numel(), dtype=x.dtype, device=x.device)
    slope = slope.index_copy(0, places, drawn.to(x)).reshape(x.shape)
    return whole(facula.where(x > 0, x, x * slope), "RreluWithNoise", x)


def _rrelu_(x: Tensor, lower: float, upper: float, training: bool) -> Tensor:
    drawn = training and upper - lower > 1e-6  # then the slopes are kept
    slope = 0.0 if drawn else (lower + upper) / 2
    return _by_result(_rrelu(x, lower, upper, training), x, "RreluWithNoise", slope)


def rrelu_(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False
) -> Tensor:
    """In-place :func:`rrelu`."""
    return rrelu(input, lower, upper, training, inplace=True)


# ---- exponential units


@explained
def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """``input`` where positive, else ``alpha * (exp(input) - 1)``."""
    return elu_(input, alpha) if inplace else _elu(input, alpha)


def _elu(
    x: Tensor, alpha: float, scale: float = 1.0, stretch: float = 1.0, name: str = "Elu"
) -> Tensor:
    require_float(x, "elu_cpu", False)
    return run(_elu_of, (x,), (alpha, scale, stretch, name))


def _below_zero(x: Tensor, stretch: float) -> Tensor:
    """x where it is negative, times a number, so that no exp of a large one is computed."""
    negative = x.clamp(max=0)
    return negative if stretch == 1.0 else negative * stretch


def _elu_grad(g: Any, b: Any, p: Any) -> Any:
    alpha, scale, stretch = p
    slope = _below_zero(b, stretch).exp() * (alpha * scale * stretch)
    return g * facula.where(b <= 0, slope, scale)  # NaN's slope is that of a positive number


ELU = {name: _activation(name.lower(), _elu_grad) for name in ("Elu", "Celu")}


@pure
def _elu_of(tensors: Any, static: Any, numbers: Any) -> Tensor:
    (input,) = tensors
    alpha, scale, stretch, name = static
    x = upcast(input)
    value = x.detach()
    out = facula.where(value <= 0, _below_zero(value, stretch).expm1() * alpha, value)
    if scale != 1.0:
        out = out * scale
    return _rounded(record(ELU[name], (out, x), (alpha, scale, stretch)), input, name)


def elu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """In-place :func:`elu`."""
    return in_place(_elu_, input, alpha)


def _elu_(x: Tensor, alpha: float) -> Tensor:
    return _by_result(_elu(x, alpha), x, "Elu", alpha)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """Self-normalising unit (https://arxiv.org/abs/1706.02515): a scaled :func:`elu`."""
    return in_place(_selu_, input) if inplace else _selu(input)


def _selu(x: Tensor) -> Tensor:
    return _elu(x, _SELU_ALPHA, _SELU_SCALE)


def _selu_(x: Tensor) -> Tensor:
    return _by_result(_selu(x), x, "Elu", _SELU_ALPHA)


def selu_(input: Tensor) -> Tensor:
    """In-place :func:`selu`."""
    return in_place(_selu_, input)


@explained
def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """``input`` where positive, else ``alpha * (exp(input / alpha) - 1)``."""
    return celu_(input, alpha) if inplace else _celu(input, alpha)


def _celu(x: Tensor, alpha: float) -> Tensor:
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return _elu(x, alpha, stretch=1.0 / alpha, name="Celu")


def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """In-place :func:`celu`."""
    return in_place(_celu_, input, alpha)


def _celu_(x: Tensor, alpha: float) -> Tensor:
    return _by_result(_celu(x, alpha), x, "Celu", alpha)


# ---- smooth gates


def sigmoid(input: Tensor) -> Tensor:
    """``1 / (1 + exp(-input))``."""
    return input.sigmoid()


def tanh(input: Tensor) -> Tensor:
    """Hyperbolic tangent."""
    return input.tanh()


def gelu(input: Tensor, approximate: str = "none", *, out: Tensor | None = None) -> Tensor:
    """``input`` times the normal distribution's probability of a value below it.

    With ``approximate="tanh"`` by the usual formula in tanh (https://arxiv.org/abs/1606.08415).
    """
    if approximate not in ("none", "tanh"):
        if not isinstance(approximate, str):
            raise TypeError(
                f"gelu(): argument 'approximate' must be str, not {type(approximate).__name__}"
            )
        raise RuntimeError("approximate argument must be either none or tanh.")
    require_float(input, "GeluKernelImpl", False)
    return output(run(_gelu, (input,), approximate), out)


def _below(x: Tensor, approximate: str) -> Tensor:
    """Twice the probability of a value below x, less one."""
    if approximate == "none":
        return (x * _SQRT_HALF).erf()
    return ((x + x * x * x * 0.044715) * _SQRT_2_OVER_PI).tanh()


def _gelu_grad(g: Any, b: Any, c: Any, p: Any) -> Any:
    below = _below(b, p) if TLS.r.grad else c
    probability = (below + 1) * 0.5
    if p == "none":
        return g * (probability + b * (b * b * -0.5).exp() * (_SQRT_2_OVER_PI / 2))
    slope = (b * b * (3 * 0.044715) + 1) * _SQRT_2_OVER_PI
    return g * (probability + b * 0.5 * (1 - below * below) * slope)


GELU = _activation("gelu", _gelu_grad)  # the last operand is `_below` of the one before


@pure
def _gelu(tensors: Any, approximate: Any, numbers: Any) -> Tensor:
    (input,) = tensors
    x = upcast(input)
    value = x.detach()
    below = _below(value, approximate)
    out = record(GELU, (value * 0.5 * (below + 1), x, below), approximate)
    return _rounded(out, input, "Gelu")


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """``input * sigmoid(input)``, also called swish."""
    return in_place(_silu, input) if inplace else _silu(input)


def _silu(x: Tensor) -> Tensor:
    require_float(x, "silu_cpu")
    return run(_silu_of, (x,))


def _silu_grad(g: Any, b: Any, c: Any) -> Any:
    part = b.sigmoid() if TLS.r.grad else c
    slope = part * (b * (1 - part) + 1)
    return g * (slope.conj_physical() if b.dtype.is_complex else slope)


SILU = _activation("silu", _silu_grad)  # the last operand is the sigmoid


@pure
def _silu_of(tensors: Any, static: Any, numbers: Any) -> Tensor:
    (input,) = tensors
    x = upcast(input)
    value = x.detach()
    part = value.sigmoid()
    return _rounded(record(SILU, (value * part, x, part)), input, "Silu")


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """``input * tanh(softplus(input))``."""
    return in_place(_mish, input) if inplace else _mish(input)


def _mish(x: Tensor) -> Tensor:
    require_float(x, "mish_cpu", False)
    return run(_mish_of, (x,))


def _mish_grad(g: Any, b: Any, c: Any) -> Any:
    part = _softplus(b, 1.0, 20.0).tanh() if TLS.r.grad else c
    return g * (part + b * b.sigmoid() * (1 - part * part))


MISH = _activation("mish", _mish_grad)  # the last operand is the tanh


@pure
def _mish_of(tensors: Any, static: Any, numbers: Any) -> Tensor:
    (input,) = tensors
    x = upcast(input)
    value = x.detach()
    part = _softplus(value, 1.0, 20.0).tanh()
    return _rounded(record(MISH, (value * part, x, part)), input, "Mish")


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """``input * relu6(input + 3) / 6``."""
    return in_place(_hardswish, input) if inplace else _hardswish(input)


def _hardswish(x: Tensor) -> Tensor:
    require_float(x, "hardswish_cpu", False)
    return run(_hardswish_of, (x,))


def _hardswish_grad(g: Any, b: Any) -> Any:
    # A gradient that is infinite or NaN doesn't pass where the slope is 0.
    return facula.where(b <= -3, 0.0, g * facula.where(b < 3, b / 3 + 0.5, 1.0))


HARDSWISH = _activation("hardswish", _hardswish_grad)


@pure
def _hardswish_of(tensors: Any, static: Any, numbers: Any) -> Tensor:
    (input,) = tensors
    x = upcast(input)
    value = x.detach()
    out = value * (value + 3).clamp(0, 6) / 6
    return _rounded(record(HARDSWISH, (out, x)), input, "Hardswish")


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """``relu6(input + 3) / 6``."""
    return in_place(_hardsigmoid, input) if inplace else _hardsigmoid(input)


def _hardsigmoid(x: Tensor) -> Tensor:
    require_float(x, "hardsigmoid_cpu", False)
    high = upcast(x)
    flat = high.detach().clamp(-3, 3)  # NaN too has no slope
    bend = facula.where((high > -3) & (high < 3), high, flat)
    return whole(((bend + 3) / 6).to(x.dtype), "Hardsigmoid", x)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The first half of ``input`` along ``dim`` times the sigmoid of the second."""
    if input.dim() == 0:
        raise RuntimeError("glu does not support scalars because halving size must be even")
    size = input.shape[dim]
    if size % 2:
        raise RuntimeError(
            f"Halving dimension must be even, but dimension {dim % input.dim()} is size {size}"
        )
    require_float(input, "glu_cpu")
    first, second = upcast(input).split([size // 2, size // 2], dim)
    return whole((first * second.sigmoid()).to(input.dtype), "Glu", input)


# ---- logarithms of sums


@mixed
def softplus(
    input: Tensor, beta: float = 1.0, threshold: float = 20.0, *, out: Tensor | None = None
) -> Tensor:
    """``log(1 + exp(beta * input)) / beta``; ``input`` itself where that is > ``threshold``."""
    require_float(input, "softplus_cpu")
    soft = _softplus(upcast(input), beta, threshold).to(input.dtype)
    return output(whole(soft, "Softplus", input), out)


def _softplus(x: Tensor, beta: float, threshold: float) -> Tensor:
    scaled = x if beta == 1 else x * beta
    above = scaled > threshold
    soft = facula.where(above, 0.0, scaled).exp().log1p()
    return facula.where(above, x, soft if beta == 1 else soft / beta)


def logsigmoid(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """``log(sigmoid(input))``, also where the sigmoid itself would be 0."""
    require_float(input, "log_sigmoid_cpu", False)
    return output(run(_logsigmoid_of, (input,)), out)


def _logsigmoid_grad(g: Any, b: Any) -> Any:
    return g * (-b).sigmoid()


LOGSIGMOID = _activation("log_sigmoid", _logsigmoid_grad)


@pure
def _logsigmoid_of(tensors: Any, static: Any, numbers: Any) -> Tensor:
    (input,) = tensors
    x = upcast(input)
    value = x.detach()
    out = in_layout(value.clamp(max=0) - (-value.abs()).exp().log1p(), None)
    return _rounded(record(LOGSIGMOID, (out, x)), input, "LogSigmoid")


# ---- shrinkage


@explained
def hardshrink(input: Tensor, lambd: float = 0.5, *, out: Tensor | None = None) -> Tensor:
    """``input`` where its magnitude is greater than ``lambd``, else 0."""
    require_float(input, "hardshrink_cpu")
    check_fits(lambd, input.dtype)
    kept = input.masked_fill((input >= -lambd) & (input <= lambd), 0)
    kept = in_layout(kept, like_strides(input.node))
    return output(whole(kept, "Hardshrink", input), out)


@explained
def softshrink(input: Tensor, lambd: float = 0.5, *, out: Tensor | None = None) -> Tensor:
    """``input`` moved towards 0 by ``lambd``, and 0 where that would pass it."""
    require_float(input, "softshrink_cpu")
    if not 0 <= lambd <= facula.finfo(input.dtype).max:
        raise RuntimeError(
            f"lambda must be in range [0, {facula.finfo(input.dtype).max:g}] for input dtype "
            f"{scalar_type(input.dtype).lower()}, but found {lambd}."
        )
    x = upcast(input)
    low = facula.where(x < -lambd, x + lambd, (x * 0).detach())
    moved = facula.where(x <= lambd, low, x - lambd).to(input.dtype)
    return output(whole(moved, "Softshrink", input), out)


def tanhshrink(input: Tensor) -> Tensor:
    """``input - tanh(input)``."""
    return input - input.tanh()


def softsign(input: Tensor) -> Tensor:
    """``input / (1 + |input|)``."""
    return input / (input.abs() + 1)
