"""Functions at PyTorch's top level that are those of `nn.functional` in another spelling.

They come from its library of operators: a reduction is a number (0 none, the default; 1 mean, 2
sum), the weight of an embedding comes first, recurrent cells take their weights.
"""

from __future__ import annotations

import builtins
import math
import warnings
from collections.abc import Callable
from typing import Any

from facula.dtypes import float32, get_default_dtype
from facula.ops.later import MODULES
from facula.ops.table import FUNCTIONS, METHODS, api

_REDUCTIONS = ("none", "mean", "sum")


def _functional() -> Any:
    from facula.nn import functional

    return functional


def _reduction(name: str, reduction: int) -> str:
    if reduction not in (0, 1, 2):
        raise ValueError(f"{name}(): {reduction} is not a valid value for reduction")
    return _REDUCTIONS[reduction]


@api(method=False)
def adaptive_max_pool1d(input: Any, output_size: Any) -> Any:
    """Largest elements of `output_size` windows, and their places."""
    return _functional().adaptive_max_pool1d(input, output_size, return_indices=True)


@api(method=False)
def max_pool1d_with_indices(
    input: Any,
    kernel_size: Any,
    stride: Any = (),
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Any:
    """The largest element of every window, and its place."""
    return _functional().max_pool1d(
        input, kernel_size, stride or None, padding, dilation, ceil_mode, return_indices=True
    )


@api(method=False)
def affine_grid_generator(theta: Any, size: Any, align_corners: bool) -> Any:
    """`nn.functional.affine_grid`."""
    return _functional().affine_grid(theta, list(size), align_corners)


@api(method=False)
def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, pos_weight: Any = None, reduction: int = 0
) -> Any:
    """`nn.functional.binary_cross_entropy_with_logits`."""
    how = _reduction("binary_cross_entropy_with_logits", reduction)
    return _functional().binary_cross_entropy_with_logits(
        input, target, weight, pos_weight=pos_weight, reduction=how
    )


@api(method=False)
def cosine_embedding_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: int = 0
) -> Any:
    """`nn.functional.cosine_embedding_loss`."""
    how = _reduction("cosine_embedding_loss", reduction)
    return _functional().cosine_embedding_loss(input1, input2, target, margin, reduction=how)


@api(method=False)
def ctc_loss(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: int = 0,
    zero_infinity: bool = False,
) -> Any:
    """`nn.functional.ctc_loss`."""
    how = _reduction("ctc_loss", reduction)
    return _functional().ctc_loss(
        log_probs, targets, input_lengths, target_lengths, blank, how, zero_infinity
    )


@api(method=False, inplace=False)
def embedding_renorm_(input: Any, indices: Any, max_norm: float, norm_type: float) -> Any:
    """Shorten the rows at indices whose norm is larger than `max_norm`, in place."""
    from facula.nn.functional.sparse import limit_norms

    if input.dim() != 2:
        raise RuntimeError(
            f"embedding_renorm_: expected a matrix, got a tensor of shape {list(input.shape)}"
        )
    limit_norms("embedding_renorm_", input, indices, max_norm, norm_type)
    return input


@api(method=False)
def embedding(
    weight: Any,
    indices: Any,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """The rows of a weight at indices."""
    idx = None if padding_idx == -1 else padding_idx
    return _functional().embedding(
        indices, weight, idx, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse
    )


@api(method=False)
def hinge_embedding_loss(input: Any, target: Any, margin: float = 1.0, reduction: int = 0) -> Any:
    """`nn.functional.hinge_embedding_loss`."""
    how = _reduction("hinge_embedding_loss", reduction)
    return _functional().hinge_embedding_loss(input, target, margin, reduction=how)


@api(method=False)
def instance_norm(
    input: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Any:
    """`nn.functional.instance_norm`."""
    return _functional().instance_norm(
        input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps
    )


@api(method=False)
def kl_div(input: Any, target: Any, reduction: int = 0, *, log_target: bool = False) -> Any:
    """`nn.functional.kl_div`."""
    how = _reduction("kl_div", reduction)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the mean: not said by the operator
        return _functional().kl_div(input, target, reduction=how, log_target=log_target)


@api(method=False)
def margin_ranking_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: int = 0
) -> Any:
    """`nn.functional.margin_ranking_loss`."""
    how = _reduction("margin_ranking_loss", reduction)
    return _functional().margin_ranking_loss(input1, input2, target, margin, reduction=how)


@api(method=False)
def poisson_nll_loss(
    input: Any, target: Any, log_input: bool, full: bool, eps: float, reduction: int
) -> Any:
    """`nn.functional.poisson_nll_loss`."""
    how = _reduction("poisson_nll_loss", reduction)
    return _functional().poisson_nll_loss(input, target, log_input, full, eps=eps, reduction=how)


@api(method=False)
def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: int = 0,
) -> Any:
    """`nn.functional.triplet_margin_loss`."""
    how = _reduction("triplet_margin_loss", reduction)
    return _functional().triplet_margin_loss(
        anchor, positive, negative, margin, p, eps, swap, reduction=how
    )


@api(method=False)
def native_channel_shuffle(input: Any, groups: int) -> Any:
    """`nn.functional.channel_shuffle`."""
    return _functional().channel_shuffle(input, groups)


@api(method=False)
def norm_except_dim(v: Any, pow: int = 2, dim: int = 0) -> Any:
    """The norms over all dimensions but one, which keep their places with size 1."""
    if dim == -1:
        return v.norm(pow)
    others = [d for d in builtins.range(v.dim()) if d != dim % v.dim()]
    return v.norm(pow, others, True)


@api(method=False)
def feature_dropout(input: Any, p: float, train: bool) -> Any:
    """Whole channels set to zero with probability p, the others scaled by 1 / (1 - p)."""
    if not train or p == 0:
        return input
    if input.dim() < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    shape = [*input.shape[:2], *[1] * (input.dim() - 2)]
    return input * FUNCTIONS["dropout"](input.new_ones(shape), p, True)


def _cell(name: str, step: str, gates: int) -> None:
    def f(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
        from facula.nn.modules import _recurrence

        states = tuple(hx) if name == "lstm_cell" else (hx,)
        if w_hh.dim() != 2 or w_hh.shape[0] != gates * states[0].shape[-1]:
            raise RuntimeError(
                f"{name}(): w_hh of shape {list(w_hh.shape)} does not fit a state of "
                f"{states[0].shape[-1]}"
            )
        projected = _functional().linear(input, w_ih, b_ih)
        out = getattr(_recurrence, step)(projected, states, w_hh, b_hh)
        return out if name == "lstm_cell" else out[0]

    f.__name__ = name
    f.__doc__ = f"One step of a recurrent network, `nn.{name}` in PyTorch's operators."
    api(f, method=False)


_cell("lstm_cell", "lstm_step", 4)
_cell("gru_cell", "gru_step", 3)
_cell("rnn_tanh_cell", "rnn_tanh_step", 1)
_cell("rnn_relu_cell", "rnn_relu_step", 1)


@api(method=False)
def _softmax(self: Any, dim: int, half_to_float: bool) -> Any:
    """`softmax`; with `half_to_float` in float32."""
    return self.softmax(dim, float32 if half_to_float else None)


@api(method=False)
def _log_softmax(self: Any, dim: int, half_to_float: bool) -> Any:
    """`log_softmax`; with `half_to_float` in float32."""
    return self.log_softmax(dim, float32 if half_to_float else None)


@api(method=False)
def _softmax_backward_data(grad_output: Any, output: Any, dim: int, input_dtype: Any) -> Any:
    """The gradient of what gave `output` by softmax, in its dtype; functions with one use it."""
    grad = (grad_output - (grad_output * output).sum(dim, True)) * output
    return grad.to(input_dtype)


@api(method=False)
def _log_softmax_backward_data(grad_output: Any, output: Any, dim: int, input_dtype: Any) -> Any:
    """The gradient of what gave `output` by log_softmax, in its dtype."""
    grad = grad_output - output.exp() * grad_output.sum(dim, True)
    return grad.to(input_dtype)


@api(method=False)
def _has_compatible_shallow_copy_type(input: Any, from_: Any) -> bool:
    """Whether `input.data = from_` is one value in the place of another of its kind."""
    meta = [t.device.type == "meta" for t in (input, from_)]
    return bool(input.layout == from_.layout and meta[0] == meta[1])


@api(method=False)
def range(start: Any, end: Any, step: Any = 1, *, dtype: Any = None, **kwargs: Any) -> Any:
    """Numbers from start to end, with it: `arange` before Python's ranges were followed."""
    warnings.warn(
        "torch.range is deprecated and will be removed in a future release because its behavior is "
        "inconsistent with Python's range builtin. Instead, use torch.arange, which produces "
        "values in [start, end).",
        UserWarning,
        stacklevel=3,
    )
    if not all([math.isfinite(n) for n in (start, end)]):
        raise RuntimeError(f"range(): unsupported range: {start} -> {end}")
    if step == 0:
        raise RuntimeError("range(): step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError(
            f"range(): upper bound and lower bound inconsistent with step sign: {start}, {end}, "
            f"{step}"
        )
    last = start + math.floor((end - start) / step) * step
    d = dtype or get_default_dtype()
    return FUNCTIONS["arange"](start, last + step / 2, step, dtype=d, **kwargs)


def _in_place(name: str) -> Callable[..., Any]:
    """`torch.selu_(x)`: the function's value, written into its first argument."""

    def f(input: Any, *args: Any, **kwargs: Any) -> Any:
        if name[:-1] in METHODS and name in METHODS:
            return METHODS[name](input, *args, **kwargs)
        plain = FUNCTIONS.get(name[:-1]) or getattr(_functional(), name[:-1])
        return input.copy_(plain(input.clone(), *args, **kwargs))

    f.__name__ = f.__qualname__ = name
    f.__module__ = "facula"
    f.__doc__ = f"In-place form of `{name[:-1]}`."
    return f


for _name in MODULES["facula.ops.native"].split():
    if _name.endswith("_"):
        FUNCTIONS[_name] = _in_place(_name)
