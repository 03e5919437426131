"""`Variable`, from before tensors recorded gradients themselves; old programs still wrap in it.

Source: https://pytorch.org/docs/stable/autograd.html#variable-deprecated
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from facula.autograd.engine import PASSES
from facula.ops.table import FUNCTIONS
from facula.tensor import Tensor


class VariableMeta(type):
    """Every tensor is an instance of `Variable`, and calling it makes a tensor."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor)

    def __call__(
        cls,
        data: Tensor | None = None,
        requires_grad: bool = False,
        volatile: bool = False,
        _grad_fn: Any = None,
        name: str | None = None,
    ) -> Tensor:
        """A leaf that shares the memory of `data` and has no history."""
        if data is not None and not isinstance(data, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
        if _grad_fn is not None:
            raise NotImplementedError("Variable(_grad_fn=...) is not in Facula: make a Function")
        if volatile:
            warnings.warn(
                "volatile was removed and now has no effect. Use `with torch.no_grad():` instead.",
                stacklevel=2,
            )
            if requires_grad:
                raise ValueError("Variable can't be volatile and require_grad at the same time!")
        out: Any = FUNCTIONS["empty"](0) if data is None else data.detach()
        if name is not None:
            out.name = name
        return out.requires_grad_() if requires_grad else out


class _Engine:
    """What old programs ask to call them back when a pass is over."""

    def queue_callback(self, callback: Callable[[], None]) -> None:
        """Call it at the end of the backward pass that is under way; RuntimeError outside one."""
        if not PASSES:
            raise RuntimeError("Final callbacks can only be installed during backward pass.")
        PASSES[-1].at_end.append(callback)


class Variable(metaclass=VariableMeta):
    """What `Variable(tensor, requires_grad=True)` calls; the result is a plain tensor."""

    _execution_engine = _Engine()
