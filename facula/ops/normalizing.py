"""Normalisation with its statistics as results, and functions of `nn.functional` that PyTorch also
has at its top level."""

from __future__ import annotations

import math
from typing import Any

from facula import grad_mode
from facula.ops.composed import whole
from facula.ops.promotion import in_float32
from facula.ops.table import api


def _scaled(t: Any, weight: Any, bias: Any) -> Any:
    t = t if weight is None else t * weight
    return t if bias is None else t + bias


def _over(t: Any, dims: list[int], eps: float) -> tuple[Any, Any, Any]:
    """The normalised tensor, the mean and the inverse standard deviation."""
    mean = t.mean(dims, keepdim=True)
    d = t - mean
    var = (d * d).mean(dims, keepdim=True)
    inverse = (var + eps).rsqrt()
    return d * inverse, mean, inverse


@api(method=False)
def native_layer_norm(input: Any, normalized_shape: Any, weight: Any, bias: Any, eps: float) -> Any:
    """Layer normalisation: the result, the means and the inverse standard deviations."""
    want = tuple([int(n) for n in normalized_shape])
    shape = input.node.shape
    if not want:
        raise RuntimeError(
            "native_layer_norm: Expected normalized_shape to be at least 1-dimensional, i.e., "
            "containing at least one element, but got normalized_shape = []"
        )
    for what, t in (("weight", weight), ("bias", bias)):
        if t is not None and t.node.shape != want:
            raise RuntimeError(
                f"native_layer_norm: Expected {what} to be of same shape as normalized_shape, but "
                f"got {what} of shape {list(t.node.shape)} and normalized_shape = {list(want)}"
            )
    if shape[len(shape) - len(want) :] != want:
        raise RuntimeError(
            f"native_layer_norm: Given normalized_shape={list(want)}, expected input with shape "
            f"[*, {', '.join([str(n) for n in want])}], but got input of size {list(shape)}"
        )
    dims = list(range(len(shape) - len(want), len(shape)))
    given = [t for t in (weight, bias) if t is not None]

    def f(t: Any, *rest: Any) -> Any:
        parts = iter(rest)
        w = None if weight is None else next(parts)
        b = None if bias is None else next(parts)
        return _scaled(_over(t, dims, eps)[0], w, b)

    _, mean, inverse = _over(input.float() if input.dtype.itemsize == 2 else input, dims, eps)
    out = whole(in_float32(f, input, *given), "NativeLayerNorm", input, weight, bias)
    return out, mean.detach().to(input.dtype), inverse.detach().to(input.dtype)


@api(method=False)
def native_group_norm(
    input: Any, weight: Any, bias: Any, N: int, C: int, HxW: int, group: int, eps: float
) -> Any:
    """Group normalisation: the result, the means and the inverse standard deviations."""
    if group <= 0 or C % group:
        raise RuntimeError(
            f"native_group_norm: Expected number of channels in input to be divisible by "
            f"num_groups, but got {C} channels and {group} groups"
        )
    shape = input.node.shape
    across = (1, C) + (1,) * (len(shape) - 2)

    def f(t: Any) -> Any:
        x, mean, inverse = _over(t.reshape(N, group, C // group * HxW), [2], eps)
        w = None if weight is None else weight.to(t.dtype).reshape(across)
        b = None if bias is None else bias.to(t.dtype).reshape(across)
        return _scaled(x.reshape(shape), w, b), mean.reshape(N, group), inverse.reshape(N, group)

    wide = input.float() if input.dtype.itemsize == 2 else input
    out, mean, inverse = [t.to(input.dtype) for t in f(wide)]
    return whole(out, "NativeGroupNorm", input, weight, bias), mean, inverse


def _follow(running_mean: Any, running_var: Any, mean: Any, var: Any, momentum: float) -> None:
    for running, new in ((running_mean, mean), (running_var, var)):
        if running is not None:
            running.mul_(1 - momentum).add_((new * momentum).to(running.dtype))


@api(method=False)
def batch_norm_update_stats(
    input: Any, running_mean: Any, running_var: Any, momentum: float
) -> Any:
    """The means and (biased) variances of channels; updates the running ones."""
    if not input.is_floating_point():
        raise NotImplementedError(
            f'"batch_norm_update_stats_cpu" not implemented for {input.dtype}'
        )
    if len(input.node.shape) < 2:
        raise IndexError(
            f"batch_norm_update_stats: Dimension out of range: there are no channels in an input "
            f"of shape {list(input.shape)}"
        )
    dims = [d for d in range(len(input.node.shape)) if d != 1]
    wide = input.float() if input.dtype.itemsize == 2 else input
    mean = wide.mean(dims)
    var = wide.var(dims, correction=0)
    n = input.numel() // max(input.node.shape[1], 1)
    with grad_mode.no_grad():
        unbiased = var.detach() * (n / max(n - 1, 1))
        _follow(running_mean, running_var, mean.detach(), unbiased, momentum)
    return mean.to(input.dtype), var.to(input.dtype)


@api(method=False)
def native_batch_norm(
    input: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    training: bool,
    momentum: float,
    eps: float,
) -> Any:
    """Batch normalisation: the result, and in training the statistics of the batch; updates the
    running ones."""
    shape = input.node.shape
    across = (1, shape[1]) + (1,) * (len(shape) - 2)
    wide = input.float() if input.dtype.itemsize == 2 else input
    w = None if weight is None else weight.to(wide.dtype).reshape(across)
    b = None if bias is None else bias.to(wide.dtype).reshape(across)
    if not training:
        mean, var = running_mean.to(wide.dtype), running_var.to(wide.dtype)
        x = (wide - mean.reshape(across)) * (var.reshape(across) + eps).rsqrt()
        empty = input.new_empty((0,))
        out = _scaled(x, w, b).to(input.dtype)
        given = weight, bias, running_mean, running_var
        return whole(out, "NativeBatchNorm", input, *given), empty, empty.clone()
    dims = [d for d in range(len(shape)) if d != 1]
    x, mean, inverse = _over(wide, dims, eps)
    mean, inverse = mean.reshape(-1), inverse.reshape(-1)
    n = math.prod(shape) // max(shape[1], 1)
    with grad_mode.no_grad():
        d = (wide - mean.reshape(across)).detach()
        _follow(running_mean, running_var, mean, (d * d).sum(dims) / max(n - 1, 1), momentum)
    out = whole(_scaled(x, w, b).to(input.dtype), "NativeBatchNorm", input, weight, bias)
    return out, mean.detach().to(input.dtype), inverse.detach().to(input.dtype)


def _grid_sampler(name: str) -> None:
    def f(
        input: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: bool
    ) -> Any:
        from facula.nn import functional

        modes, pads = ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection")
        return functional.grid_sample(
            input, grid, modes[interpolation_mode], pads[padding_mode], align_corners
        )

    f.__name__ = name
    f.__doc__ = "`nn.functional.grid_sample` with its modes as numbers."
    api(f, method=False)


for _name in ("grid_sampler", "grid_sampler_2d", "grid_sampler_3d"):
    _grid_sampler(_name)


@api(method=False)
def group_norm(
    input: Any,
    num_groups: int,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Any:
    """`nn.functional.group_norm`."""
    from facula.nn import functional

    return functional.group_norm(input, num_groups, weight, bias, eps)


@api(method=False)
def layer_norm(
    input: Any,
    normalized_shape: Any,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Any:
    """`nn.functional.layer_norm`."""
    from facula.nn import functional

    return functional.layer_norm(input, normalized_shape, weight, bias, eps)


@api(method=False)
def batch_norm(
    input: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> Any:
    """`nn.functional.batch_norm`, its arguments in another order."""
    from facula.nn import functional

    return functional.batch_norm(
        input, running_mean, running_var, weight, bias, training, momentum, eps
    )
