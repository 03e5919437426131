"""A chain of modules, followed as one step of the trace (trace/spans.py).

The modules of the library that are listed here do what their class, their tensors and a few
settings say. All of these are looked up at every call, so nothing that a program changes in a
module is missed; what is saved is to call each module once more. A chain with any other module
in it, one with hooks, or one whose `forward` somebody has replaced, is called module by module.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from facula import Tensor
from facula.ops.table import OVERRIDES, SPAN, concerned
from facula.trace.spans import pure, run

from .. import functional as F
from . import activation, batchnorm, conv, dropout, flatten, linear, normalization, pooling
from ._hooks import global_hooks
from .module import Module, weight_and_bias

# Of a module, its dictionary and the tensors gathered so far: the settings that its forward
# depends on besides its class, or None where it has to be called. Adds its tensors to the list.
Parts = Callable[[Any, dict[str, Any], list[Any]], Any]
# By class: its forward, its parts (None: it calls what it holds one after the other), and the
# function of `nn.functional` that it calls, by name; as they are unless somebody replaces them.
KNOWN: dict[type, tuple[Any, Parts | None, str, Any]] = {}
PASSES: set[type] = set()  # those whose result may be their input, or share its memory
_F = F.__dict__
_call = Module.__call__


class _Now(threading.local):
    modules: list[Any] = []


_NOW = _Now()


def follow(modules: Any, input: Any) -> Any:
    """The result of modules called one after the other; None where they have to be called."""
    if global_hooks or input.__class__ is not Tensor or Module.__call__ is not _call:
        return None
    if OVERRIDES and concerned((), SPAN):
        return None
    chain: list[Any] = []
    tensors = [input]
    static: list[Any] = []
    try:
        if not _gather(modules, chain, tensors, static) or chain[-1].__class__ in PASSES:
            return None
    except (AttributeError, KeyError):  # a setting that is not where it is put
        return None
    before = _NOW.modules
    _NOW.modules = chain
    try:
        return run(_chain, tuple(tensors), tuple(static))
    finally:
        _NOW.modules = before


def _gather(modules: Any, chain: list[Any], tensors: list[Any], static: list[Any]) -> bool:
    """Collect modules and what they depend on; whether all are known."""
    for m in modules.values():
        cls = m.__class__
        known = KNOWN.get(cls)
        if known is None:
            return False
        forward, parts, name, function = known
        if cls.forward is not forward or _F[name] is not function:
            return False
        own = m.__dict__
        if (
            own["_forward_pre_hooks"]
            or own["_forward_hooks"]
            or own["_backward_hooks"]
            or own["_backward_pre_hooks"]
            or "forward" in own
        ):
            return False
        if parts is None:
            if not _gather(own["_modules"], chain, tensors, static):
                return False
            continue
        settings = parts(m, own, tensors)
        if settings is None:
            return False
        chain.append(m)
        static.append((cls, settings))
    return len(chain) > 1


@pure
def _chain(tensors: Any, static: Any, numbers: Any) -> Any:
    x = tensors[0]
    for m in _NOW.modules:  # which do what `static` says
        x = m.forward(x)
    return x


def _plain(m: Any, own: dict[str, Any], tensors: list[Any]) -> Any:
    return None if own.get("inplace") else ()


def _with(*names: str) -> Parts:
    """The parts of a module without tensors that depends on these attributes."""

    def parts(m: Any, own: dict[str, Any], tensors: list[Any]) -> Any:
        return None if own.get("inplace") else tuple([own[name] for name in names])

    return parts


def _affine(m: Any, own: dict[str, Any], tensors: list[Any]) -> Any:
    own = own["_parameters"]
    if "weight" in own and "bias" in own:
        tensors += own["weight"], own["bias"]
    else:  # parametrized, or pruned
        tensors += m.weight, m.bias
    return ()


def _conv(m: Any, own: dict[str, Any], tensors: list[Any]) -> Any:
    if own["padding_mode"] != "zeros":
        return None
    tensors += weight_and_bias(m)
    return own["stride"], own["padding"], own["dilation"], own["groups"]


def _norm(groups: str) -> Parts:
    """The parts of a normalisation over what this attribute says."""

    def parts(m: Any, own: dict[str, Any], tensors: list[Any]) -> Any:
        tensors += weight_and_bias(m)
        return own[groups], own["eps"]

    return parts


def _batch_norm(m: Any, own: dict[str, Any], tensors: list[Any]) -> Any:
    buffers = own["_buffers"]
    mean, var = buffers["running_mean"], buffers["running_var"]
    if own["training"] or mean is None or var is None:
        return None
    tensors += (*weight_and_bias(m), mean, var)
    return own["momentum"], own["eps"]


def _dropout(m: Any, own: dict[str, Any], tensors: list[Any]) -> Any:
    return None if own["training"] or own["inplace"] else ()


def _know(cls: Any, parts: Parts | None, name: str = "__name__", passes: bool = False) -> None:
    KNOWN[cls] = cls.forward, parts, name, getattr(F, name)
    if passes:
        PASSES.add(cls)


def know_sequential(cls: Any) -> None:
    """Go into modules of this class, which call what they hold one after the other."""
    _know(cls, None)


_MAX_POOL = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
_AVG_POOL = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")
_know(linear.Linear, _affine, "linear")
_know(activation.ReLU, _plain, "relu")
_know(activation.ReLU6, _with("min_val", "max_val"), "hardtanh")
_know(activation.Hardtanh, _with("min_val", "max_val"), "hardtanh")
_know(activation.Hardsigmoid, _plain, "hardsigmoid")
_know(activation.Hardswish, _plain, "hardswish")
_know(activation.SiLU, _plain, "silu")
_know(activation.Mish, _plain, "mish")
_know(activation.SELU, _plain, "selu")
_know(activation.Sigmoid, _plain)
_know(activation.Tanh, _plain)
_know(activation.LogSigmoid, _plain, "logsigmoid")
_know(activation.ELU, _with("alpha"), "elu")
_know(activation.GELU, _with("approximate"), "gelu")
_know(activation.LeakyReLU, _with("negative_slope"), "leaky_relu")
_know(activation.Softplus, _with("beta", "threshold"), "softplus")
_know(activation.Softmax, _with("dim"), "softmax")
_know(activation.LogSoftmax, _with("dim"), "log_softmax")
_know(conv.Conv1d, _conv, "conv1d")
_know(conv.Conv2d, _conv, "conv2d")
_know(conv.Conv3d, _conv, "conv3d")
_know(pooling.MaxPool1d, _with(*_MAX_POOL), "max_pool1d")
_know(pooling.MaxPool2d, _with(*_MAX_POOL), "max_pool2d")
_know(pooling.MaxPool3d, _with(*_MAX_POOL), "max_pool3d")
_know(pooling.AvgPool1d, _with(*_AVG_POOL), "avg_pool1d")
_know(pooling.AvgPool2d, _with(*_AVG_POOL, "divisor_override"), "avg_pool2d")
_know(pooling.AvgPool3d, _with(*_AVG_POOL, "divisor_override"), "avg_pool3d")
_know(pooling.AdaptiveAvgPool1d, _with("output_size"), "adaptive_avg_pool1d")
_know(pooling.AdaptiveAvgPool2d, _with("output_size"), "adaptive_avg_pool2d")
_know(pooling.AdaptiveAvgPool3d, _with("output_size"), "adaptive_avg_pool3d")
_know(normalization.LayerNorm, _norm("normalized_shape"), "layer_norm")
_know(normalization.GroupNorm, _norm("num_groups"), "group_norm")
_know(batchnorm.BatchNorm1d, _batch_norm, "batch_norm")
_know(batchnorm.BatchNorm2d, _batch_norm, "batch_norm")
_know(batchnorm.BatchNorm3d, _batch_norm, "batch_norm")
_know(dropout.Dropout, _dropout, "dropout", passes=True)
_know(flatten.Flatten, _with("start_dim", "end_dim"), passes=True)
_know(linear.Identity, _plain, passes=True)
