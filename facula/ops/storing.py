"""What is written to the tensors that are given as `out=`."""

from __future__ import annotations

import math
from typing import Any

from facula import dtypes
from facula.ops.outs import ANY_OUT, EXACT_OUT, EXACT_OUTS, FILLS, JOINS
from facula.trace.recorder import TLS, restore_grad, set_grad

_tensor: Any = None  # facula.tensor, set by it
_in_place: Any = None  # facula.in_place, set by it


def unlinked(name: str, f: Any, args: Any, kwargs: Any) -> Any:
    """What is to be written to `out=`; operands are not asked for a history that forbids it."""
    if not any([_unasked(a) for a in args]):
        return f(*args, **kwargs)
    set_grad(False)
    try:
        result = f(*args, **kwargs)
    finally:
        set_grad(True)
    if isinstance(result, _tensor.Tensor) and result.node.dtype.category >= 2:
        raise _no_derivative(name)
    return f(*args, **kwargs)


def _unasked(t: Any) -> bool:
    """Whether a view requires grad because its base does, and nobody knows its history yet."""
    return (
        isinstance(t, _tensor.Tensor)
        and t._base_t is not None
        and t._gfn is None
        and t.requires_grad
        and t._base_t.requires_grad
    )


def _no_derivative(name: str) -> RuntimeError:
    return RuntimeError(
        f"{name}(): functions with out=... arguments don't support automatic "
        "differentiation, but one of the arguments requires grad."
    )


def same_shape(name: str, out: Any, result: Any) -> None:
    """RuntimeError where an operation by elements would resize an operand that it writes to."""
    n = result.node
    if n.shape != out.node.shape and getattr(n.op, "pointwise", False):
        raise RuntimeError(
            f"{name}(): output with shape {list(out.node.shape)} doesn't match the broadcast "
            f"shape {list(n.shape)}"
        )


def in_dtype_of(name: str, out: Any, kwargs: dict[str, Any]) -> None:
    """Let an operation compute in the dtype of what it writes to."""
    if kwargs.get("dtype") is None:
        kwargs["dtype"] = out.dtype
    elif kwargs["dtype"] is not out.dtype:
        raise RuntimeError(
            f"{name}(): Expected out tensor to have dtype {kwargs['dtype']}, got {out.dtype} "
            "instead"
        )


def no_overlap(name: str, out: Any, args: tuple[Any, ...]) -> None:
    outs = out if isinstance(out, (tuple, list)) else (out,)
    for a in args:
        operands = a if isinstance(a, (tuple, list)) else (a,)
        operands = [t for t in operands if isinstance(t, _tensor.Tensor)]
        some = any([0 not in t.node.shape for t in operands])  # then `out` will have elements
        for t in operands:
            # One without elements is passed over where tensors are joined.
            passed = t.node.shape == (0,) or (name == "stack" and not some)
            for o in outs:
                if isinstance(o, _tensor.Tensor) and (not passed or (t is o and some)):
                    _in_place.check_overlap(o, (t,), name, False)


def store(name: str, out: Any, result: Any) -> Any:
    """Write results into the tensors given as `out=`, of which all are looked at first."""
    if not isinstance(result, (tuple, list)):
        _storable(name, out, result)
        if name in FILLS and out.numel() == result.numel():
            result = result.reshape(out.shape)
        return _stored(name, out, result)
    if not isinstance(out, (tuple, list)):
        raise TypeError(
            f"{name}(): argument 'out' must be tuple of Tensors, not {type(out).__name__}"
        )
    if len(out) != len(result):
        raise TypeError(f"{name}(): expected {len(result)} tensors in 'out', but got {len(out)}")
    for o, v in zip(out, result, strict=True):
        _storable(name, o, v, name in EXACT_OUTS)
    for o, v in zip(out, result, strict=True):
        _stored(name, o, v)
    return type(result)(out) if isinstance(result, tuple) else out


def _storable(name: str, out: Any, result: Any, exact: bool = False) -> None:
    """The error for a tensor that a result may not be written to."""
    if not isinstance(out, _tensor.Tensor):
        raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(out).__name__}")
    # What has no derivative PyTorch writes into anything.
    linked = out.requires_grad and result.dtype is not dtypes.bool
    if TLS.r.grad and (linked or result.requires_grad):
        raise _no_derivative(name)
    _in_place.check_distinct(out, name)
    if (exact or name in EXACT_OUT) and out.dtype is not result.dtype:
        raise RuntimeError(
            f"{name}(): Expected out tensor to have dtype {result.dtype}, got {out.dtype} instead"
        )
    if name in ("any", "all") and out.dtype not in (dtypes.bool, dtypes.uint8):
        raise RuntimeError(f"{name}(): only bool and uint8 are supported for out, got {out.dtype}")
    if name not in ANY_OUT and not _in_place.can_cast(result.dtype, out.dtype):
        raise (TypeError if name in JOINS else RuntimeError)(
            f"{name}(): result type {result.dtype} can't be cast to the desired "
            f"output type {out.dtype}"
        )


def _stored(name: str, out: Any, result: Any) -> Any:
    if out.shape != result.shape:
        owner = out if out._storage is None else out._storage
        memory = owner._exported
        more = out._offset + result.numel() > math.prod(owner.node.shape)
        if memory is not None and memory() is not None and more:
            raise RuntimeError(f"{name}(): Trying to resize storage that is not resizable")
        _in_place.resize(out, result.shape, result.node.strides)
    before = TLS.r.grad
    set_grad(before and not out.requires_grad)  # what it requires it goes on to
    try:
        _in_place.write(out, result.to(out.dtype))
    finally:
        restore_grad(before)
    return out
