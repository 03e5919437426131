"""Convolution in one to three dimensions: three primitives that are each other's derivatives.

Let x be (N, C, *S), w be (O, C / G, *K) and y be (N, O, *L), of one dtype; n = len(S) is 1, 2 or 3.
Output channel o belongs to group o // (O / G) and input channel c to group c // (C / G); k and l
run over the positions of the kernel and of the output, and

    y[b, o, l] = sum over c' < C / G and k of  w[o, c', k] * x[b, group(o) * (C / G) + c', i]
    with i = l * stride - padding + k * dilation; x counts as zero where i is outside of S.

- CONV(x, w) is y, with L as large as fits: (S + 2 padding - dilation (K - 1) - 1) // stride + 1.
- CONV_INPUT(y, w) is x', the transpose of that map: x'[b, c, i] is the sum of w[o, c', k] *
  y[b, o, l] over all (o, k, l) that meet i. L may be smaller than what fits into S.
- CONV_WEIGHT(x, y) is w', with w'[o, c', k] the sum of x[b, c, i] * y[b, o, l] over b and l.

All are bilinear and conjugate nothing. Parameters are plain integers, one of each for every spatial
dimension: (*stride, *padding, *dilation, groups), followed by *S for CONV_INPUT and by *K for
CONV_WEIGHT, whose results they size. Shapes are checked before anything is recorded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from facula.numpy_threads import matmul
from facula.ops import windows
from facula.ops.composed import whole
from facula.ops.movement import RESHAPE
from facula.ops.registry import Op, widened
from facula.ops.table import FUNCTIONS, api
from facula.tensor import Tensor
from facula.trace.recorder import record
from facula.trace.spans import pure, run

Ints = tuple[int, ...]
_COLUMNS = 1 << 25  # bytes of windows laid out at a time
_NEAR = 1 << 18  # bytes of results that are gone over for each position of a kernel


def _settings(p: Ints, n: int) -> tuple[Ints, Ints, Ints, int]:
    return p[:n], p[n : 2 * n], p[2 * n : 3 * n], p[3 * n]


def _parts(batch: int, bytes_each: int, most: int = _COLUMNS) -> Iterator[slice]:
    """The batch in parts of which the windows fit in memory that is quick to reach."""
    step = max(1, min(batch, most // max(bytes_each, 1)))
    for start in range(0, batch, step):
        yield slice(start, start + step)


def _prod(ns: Any) -> int:
    out = 1
    for n in ns:
        out *= n
    return out


def _flat(x: Any, groups: int) -> Any:
    """(N, C, *L) as (N, groups, C / groups, L)."""
    return x.reshape(x.shape[0], groups, x.shape[1] // groups, _prod(x.shape[2:]))


def _conv_infer(p: Any, st: Any, a: Any, b: Any) -> Any:
    n = len(a.shape) - 2
    stride, padding, dilation, _ = _settings(p, n)
    out = map(windows.count, a.shape[2:], b.shape[2:], stride, padding, dilation)
    return (a.shape[0], b.shape[0], *out), a.dtype, None, 0


def _conv(p: Any, s: Any, a: Any, b: Any) -> Any:
    n = a.ndim - 2
    stride, padding, dilation, groups = _settings(p, n)
    kernel = b.shape[2:]
    out = tuple(map(windows.count, a.shape[2:], kernel, stride, padding, dilation))
    batch, channels = a.shape[:2]
    if channels == groups > 1:
        return _conv_depthwise(a, b, out, stride, padding, dilation)
    each = channels // groups * _prod(kernel)
    w = b.reshape(groups, b.shape[0] // groups, each)
    y = np.empty((batch, groups, b.shape[0] // groups, _prod(out)), a.dtype)
    for part in _parts(batch, channels * _prod(kernel) * _prod(out) * a.itemsize):
        columns = windows.view(a[part], kernel, stride, padding, dilation, out)
        lines = columns.reshape(columns.shape[0], groups, each, _prod(out))
        matmul(w, lines, out=y[part])
    return y.reshape(batch, b.shape[0], *out)


def _conv_depthwise(a: Any, b: Any, out: Ints, stride: Ints, padding: Ints, dilation: Ints) -> Any:
    """One input channel a group: a sum over the kernel's positions, without laying windows out."""
    groups, times = a.shape[1], b.shape[0] // a.shape[1]
    kernel = b.shape[2:]
    x = windows.padded(a, padding, windows.reach(kernel, stride, dilation, out))[:, :, None]
    w = b.reshape(groups, times, *kernel)
    y = np.zeros((a.shape[0], groups, times, *out), a.dtype)
    ones = (1,) * len(out)
    for part in _parts(y.shape[0], y[:1].nbytes, _NEAR):
        image, made = x[part], y[part]
        term = np.empty_like(made)
        for at, index in windows.taps(kernel, stride, dilation, out):
            factor = w[(slice(None), slice(None), *at)].reshape(groups, times, *ones)
            made += np.multiply(image[index], factor, out=term)
    return y.reshape(a.shape[0], b.shape[0], *out)


def _input_infer(p: Any, st: Any, a: Any, b: Any) -> Any:
    n = len(a.shape) - 2
    return (a.shape[0], b.shape[1] * p[3 * n], *p[3 * n + 1 :]), a.dtype, None, 0


def _conv_input(p: Any, s: Any, a: Any, b: Any) -> Any:
    n = a.ndim - 2
    stride, padding, dilation, groups = _settings(p, n)
    size, kernel, out = p[3 * n + 1 :], b.shape[2:], a.shape[2:]
    batch, channels = a.shape[0], b.shape[1] * groups
    if channels == groups > 1:
        return _input_depthwise(a, b, size, p, groups)
    x = np.empty((batch, channels, *size), a.dtype)
    y = _flat(a, groups)
    w = b.reshape(groups, b.shape[0] // groups, b.shape[1] * _prod(kernel)).swapaxes(1, 2)
    for part in _parts(batch, channels * _prod(kernel) * _prod(out) * a.itemsize):
        columns = matmul(w, y[part])
        columns = columns.reshape(columns.shape[0], channels, *kernel, *out)
        x[part] = windows.overlay(columns, size, kernel, stride, padding, dilation)
    return x


def _input_depthwise(a: Any, b: Any, size: Ints, p: Ints, groups: int) -> Any:
    n = len(size)
    stride, padding, dilation, _ = _settings(p, n)
    kernel, out, times = b.shape[2:], a.shape[2:], b.shape[0] // groups
    reach = windows.reach(kernel, stride, dilation, out)
    total = [max(q + s, m) for q, s, m in zip(padding, size, reach)]
    x = np.zeros((a.shape[0], groups, *total), a.dtype)
    y = a.reshape(a.shape[0], groups, times, *out)
    w = b.reshape(groups, times, *kernel)
    ones = (1,) * n
    for part in _parts(y.shape[0], y[:1].nbytes, _NEAR):
        image, given = x[part], y[part]
        term = np.empty_like(given)
        for at, index in windows.taps(kernel, stride, dilation, out):
            factor = w[(slice(None), slice(None), *at)].reshape(groups, times, *ones)
            np.multiply(given, factor, out=term)
            image[index] += term[:, :, 0] if times == 1 else term.sum(2)
    return windows.crop(x, padding, size)


def _weight_infer(p: Any, st: Any, a: Any, b: Any) -> Any:
    n = len(a.shape) - 2
    return (b.shape[1], a.shape[1] // p[3 * n], *p[3 * n + 1 :]), a.dtype, None, 0


def _conv_weight(p: Any, s: Any, a: Any, b: Any) -> Any:
    n = a.ndim - 2
    stride, padding, dilation, groups = _settings(p, n)
    kernel, out = p[3 * n + 1 :], b.shape[2:]
    batch, channels = a.shape[:2]
    each, made = channels // groups * _prod(kernel), b.shape[1] // groups
    w = np.zeros((groups, made, each), a.dtype)
    order = (1, *range(2, 2 + n), 0, *range(2 + n, 2 + 2 * n))
    for part in _parts(batch, channels * _prod(kernel) * _prod(out) * a.itemsize):
        columns = windows.view(a[part], kernel, stride, padding, dilation, out)
        lines = columns.shape[0] * _prod(out)
        y = b[part].swapaxes(0, 1).reshape(groups, made, lines)
        w += matmul(y, columns.transpose(order).reshape(groups, each, lines).swapaxes(1, 2))
    return w.reshape(b.shape[1], channels // groups, *kernel)


def _conj(t: Any) -> Any:
    return t.conj_physical() if t.dtype.is_complex else t


def _of_output(x: Any, w: Any, p: Ints, yn: Any) -> Any:
    """CONV of x and w, cut to the shape of the node yn."""
    n = len(yn.shape) - 2
    y = record(CONV, (x, w), p[: 3 * n + 1])
    for d in range(2, n + 2):
        if y.node.shape[d] != yn.shape[d]:
            y = y.narrow(d, 0, yn.shape[d])
    return y


def _of_input(y: Any, w: Any, p: Ints, xn: Any) -> Any:
    n = len(xn.shape) - 2
    return record(CONV_INPUT, (y, w), (*p[: 3 * n + 1], *xn.shape[2:]))


def _of_weight(x: Any, y: Any, p: Ints, wn: Any) -> Any:
    n = len(wn.shape) - 2
    return record(CONV_WEIGHT, (x, y), (*p[: 3 * n + 1], *wn.shape[2:]))


CONV: Op = Op(
    "conv",
    _conv_infer,
    widened(_conv),
    (
        lambda g, b, an, p: _of_input(g, _conj(b), p, an),
        lambda g, a, bn, p: _of_weight(_conj(a), g, p, bn),
    ),
)
CONV_INPUT: Op = Op(
    "conv_input",
    _input_infer,
    widened(_conv_input),
    (
        lambda g, b, an, p: _of_output(g, _conj(b), p, an),
        lambda g, a, bn, p: _of_weight(g, _conj(a), p, bn),
    ),
)
CONV_WEIGHT: Op = Op(
    "conv_weight",
    _weight_infer,
    widened(_conv_weight),
    (
        lambda g, b, an, p: _of_input(_conj(b), g, p, an),
        lambda g, a, bn, p: _of_output(_conj(a), g, p, bn),
    ),
)


# ---- the public functions


def sizes(name: str, argument: str, value: Any, n: int) -> Ints:
    """A number or a sequence as n integers."""
    if isinstance(value, (tuple, list)):
        out = tuple(value)
        if len(out) == 1:
            out *= n
        if len(out) != n:
            raise RuntimeError(
                f"{name}: expected {argument} to be a single integer value or a list of {n} "
                f"values to match the convolution dimensions, but got {argument}={list(value)}"
            )
    else:
        out = (value,) * n
    for v in out:
        if isinstance(v, bool) or not hasattr(v, "__index__"):
            raise TypeError(
                f"{name}(): argument '{argument}' must be tuple of ints, but found element of "
                f"type {type(v).__name__}"
            )
        if not -(2**63) <= v.__index__() < 2**63:
            raise TypeError(f"{name}(): argument '{argument}' overflows an int64: {v}")
    return tuple([v.__index__() for v in out])


def _check_tensors(name: str, input: Any, weight: Any, bias: Any) -> None:
    for argument, t in (("input", input), ("weight", weight), ("bias", bias)):
        if not isinstance(t, Tensor) and not (argument == "bias" and t is None):
            raise TypeError(
                f"{name}(): argument '{argument}' must be Tensor, not {type(t).__name__}"
            )


def _check(
    name: str, x: Any, w: Any, bias: Any, n: int, settings: dict[str, Ints], groups: int,
    transposed: bool,
) -> None:  # fmt: skip
    """RuntimeError where the shapes, dtypes and settings do not fit together."""
    xs, ws = list(x.node.shape), list(w.node.shape)
    for argument, values in settings.items():
        least = 0 if "padding" in argument else 1
        if min(values) < least:
            raise RuntimeError(
                f"{name}: {'negative' if least == 0 else 'non-positive'} {argument} is not "
                f"supported, got {argument}={list(values)}"
            )
    if groups <= 0:
        raise RuntimeError(f"{name}: non-positive groups is not supported, got groups={groups}")
    if len(ws) != n + 2:
        raise RuntimeError(
            f"{name}: expected a {n + 2}-dimensional weight, but got weight of size {ws}"
        )
    for other in (w, bias):
        if other is not None and other.node.dtype is not x.node.dtype:
            raise RuntimeError(
                f"{name}: Input type ({x.dtype}) and {'weight' if other is w else 'bias'} type "
                f"({other.dtype}) should be the same"
            )
    if 0 in ws[2:]:
        raise RuntimeError(f"{name}: the kernel must not be empty, but got weight of size {ws}")
    if ws[0] < groups or ws[0] % groups:
        raise RuntimeError(
            f"{name}: Given groups={groups}, expected weight to be at least {groups} at dimension "
            f"0 and divisible by {groups}, but got weight of size {ws} instead"
        )
    made, taken = (ws[1] * groups, ws[0]) if transposed else (ws[0], ws[1] * groups)
    if xs[1] != taken:
        raise RuntimeError(
            f"{name}: Given {'transposed=1' if transposed else f'groups={groups}'}, weight of "
            f"size {ws}, expected input{xs} to have {taken} channels, but got {xs[1]} channels "
            "instead"
        )
    if bias is not None and bias.node.shape != (made,):
        raise RuntimeError(
            f"{name}: Given {'transposed=1, ' if transposed else ''}weight of size {ws}, expected "
            f"bias to be 1-dimensional with {made} elements, but got bias of size "
            f"{list(bias.node.shape)} instead"
        )


def _by(sizes: list[int]) -> str:
    return " x ".join(map(str, sizes))


def _batched(name: str, x: Any, n: int) -> Any:
    rank = len(x.node.shape)
    if rank == n + 1:
        return x.unsqueeze(0)
    if rank != n + 2:
        raise RuntimeError(
            f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to {name}, but got input "
            f"of size: {list(x.node.shape)}"
        )
    return x


def _run(f: Any, x: Any, w: Any, bias: Any, n: int) -> Any:
    """f(x, w) and the bias; 16-bit floats are rounded once."""
    from facula.ops.promotion import in_float32

    if bias is None:
        return whole(f(x, w), "Convolution", x, w)
    shape = (1, bias.node.shape[0]) + (1,) * n
    # The bias's value, reshaped: no view of the parameter has to be kept up to date.
    out = in_float32(lambda a, b, c: f(a, b) + record(RESHAPE, (c,), shape), x, w, bias)
    return whole(out, "Convolution", x, w, bias)


@pure
def _convolve(tensors: Any, static: Any, numbers: Any) -> Any:
    input, weight, bias = tensors
    name, n, stride, padding, dilation, groups = static
    _check_tensors(name, input, weight, bias)
    x = _batched(name, input, n)
    s, d = sizes(name, "stride", stride, n), sizes(name, "dilation", dilation, n)
    extra: list[int] = []
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise RuntimeError(f"{name}: Invalid padding string: '{padding}'")
        if padding == "same" and max(s) > 1:
            raise RuntimeError(f"{name}: padding='same' is not supported for strided convolutions")
        total = [0] * n
        if padding == "same" and len(weight.node.shape) == n + 2:
            total = [e * (k - 1) for e, k in zip(d, weight.node.shape[2:])]
        p = tuple([max(t, 0) // 2 for t in total])
        extra = [t - 2 * q for t, q in zip(total, p)]  # an even kernel: one more at the end
    else:
        p = sizes(name, "padding", padding, n)
    _check(name, x, weight, bias, n, {"stride": s, "padding": p, "dilation": d}, groups, False)
    if any(extra):
        x = FUNCTIONS["constant_pad_nd"](x, [v for e in reversed(extra) for v in (0, e)])
    kernel, size = weight.node.shape[2:], x.node.shape[2:]
    if any([windows.count(*v) < 1 for v in zip(size, kernel, s, p, d)]):
        reach = [e * (k - 1) + 1 for k, e in zip(kernel, d)]
        raise RuntimeError(
            f"{name}: Calculated padded input size per channel: "
            f"({_by([m + 2 * q for m, q in zip(size, p)])}). Kernel size: ({_by(reach)}). Kernel "
            "size can't be greater than actual input size; input is of size "
            f"{list(input.node.shape)} and weight of size {list(weight.node.shape)}"
        )
    out = _run(lambda a, b: record(CONV, (a, b), (*s, *p, *d, groups)), x, weight, bias, n)
    return out if len(input.node.shape) == n + 2 else out.squeeze(0)


@pure
def _transposed(tensors: Any, static: Any, numbers: Any) -> Any:
    input, weight, bias = tensors
    name, n, stride, padding, output_padding, groups, dilation = static
    _check_tensors(name, input, weight, bias)
    x = _batched(name, input, n)
    s, p = sizes(name, "stride", stride, n), sizes(name, "padding", padding, n)
    q = sizes(name, "output_padding", output_padding, n)
    d = sizes(name, "dilation", dilation, n)
    settings = {"stride": s, "padding": p, "output_padding": q, "dilation": d}
    _check(name, x, weight, bias, n, settings, groups, True)
    if any([o >= a and o >= b for o, a, b in zip(q, s, d)]):
        raise RuntimeError(
            f"{name}: output padding must be smaller than either stride or dilation, but got "
            f"output_padding={list(q)}, stride={list(s)}, dilation={list(d)}"
        )
    kernel = weight.node.shape[2:]
    size = tuple(
        [
            (m - 1) * a - 2 * b + e * (k - 1) + o + 1
            for m, a, b, e, k, o in zip(x.node.shape[2:], s, p, d, kernel, q)
        ]
    )
    if min(size) < 1 or 0 in x.node.shape[2:]:
        raise RuntimeError(
            f"{name}: Given input size per channel: {tuple(x.node.shape[2:])}. Calculated output "
            f"size per channel: {size}. Output size is too small"
        )
    params = (*s, *p, *d, groups, *size)
    out = _run(lambda a, b: record(CONV_INPUT, (a, b), params), x, weight, bias, n)
    return out if x is input else out.squeeze(0)


_PAGE = "https://pytorch.org/docs/stable/generated/torch.nn.functional."


def _declare(n: int) -> None:
    """conv{n}d and conv_transpose{n}d, of (N, C, *S) or (C, *S)."""
    letters = ("L", "H, W", "D, H, W")[n - 1]
    forward, backward = f"conv{n}d", f"conv_transpose{n}d"

    def conv(
        input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
        dilation: Any = 1, groups: int = 1,
    ) -> Any:  # fmt: skip
        static = (forward, n, stride, padding, dilation, groups)
        return run(_convolve, (input, weight, bias), static)

    def transpose(
        input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
        output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
    ) -> Any:  # fmt: skip
        static = (backward, n, stride, padding, output_padding, groups, dilation)
        return run(_transposed, (input, weight, bias), static)

    conv.__name__, transpose.__name__ = forward, backward
    conv.__doc__ = (
        f"Cross-correlation of (N, C, {letters}) with weights (O, C / groups, *kernel).\n\n"
        "`padding` is a number, one for each dimension, 'valid' or 'same'. RuntimeError where the "
        f"channels do not fit or the kernel\nis larger than the padded input. Source: {_PAGE}"
        f"{forward}.html"
    )
    transpose.__doc__ = (
        f"The transpose of a convolution: (N, C, {letters}) with weights (C, O / groups, "
        f"*kernel).\n\nSource: {_PAGE}{backward}.html"
    )
    globals()[forward] = api(conv, method=False)
    globals()[backward] = api(transpose, method=False)


for _n in (1, 2, 3):
    _declare(_n)


@api(method=False)
def conv_tbc(input: Any, weight: Any, bias: Any, pad: int = 0) -> Any:
    """Convolution of (time, batch, C) with weights (kernel, C, O), giving (time, batch, O)."""
    _check_tensors("conv_tbc", input, weight, bias)
    for argument, t in (("input", input), ("weight", weight)):
        if len(t.node.shape) != 3:
            raise RuntimeError(
                f"conv_tbc: {argument} must have 3 dims, but got size {list(t.node.shape)}"
            )
    x = input.permute(1, 2, 0)
    tensors = (x, weight.permute(2, 1, 0), bias)
    return run(_convolve, tensors, ("conv_tbc", 1, 1, pad, 1, 1)).permute(2, 0, 1)
