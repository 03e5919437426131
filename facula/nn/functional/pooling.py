"""Pooling. The windows are primitives of the engine, ``facula.ops.pool``."""

from __future__ import annotations

import math
import operator
from typing import Any

import facula
from facula import Tensor
from facula.ops import pool, windows
from facula.ops.composed import whole
from facula.ops.table import mixed
from facula.trace.recorder import record
from facula.trace.spans import pure, run

from ._common import dims, ntuple, output, require_bools, require_float, scalar_type

_LETTERS = ("L", "H, W", "D, H, W")
_PAGE = "https://pytorch.org/docs/stable/generated/torch.nn.functional."


# ---- arguments


def _ints(name: str, argument: str, value, n: int) -> tuple[int, ...]:
    """A number, or one for each dimension, as ``n`` integers."""
    values = ntuple(value, n)
    if len(values) == 1:
        values *= n
    if len(values) != n:
        raise RuntimeError(
            f"{name}: {argument} must be a single int, or a tuple of {n} ints, got {value}"
        )
    for v in values:
        if isinstance(v, bool) or not hasattr(v, "__index__"):
            raise TypeError(
                f"{name}(): argument '{argument}' must be tuple of ints, but found element of "
                f"type {type(v).__name__}"
            )
    return tuple(v.__index__() for v in values)


def _batched(name: str, x: Tensor, n: int) -> Tensor:
    """``x`` with a batch dimension; only that may be empty."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}(): argument 'input' must be Tensor, not {type(x).__name__}")
    rank = x.dim()
    if n == 2 and rank <= n and name != "max_pool2d":
        raise IndexError(
            f"{name}(): Dimension out of range: expected {n + 1}D or {n + 2}D input, got "
            f"{dims(x.shape)}"
        )
    if rank not in (n + 1, n + 2) or 0 in x.shape[rank - n - 1 :]:
        raise RuntimeError(
            f"{name}(): Expected {n + 1}D or {n + 2}D (batch mode) tensor with optional 0 dim "
            f"batch size for input, but got: {dims(x.shape)}"
        )
    return x if rank == n + 2 else x.unsqueeze(0)


def _settings(name, n, kernel_size, stride, padding, dilation=1):
    """The four settings as tuples, checked."""
    kernel = _ints(name, "kernel_size", kernel_size, n)
    if stride is None or (isinstance(stride, (tuple, list)) and not stride):
        stride = kernel
    stride = _ints(name, "stride", stride, n)
    padding = _ints(name, "padding", padding, n)
    dilation = _ints(name, "dilation", dilation, n)
    for argument, values in (("kernel_size", kernel), ("stride", stride), ("dilation", dilation)):
        if min(values) < 1:
            raise RuntimeError(
                f"{name}: {argument} should be greater than zero, but got {list(values)}"
            )
    for p, k, d in zip(padding, kernel, dilation, strict=True):
        if p < 0:
            raise RuntimeError(f"{name}: pad must be non-negative, but got pad: {p}")
        if p > ((k - 1) * d + 1) // 2:
            raise RuntimeError(
                f"{name}: pad should be at most half of effective kernel size, but got pad={p}, "
                f"kernel_size={k} and dilation={d}"
            )
    return kernel, stride, padding, dilation


def _out_sizes(name, size, kernel, stride, padding, dilation, ceil_mode) -> tuple[int, ...]:
    out = []
    for s, k, t, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        n = windows.count(s, k, t, p, d)
        if ceil_mode:
            n = -(-(s + 2 * p - d * (k - 1) - 1) // t) + 1
            if (n - 1) * t >= s + p:  # the last window would begin in the padding
                n -= 1
        out.append(n)
    if min(out) < 1:
        raise RuntimeError(
            f"{name}: Given input size: ({'x'.join(map(str, size))}). Calculated output size: "
            f"({'x'.join(map(str, out))}). Output size is too small for kernel_size="
            f"{list(kernel)}, stride={list(stride)}, padding={list(padding)}, "
            f"dilation={list(dilation)}"
        )
    return tuple(out)


def _with_indices(name: str, x: Tensor, batched: Tensor, index: Tensor, return_indices: bool):
    """The elements at ``index``, and that if asked for; without the batch if there is none.

    ``name``: what PyTorch calls the operation, without the number of dimensions.
    """
    values = record(pool.TAKE, (index, batched))
    values = whole(values, name.format(max(2, batched.dim() - 2)), x, index)
    if x is not batched:
        values, index = values.squeeze(0), index.squeeze(0)
    return (values, index) if return_indices else values


# ---- the largest element


@pure
def _max_pool(tensors, static, numbers):
    (input,) = tensors
    name, n, kernel_size, stride, padding, dilation, ceil_mode, return_indices = static
    settings = _settings(name, n, kernel_size, stride, padding, dilation)
    x = _batched(name, input, n)
    if x.dtype.is_complex or x.dtype is facula.bool:
        require_float(x if x.dtype is facula.bool else x.real.bool(), name)
    out = _out_sizes(name, x.shape[2:], *settings, ceil_mode)
    params = tuple(v for values in (*settings, out) for v in values)
    if return_indices:
        index = record(pool.MAX_INDEX, (x,), params)
        return _with_indices("MaxPool{}DWithIndices", input, x, index, True)
    values = record(pool.MAX_POOL, (x,), params)
    return values if x is input else values.squeeze(0)


def _adaptive_size(name: str, output_size, size, n: int) -> tuple[int, ...]:
    """The output size; None stands for the input's own."""
    values = ntuple(output_size, n)
    if len(values) == 1:
        values *= n
    if len(values) != n:
        raise RuntimeError(
            f"{name}: internal error: output_size.size() must be {n}, got {output_size}"
        )
    for v in values:
        if v is not None and (isinstance(v, bool) or not hasattr(v, "__index__")):
            raise TypeError(
                f"{name}(): argument 'output_size' must be tuple of ints, but found element of "
                f"type {type(v).__name__}"
            )
    out = tuple(s if v is None else int(v) for v, s in zip(values, size, strict=True))
    if min(out) < 0:
        raise RuntimeError(f"{name}(): elements of output_size must be greater than or equal to 0")
    return out


def _adaptive_input(name: str, x: Tensor, n: int, output_size, checked: int) -> Tensor:
    """``x`` with a batch dimension; its dimensions from ``checked`` on may not be empty."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}(): argument 'input' must be Tensor, not {type(x).__name__}")
    if isinstance(output_size, (tuple, list)) and x.dim() <= len(output_size):
        raise ValueError(
            f"{name}(): Input dimension should be at least {len(output_size) + 1}, but the input "
            f"has sizes {dims(x.shape)}"
        )
    if x.dim() not in (n + 1, n + 2):
        raise RuntimeError(
            f"{name}(): Expected {n + 1}D or {n + 2}D tensor, but got {dims(x.shape)}"
        )
    if 0 in x.shape[checked:]:
        raise RuntimeError(
            f"{name}(): Expected input to have non-zero size for non-batch dimensions, but input "
            f"has sizes {dims(x.shape)}"
        )
    return x if x.dim() == n + 2 else x.unsqueeze(0)


def _adaptive_max_pool(name, n, input, output_size, return_indices):
    x = _adaptive_input(name, input, n, output_size, 1)
    require_float(x, name)
    out = _adaptive_size(name, output_size, x.shape[2:], n)
    index = record(pool.ADAPTIVE_INDEX, (x,), out)
    return _with_indices("AdaptiveMaxPool{}D", input, x, index, return_indices)


def _fractional_max_pool(
    name, n, input, kernel_size, output_size, output_ratio, return_indices, samples
):
    if output_size is None and output_ratio is None:
        raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
    if isinstance(kernel_size, (list, tuple)) and len(kernel_size) != n:
        raise RuntimeError(
            f"{name}: kernel_size must either be a single Int or tuple of {n} Ints, got "
            f"{kernel_size}"
        )
    kernel = _ints(name, "kernel_size", kernel_size, n)
    x = _batched(name, input, n)
    size = x.shape[2:]
    if output_size is None:
        ratios = ntuple(output_ratio, n)
        if len(ratios) != n:
            raise ValueError(
                f"{name} requires output_ratio to either be a single Int or tuple of Ints: "
                f"{n} of them, got {output_ratio}"
            )
        output_size = [int(s * r) for s, r in zip(size, ratios, strict=True)]
    out = _ints(name, "output_size", output_size, n)
    require_float(x, name)
    for s, k, o in zip(size, kernel, out, strict=True):
        if o < 0 or k < 1 or o + k - 1 > s:
            raise RuntimeError(
                f"{name}(): pool size {list(kernel)} is too large relative to input size "
                f"{list(size)} with output size {list(out)}"
            )
    if samples is None:
        samples = facula.rand(*x.shape[:2], n, dtype=x.dtype, device=x.device)
    elif samples.dtype is not x.dtype:
        raise RuntimeError(
            f"{name}(): Expect _random_samples to have the same dtype as input, got "
            f"{samples.dtype} and {x.dtype}"
        )
    batch, channels = x.shape[:2]
    if samples.dim() != 3 or samples.shape[0] < batch or samples.shape[1:] != (channels, n):
        raise RuntimeError(
            f"{name}(): Expect _random_samples of size {[batch, channels, n]} (or more along the "
            f"first dimension), got {dims(samples.shape)}"
        )
    if 0 in out:
        y = x.new_zeros((batch, channels, *out))
        y = y if x is input else y.squeeze(0)
        return (y, y.to(facula.int64)) if return_indices else y
    samples = samples[:batch]
    index = record(pool.FRACTIONAL_INDEX, (x, samples.detach()), (*kernel, *out))
    return _with_indices("FractionalMaxPool{}D", input, x, index, return_indices)


# ---- back to where the largest elements were


def _unpooled_size(name, x, kernel, stride, padding, output_size, n) -> list[int]:
    default = [
        (s - 1) * t + k - 2 * p
        for s, t, k, p in zip(x.shape[-n:], stride, kernel, padding, strict=True)
    ]
    if output_size is None:
        return default
    size = list(output_size)
    if len(size) == n + 2:
        size = size[2:]
    if len(size) != n:
        raise ValueError(
            f"output_size should be a sequence containing {n} or {n + 2} elements, but it has a "
            f"length of '{len(output_size)}'"
        )
    for d, (got, usual, t) in enumerate(zip(size, default, stride, strict=True)):
        if not usual - t < got < usual + t:
            raise ValueError(
                f'invalid output_size "{size}" (dim {d} must be between {usual - t} and '
                f"{usual + t})"
            )
    return size


def _max_unpool(name, n, input, indices, kernel_size, stride, padding, output_size):
    kernel, stride, padding, _ = _settings(name, n, kernel_size, stride, padding)
    if not isinstance(indices, Tensor):
        raise TypeError(f"{name}(): argument 'indices' must be Tensor")
    size = _unpooled_size(name, input, kernel, stride, padding, output_size, n)
    if indices.dtype is not facula.int64:
        raise RuntimeError(
            f"{name}(): elements in indices should be type int64 but got: {indices.dtype}"
        )
    if input.dim() not in (n + 1, n + 2) or 0 in input.shape[-n:]:
        raise RuntimeError(
            f"{name}(): Input to max_unpooling must be a {n + 1}d or {n + 2}d Tensor with "
            f"non-empty dimensions, but got {dims(input.shape)}"
        )
    if input.shape != indices.shape:
        raise RuntimeError(
            f"{name}(): Expected shape of indices to be same as that of the input tensor "
            f"({dims(input.shape)}), but got indices tensor with shape: {dims(indices.shape)}"
        )
    lead, count = input.shape[:-n], math.prod(input.shape[-n:])
    if 0 in lead[-1:]:
        raise RuntimeError(
            f"{name}(): Expected input to have non-zero size for non-batch dimensions, but got "
            f"{dims(input.shape)}"
        )
    flat = input.new_zeros([*lead, math.prod(size)])
    values, at = input.reshape([*lead, count]), indices.reshape([*lead, count])
    return flat.scatter(-1, at, values).reshape([*lead, *size])


# ---- means


def _divisor(name: str, divisor: Any) -> int:
    if isinstance(divisor, bool) or not hasattr(divisor, "__index__"):
        raise TypeError(
            f"{name}(): argument 'divisor_override' must be int, not {type(divisor).__name__}"
        )
    return operator.index(divisor)


@pure
def _avg_pool(tensors, static, numbers):
    (input,) = tensors
    name, n, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override = static
    kernel, stride, padding, ones = _settings(name, n, kernel_size, stride, padding)
    x = _batched(name, input, n)
    if divisor_override == 0:
        raise RuntimeError(f"{name}: divisor must be not zero")
    if x.dtype.is_complex or not (x.dtype.is_floating_point or x.dtype is facula.int64):
        raise NotImplementedError(f"\"{name}\" not implemented for '{scalar_type(x.dtype)}'")
    out = _out_sizes(name, x.shape[2:], kernel, stride, padding, ones, ceil_mode)
    params = (*kernel, *stride, *padding, *out, int(bool(count_include_pad)))
    y = record(pool.AVG_POOL, (x,), (*params, int(divisor_override or 0)))
    return y if x is input else y.squeeze(0)


@pure
def _adaptive_avg_pool(tensors, static, numbers):
    (input,) = tensors
    name, n, output_size = static
    x = _adaptive_input(name, input, n, output_size, -n)
    require_float(x, name)
    sizes = _adaptive_size(name, output_size, x.shape[2:], n)
    if set(sizes) == {1} and x.numel():  # as in PyTorch; sums go over any layout as it lies
        y = x.mean(tuple(range(2, n + 2)), True)
    else:
        y = record(pool.ADAPTIVE_AVG, (x,), sizes)
    return y if x is input else y.squeeze(0)


def _lp_pool(n, input, norm_type, kernel_size, stride, ceil_mode):
    kernel = ntuple(kernel_size, n)
    powers = input.pow(norm_type)
    average = globals()[f"avg_pool{n}d"](powers, kernel, stride, 0, ceil_mode)
    # The sign of a sum of odd powers is kept, and the root is of its magnitude.
    total = average.sign() * average.abs().relu() * math.prod(kernel)
    return total.pow(1.0 / norm_type)


# ---- the public functions, one for each number of dimensions


def _declare(n: int) -> None:
    letters = _LETTERS[n - 1]
    plain, average, adaptive = f"max_pool{n}d", f"avg_pool{n}d", f"adaptive_avg_pool{n}d"

    def max_pool(
        input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False,
        return_indices=False,
    ):  # fmt: skip
        if ceil_mode.__class__ is not bool:  # 1 is equal to True, where a call like it is known
            require_bools(plain, ceil_mode=ceil_mode)
        settings = (n, kernel_size, stride, padding, dilation, ceil_mode, return_indices)
        return run(_max_pool, (input,), (plain, *settings))

    def max_pool_with_indices(
        input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False,
        return_indices=False,
    ):  # fmt: skip
        if ceil_mode.__class__ is not bool:
            require_bools(plain, ceil_mode=ceil_mode)
        settings = (n, kernel_size, stride, padding, dilation, ceil_mode, True)
        return run(_max_pool, (input,), (plain, *settings))

    def adaptive_max_pool(input, output_size, return_indices=False):
        return _adaptive_max_pool(f"adaptive_max_pool{n}d", n, input, output_size, return_indices)

    def adaptive_max_pool_with_indices(input, output_size, return_indices=False):
        return _adaptive_max_pool(f"adaptive_max_pool{n}d", n, input, output_size, True)

    def fractional_max_pool(
        input, kernel_size, output_size=None, output_ratio=None, return_indices=False,
        _random_samples=None,
    ):  # fmt: skip
        return _fractional_max_pool(
            f"fractional_max_pool{n}d", n, input, kernel_size, output_size, output_ratio,
            return_indices, _random_samples,
        )  # fmt: skip

    def fractional_max_pool_with_indices(
        input, kernel_size, output_size=None, output_ratio=None, return_indices=False,
        _random_samples=None,
    ):  # fmt: skip
        return fractional_max_pool(
            input, kernel_size, output_size, output_ratio, True, _random_samples
        )

    def max_unpool(input, indices, kernel_size, stride=None, padding=0, output_size=None):
        return _max_unpool(
            f"max_unpool{n}d", n, input, indices, kernel_size, stride, padding, output_size
        )

    def avg_pool(
        input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
        divisor_override=None, *, out=None,
    ):  # fmt: skip
        if ceil_mode.__class__ is not bool or count_include_pad.__class__ is not bool:
            require_bools(average, ceil_mode=ceil_mode, count_include_pad=count_include_pad)
        if divisor_override is not None and divisor_override.__class__ is not int:
            divisor_override = _divisor(average, divisor_override)
        settings = (n, kernel_size, stride, padding, ceil_mode, count_include_pad)
        return output(run(_avg_pool, (input,), (average, *settings, divisor_override)), out)

    def adaptive_avg_pool(input, output_size):
        return run(_adaptive_avg_pool, (input,), (adaptive, n, output_size))

    def lp_pool(input, norm_type, kernel_size, stride=None, ceil_mode=False):
        return _lp_pool(n, input, norm_type, kernel_size, stride, ceil_mode)

    described = [
        (max_pool, "max_pool", "The largest element of every window"),
        (max_pool_with_indices, "max_pool", "Largest elements and their places, for windows"),
        (adaptive_max_pool, "adaptive_max_pool", "Largest elements of `output_size` windows"),
        (
            adaptive_max_pool_with_indices,
            "adaptive_max_pool",
            "Largest elements of `output_size` windows and their places,",
        ),
        (max_unpool, "max_unpool", "Elements put back where max pooling found them: inverse"),
        (avg_pool, "avg_pool", "The mean of every window"),
        (adaptive_avg_pool, "adaptive_avg_pool", "Means of `output_size` windows"),
        (lp_pool, "lp_pool", "The norm of order `norm_type` of every window"),
    ]
    if n > 1:
        what = "The largest element of windows at random places"
        described.append((fractional_max_pool, "fractional_max_pool", what))
        described.append((fractional_max_pool_with_indices, "fractional_max_pool", what))
    for function, page, text in described:
        name = function.__name__.replace("pool", f"pool{n}d", 1)
        function.__name__ = function.__qualname__ = name
        function.__doc__ = (
            f"{text} of (N, C, {letters}) or (C, {letters}).\n\n"
            f"RuntimeError where sizes do not fit. Source: {_PAGE}{page}{n}d.html"
        )
        globals()[name] = mixed(function) if n == 3 or "un" in name or "frac" in name else function
        NAMES.append(name)


NAMES: list[str] = []
for _n in (1, 2, 3):
    _declare(_n)
