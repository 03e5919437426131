"""Normalisations: batch, instance, layer, group, RMS, local response.

All are compositions: subtract a mean, multiply by the reciprocal of a deviation, scale, shift.
"""

from __future__ import annotations

from typing import Any

import facula
from facula import Tensor
from facula.batches import level_of
from facula.ops import table
from facula.ops.composed import whole
from facula.ops.movement import in_layout, is_channels_last, shaped
from facula.ops.table import OVERRIDES, explained, mixed
from facula.trace.recorder import TLS
from facula.trace.spans import pure, run

from ._common import (
    dims,
    is_low,
    no_tensor,
    require_bools,
    require_float,
    require_numbers,
    scalar_type,
    upcast,
)


def _standardised(x: Tensor, over, eps: float):
    """``(x - mean) / sqrt(variance + eps)`` with mean and variance over the dimensions ``over``."""
    mean = x.mean(over, keepdim=True)
    centred = x - mean
    variance = (centred * centred).mean(over, keepdim=True)
    return centred * (variance + eps).rsqrt(), mean, variance


def _in_order(x: Tensor) -> Tensor:
    """An input in the order of elements in which the result lies, in float32 for 16 bits."""
    return in_layout(upcast(x), None)


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None, shape=None) -> Tensor:
    if weight is not None:
        weight = upcast(weight)
        x = x * (weight if shape is None else shaped(weight, shape))
    if bias is not None:
        bias = upcast(bias)
        x = x + (bias if shape is None else shaped(bias, shape))
    return x


def _check_parameter_dtype(x: Tensor, *params: Tensor | None) -> None:
    """Parameters have the input's dtype, or are float32 beside an input of lower precision."""
    low = upcast(x).dtype is not x.dtype
    for p in params:
        if p is not None and p.dtype != x.dtype and not (low and p.dtype is facula.float32):
            raise RuntimeError(
                "mixed dtype (CPU): expect parameter to have scalar type of "
                f"{scalar_type(x.dtype)}, but got {scalar_type(p.dtype)}"
            )


# ---- over the batch


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise every channel (dimension 1) over all samples and positions.

    In training by the batch's own statistics, which are also mixed into the running ones
    (``momentum`` of the new, ``1 - momentum`` of the old); otherwise by the running statistics.

    Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167
    """
    if training.__class__ is not bool:  # 1 is equal to True, where a call like it is known
        require_bools("batch_norm", training=training)
    if momentum.__class__ is not float or eps.__class__ is not float:
        require_numbers("batch_norm", momentum=momentum, eps=eps)
    tensors = (input, running_mean, running_var, weight, bias)
    return run(_batch_norm, tensors, (training, momentum, eps))


def _batch_norm(tensors: Any, static: Any, numbers: Any) -> Tensor:
    input, running_mean, running_var, weight, bias = tensors
    training, momentum, eps = static
    if training:
        if eps <= 0:
            raise ValueError(f"batch_norm eps must be positive during training, but got {eps}")
        _require_several(input)
    else:
        for name, stat in (("running_mean", running_mean), ("running_var", running_var)):
            if stat is None:
                raise RuntimeError(f"{name} must be defined in evaluation mode")
    if (running_mean is None) != (running_var is None):
        raise ValueError("running_mean and running_var must either both be None or neither be None")
    channels = input.shape[1] if input.dim() > 1 else 0
    named = (
        ("running_mean", running_mean),
        ("running_var", running_var),
        ("weight", weight),
        ("bias", bias),
    )
    for name, t in named:
        if t is not None and t.numel() != channels:
            raise RuntimeError(f"{name} should contain {channels} elements not {t.numel()}")
    require_float(input, "batch_norm")
    _check_parameter_dtype(input, running_mean, running_var, weight, bias)

    if input.dim() < 2:  # no channels: there is nothing to normalise
        return input.clone()
    shape = [1, input.shape[1]] + [1] * (input.dim() - 2)
    x = upcast(input) if is_channels_last(input.node) else _in_order(input)
    if training:
        over = [d for d in range(x.dim()) if d != 1]
        normal, mean, variance = _standardised(x, over, eps)
        _update_running(running_mean, running_var, mean, variance, momentum, x)
        out = _affine(normal, weight, bias, shape)
    else:
        scale = (upcast(running_var) + eps).rsqrt()
        if weight is not None:
            scale = scale * upcast(weight)
        out = (x - shaped(upcast(running_mean), shape)) * shaped(scale, shape)
        out = _affine(out, None, bias, shape)
    given = () if training else (running_mean, running_var)
    return whole(out.to(input.dtype), "NativeBatchNorm", input, weight, bias, *given)


def _require_several(x: Tensor) -> None:
    sizes = x.size()
    values = sizes[0]
    for n in sizes[2:]:
        values *= n
    if values == 1:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {sizes}"
        )


def _update_running(running_mean, running_var, mean, variance, momentum, x) -> None:
    if (running_mean is None and running_var is None) or not x.numel():
        return  # a batch of nothing says nothing
    count = x.numel() // max(x.shape[1], 1)
    with facula.no_grad():
        for running, new, correction in (
            (running_mean, mean, 1.0),
            (running_var, variance, count / max(count - 1, 1)),  # unbiased
        ):
            if running is not None:
                if level_of([new]) > level_of([running]):
                    raise RuntimeError(
                        "Batch norm got a batched tensor as input while the running_mean or "
                        "running_var, which will be updated in place, were not batched.\nIf you "
                        "are using a module and do not need eval mode, please set "
                        "`track_running_stats` to be False, or patch the module with "
                        "`func.replace_all_batch_norm_modules_`."
                    )
                new = shaped(new, running.shape) * (momentum * correction)
                running.copy_(upcast(running) * (1 - momentum) + new)


@explained
def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise every channel of every sample over its positions: ``(N, C, d1, ...)``."""
    if use_input_stats:
        positions = 1
        for n in input.shape[2:]:
            positions *= n
        if positions == 1:
            raise ValueError(
                f"Expected more than 1 spatial element when training, got input size {input.size()}"
            )
    elif running_mean is None or running_var is None:
        raise RuntimeError(
            "Expected running_mean and running_var to be defined when use_input_stats is false"
        )
    n, channels = input.shape[:2]
    for name, t in (
        ("running_mean", running_mean),
        ("running_var", running_var),
        ("weight", weight),
        ("bias", bias),
    ):
        if t is not None and t.numel() != channels:
            raise RuntimeError(f"{name} should contain {n * channels} elements not {n * t.numel()}")
    require_float(input, "batch_norm")
    _check_parameter_dtype(input, running_mean, running_var, weight, bias)
    shape = [1, channels] + [1] * (input.dim() - 2)
    x = _in_order(input)
    if use_input_stats:
        normal, mean, variance = _standardised(x, list(range(2, x.dim())), eps)
        if running_mean is not None or running_var is not None:
            # The running statistics are those of the samples on average.
            count = x.numel() // max(n * channels, 1)
            correction = count / max(count - 1, 1)
            with facula.no_grad():
                for running, new in ((running_mean, mean), (running_var, variance * correction)):
                    if running is not None:
                        new = new.detach().mean(0).reshape(running.shape)
                        running.copy_(upcast(running) * (1 - momentum) + new * momentum)
    else:
        scale = (upcast(running_var) + eps).rsqrt().reshape(shape)
        normal = (x - upcast(running_mean).reshape(shape)) * scale
    out = _affine(normal, weight, bias, shape).to(input.dtype)
    return whole(out, "NativeBatchNorm", input, weight, bias)


# ---- over the features


def _check_normalized_shape(input, normalized_shape, name, weight, bias=None) -> int:
    """How many trailing dimensions ``normalized_shape`` names."""
    if isinstance(normalized_shape, int):
        raise TypeError(
            f"{name}(): argument 'normalized_shape' (position 2) must be tuple of ints, not int"
        )
    if not isinstance(input, Tensor):
        raise no_tensor(name, "input", input)
    shape = tuple(normalized_shape)
    if not shape:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least "
            "one element, but got normalized_shape = []"
        )
    for what, t in (("weight", weight), ("bias", bias)):
        if t is not None and tuple(t.shape) != shape:
            raise RuntimeError(
                f"Expected {what} to be of same shape as normalized_shape, but got {what} of "
                f"shape {dims(t.shape)} and normalized_shape = {dims(shape)}"
            )
    if input.dim() < len(shape) or tuple(input.shape[input.dim() - len(shape) :]) != shape:
        expected = ", ".join(["*", *map(str, shape)])
        raise RuntimeError(
            f"Given normalized_shape={dims(shape)}, expected input with shape [{expected}], but "
            f"got input of size{dims(input.shape)}"
        )
    return len(shape)


def layer_norm(
    input: Tensor,
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise over the trailing dimensions ``normalized_shape``.

    Ba, Kiros and Hinton 2016, https://arxiv.org/abs/1607.06450
    """
    if eps.__class__ is not float:
        require_numbers("layer_norm", eps=eps)
    if OVERRIDES and TLS.r.autocast is not None:
        done = table.MIXED(layer_norm, (input, normalized_shape, weight, bias, eps), {})
        if done is not NotImplemented:
            return done
    return run(_layer_norm, (input, weight, bias), (normalized_shape, eps))


@pure
def _layer_norm(tensors: Any, static: Any, numbers: Any) -> Tensor:
    input, weight, bias = tensors
    normalized_shape, eps = static
    n = _check_normalized_shape(input, normalized_shape, "layer_norm", weight, bias)
    _check_parameter_dtype(input, weight, bias)
    require_float(input, "LayerNormKernelImpl")
    normal, _, _ = _standardised(_in_order(input), list(range(-n, 0)), eps)
    out = _affine(normal, weight, bias).to(input.dtype)
    return whole(out, "NativeLayerNorm", input, weight, bias)


@explained
def rms_norm(
    input: Tensor,
    normalized_shape: Any,
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """Divide by the root of the mean square over the trailing dimensions.

    ``eps`` is by default the machine epsilon of the precision computed in.
    Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467
    """
    return run(_rms_norm, (input, weight), (normalized_shape, eps))


@pure
def _rms_norm(tensors: Any, static: Any, numbers: Any) -> Tensor:
    input, weight = tensors
    normalized_shape, eps = static
    n = _check_normalized_shape(input, normalized_shape, "rms_norm", weight)
    require_float(input, "rms_norm")
    if eps is None:
        eps = facula.finfo(upcast(input).dtype).eps
    x = _in_order(input)
    out = x * ((x * x).mean(list(range(-n, 0)), keepdim=True) + eps).rsqrt()
    return _affine(out, weight, None).to(input.dtype)


@mixed
def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each of ``num_groups`` groups of channels of ``(N, C, ...)``.

    Wu and He 2018, https://arxiv.org/abs/1803.08494
    """
    return run(_group_norm, (input, weight, bias), (num_groups, eps))


@pure
def _group_norm(tensors: Any, static: Any, numbers: Any) -> Tensor:
    input, weight, bias = tensors
    num_groups, eps = static
    if input.dim() < 2:
        raise RuntimeError(
            f"Expected at least 2 dimensions for input tensor but received {input.dim()}"
        )
    n, channels = input.shape[:2]
    if num_groups <= 0:
        raise RuntimeError(f"Expected num groups to be greater than 0, got {num_groups}")
    if channels % num_groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input "
            f"of shape {dims(input.shape)} and num_groups={num_groups}"
        )
    for name, t in (("weight", weight), ("bias", bias)):
        if t is not None and tuple(t.shape) != (channels,):
            raise RuntimeError(
                f"Expected {name} to be a vector of size equal to the number of channels in "
                f"input, but got {name} of shape {dims(t.shape)} and input of shape "
                f"{dims(input.shape)}"
            )
    values = n * channels // num_groups
    for size in input.shape[2:]:
        values *= size
    if values == 1:
        raise ValueError(
            "Expected more than 1 value per channel when training, got input size "
            f"{list(input.shape)}"
        )
    if weight is not None and not input.dtype.is_floating_point:
        raise RuntimeError(
            "mixed dtype (CPU): all inputs must share same datatype, got "
            f"{input.dtype} and weight of {weight.dtype}"
        )
    require_float(input, "GroupNormKernelImpl")
    _check_parameter_dtype(input, weight, bias)
    if input.numel() == 0:
        shape = (1, channels) + (1,) * (input.dim() - 2)
        return _affine(upcast(input), weight, bias, shape).to(input.dtype)
    n, channels = input.shape[:2]
    x = _in_order(input)
    # Scaled in the shape in which it is normalised, so that both are one pass over the rows.
    each = channels // num_groups
    grouped = shaped(x, (n, num_groups, each, x.numel() // (n * channels)))
    normal, _, _ = _standardised(grouped, [2, 3], eps)
    out = _affine(normal, weight, bias, (1, num_groups, each, 1))
    out = shaped(out, input.shape).to(input.dtype)
    return whole(out, "NativeGroupNorm", input, weight, bias)


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """Divide by a power of the mean square of ``size`` neighbouring channels.

    Krizhevsky, Sutskever and Hinton 2012; zeros stand beyond the first and the last channel.
    """
    if input.dim() < 3:
        raise ValueError(
            f"Expected 3D or higher dimensionality input (got {input.dim()} dimensions)"
        )
    if input.numel() == 0:
        return input
    x = upcast(input)
    square = x * x
    n, channels, *rest = square.shape
    before, after = size // 2, (size - 1) // 2
    padded = facula.cat(
        [
            square.new_zeros([n, before, *rest]),
            square,
            square.new_zeros([n, after, *rest]),
        ],
        1,
    )
    total = padded.narrow(1, 0, channels)
    for offset in range(1, size):
        total = total + padded.narrow(1, offset, channels)
    whole_numbers = not (x.dtype.is_floating_point or x.dtype.is_complex)
    mean = total // size if whole_numbers else total / size
    out = x / (mean * alpha + k) ** beta
    return out.to(input.dtype) if is_low(input) else out
