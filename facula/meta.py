"""Tensors without data: shape, dtype and layout alone (`device='meta'`).

A meta tensor is a `Tensor` whose `node.op` is `META`: what would be recorded on it comes here, and
only the primitive's shape rule is asked. Writes do nothing. Wherever values are needed, `NoData` is
raised. Source: https://pytorch.org/docs/stable/meta.html
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from facula import devices
from facula.errors import refuse
from facula.ops import table
from facula.trace import recorder
from facula.trace.node import Diverted, Node, Other
from facula.trace.recorder import TLS

_REFUSAL = "Cannot copy out of meta tensor; no data!"


class NoData(Diverted, NotImplementedError):
    """A meta tensor's values were asked for."""

    def __reduce__(self) -> Any:
        return NotImplementedError, self.args


NoData.__name__ = NoData.__qualname__ = "NotImplementedError"
NoData.__module__ = "builtins"


class History:
    """The graph node of a meta tensor: it has a name and can't be run."""

    next_functions = ()
    order = (-1, 0)

    def __init__(self, op: Any, node: Node) -> None:
        self.op, self.node = op, node

    def name(self) -> str:
        """What PyTorch calls it: `MulBackward0`."""
        from facula.autograd.names import node_name

        return node_name(self.op, self.node.params, self.node)

    def __repr__(self) -> str:
        return f"<{self.name()} object>"


def tensor_of(node: Any) -> Any:
    """A meta tensor over a node of META."""
    t = recorder._new_tensor()
    t.node = node
    return t


def empty(shape: Any, dtype: Any, strides: Any = None, offset: int = 0) -> Any:
    """A meta tensor."""
    return tensor_of(Node(META, tuple(shape), dtype, strides, offset))


def like(t: Any) -> Any:
    """A meta tensor with the shape, dtype and layout of another tensor."""
    n = t.node
    return empty(n.shape, n.dtype, n.strides)


def moved_to_meta(t: Any) -> Any:
    """`t.to('meta')`."""
    out = like(t)
    if TLS.r.grad and t.requires_grad:
        from facula.ops.pointwise import CAST

        out.node.rg = True
        out._gfn = History(CAST, out.node)
    return out


def is_meta(device: Any) -> bool:
    """Whether a `device=` argument names the meta device."""
    return device is not None and (device == "meta" or getattr(device, "type", None) == "meta")


# Operations inside of which nobody puts a mask or numbers from the CPU: operands of two devices
# are the program's own mistake.
_MUST_MEET = ("add", "sub", "mul", "div", "pow")


def _take(op: Any, ts: tuple[Any, ...], params: Any, scalars: tuple[Any, ...]) -> Any:
    if op.name in _MUST_MEET:
        for t in ts:
            if t.node.op is not META and t.node.shape:
                raise RuntimeError(
                    f"{op.name}: Tensor on device cpu is not on the expected device meta! (a "
                    f"{t.dtype} tensor of shape {list(t.shape)})"
                )
    stypes = tuple([type(s) for s in scalars])
    made = op.infer(params, stypes, *[t.node for t in ts])
    out = tensor_of(Node(META, *made))
    out.node.params = params
    if TLS.r.grad and op.differentiable and made[1] is not None and made[1].category >= 2:
        if any([t.requires_grad for t in ts]):
            out.node.rg = True
            out.node.inputs = tuple([t.node for t in ts])
            out._gfn = History(op, out.node)
    return out


def _look(t: Any, op: Any, params: Any) -> Any:
    out = _take(op, (t,), params, ())
    if op.differentiable:
        out._base_t = t if t._base_t is None else t._base_t
    out._offset = t._offset + out.node.offset
    return out


def _store(holder: Any, value: Any) -> None:
    if holder.node.op is not META:
        raise NoData(META)


META = Other("meta", _take, _store, _REFUSAL, _look)
META.error = NoData


# The device of new tensors: `with torch.device('meta'):`, `set_default_device`.
_FACTORIES = """
    arange as_tensor asarray bartlett_window blackman_window empty empty_permuted empty_strided eye
    fftfreq full hamming_window hann_window kaiser_window linspace logspace normal ones rand randint
    randn randperm range rfftfreq scalar_tensor sparse_coo_tensor tensor tril_indices triu_indices
    zeros
"""
FACTORIES = frozenset(_FACTORIES.split())


def placing(where: devices.device) -> Callable[..., Any]:
    """A mode in which this thread's new tensors are made on a device."""
    thread = threading.get_ident()

    def place(f: Any, args: Any, kwargs: Any) -> Any:
        if (
            f.__name__ in FACTORIES
            and kwargs.get("device") is None
            and threading.get_ident() == thread
        ):
            return f(*args, **{**kwargs, "device": where})
        return NotImplemented

    place.where = where  # type: ignore[attr-defined]
    return place


def default_device() -> devices.device:
    """Where this thread makes new tensors."""
    for mode in reversed(table.MODES):
        where = getattr(mode, "where", None)
        if where is not None:
            return where
    return devices.CPU


def no_backward(t: Any) -> None:
    """Raise for a backward pass from a meta tensor."""
    refuse("backward", f"a meta tensor has no values (a {t.dtype} tensor of {list(t.shape)})")
