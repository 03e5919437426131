"""Calls of `nn.functional` go to `__torch_function__` of their arguments, as PyTorch's do.

Modes (blocks of `torch.overrides`) are not asked here: they see the operations that are called.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from facula.ops.table import CLASSES, FAILED, FUNCTIONS, OVERRIDES, ask, overloaded

from ._common import no_tensor

# Functions that are compiled in PyTorch: their arguments are handed over as they were given, where
# the others hand over all settings by name.
AS_GIVEN = frozenset((
    *("adaptive_avg_pool1d", "avg_pool1d", "avg_pool2d", "avg_pool3d", "bilinear", "celu_"),
    *("channel_shuffle", "conv1d", "conv2d", "conv3d", "conv_tbc", "conv_transpose1d"),
    *("conv_transpose2d", "conv_transpose3d", "cosine_similarity", "elu_", "gelu", "hardshrink"),
    *("hardtanh_", "leaky_relu_", "linear", "logsigmoid", "native_channel_shuffle", "one_hot"),
    *("pairwise_distance", "pdist", "pixel_shuffle", "pixel_unshuffle", "prelu", "relu_"),
    *("rrelu_", "scaled_dot_product_attention", "selu_", "softplus", "softshrink", "threshold_"),
))  # fmt: skip
# Functions in Python that hand over their arguments to compiled ones before they look at them.
_PASSED_ON = frozenset(("embedding", "group_norm", "hardswish", "multilabel_soft_margin_loss"))
# Functions that call a method, which is what is offered.
METHODS = frozenset(("sigmoid", "tanh"))


def offered(f: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which asks first for arguments that bring their own functions."""
    if FUNCTIONS.get(f.__name__) is f:  # an operation of the table, which asks by itself
        return f

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        if OVERRIDES and _concerned(args, kwargs):
            done = _offer(call, f, args, kwargs)
            if done is not NotImplemented:
                return done
        try:
            return f(*args, **kwargs)
        except (TypeError, AttributeError) as error:
            # Something that is like a tensor, of a class that is no subclass.
            done = _offer(call, f, args, kwargs)
            if done is not NotImplemented:
                return done
            wrong = _no_tensor(f, args, kwargs, error)
            if wrong is None:
                raise
            raise wrong from None

    call.__module__ = "facula.nn.functional"  # where pickle finds it
    return call


def _no_tensor(f: Any, args: Any, kwargs: Any, error: Exception) -> Exception | None:
    """What is wrong with a call that asked an argument for what tensors have."""
    if not isinstance(error, AttributeError) or "must be Tensor" in str(error):
        return None
    signature = inspect.signature(f)
    for name, x in signature.bind(*args, **kwargs).arguments.items():
        if x is error.obj and x is not signature.parameters[name].default:
            if f.__name__ in AS_GIVEN or f.__name__ in _PASSED_ON:
                return no_tensor(f.__name__, name, x)
            return AttributeError(f"{no_tensor(f.__name__, name, x)}: {error}")
    return None


def _concerned(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    for a in (*args, *kwargs.values()):
        cls = a.__class__
        if cls is tuple or cls is list:
            if any([t.__class__ in CLASSES for t in a]):
                return True
        elif cls in CLASSES:
            return True
    return False


def _offer(call: Any, f: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    found = overloaded((*args, *kwargs.values()))
    if not found:
        return NotImplemented
    if f.__name__ not in AS_GIVEN:
        args, kwargs = _by_name(f, args, kwargs)
    name = f"torch.nn.functional.{f.__name__}"
    return ask(call, found, args, kwargs, FAILED.format(name))


def _by_name(f: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Arguments without a default in their order, all others by name."""
    import inspect

    signature = inspect.signature(f)
    given = signature.bind(*args, **kwargs)
    given.apply_defaults()
    first: list[Any] = []
    named: dict[str, Any] = {}
    for name, p in signature.parameters.items():
        if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD:
            first.append(given.arguments[name])
        else:
            named[name] = given.arguments[name]
    return tuple(first), named
