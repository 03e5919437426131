"""Arguments and blocks that bring their own functions: `__torch_function__`.

Source: https://pytorch.org/docs/stable/torch.overrides.html
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from facula import Tensor
from facula.errors import honest
from facula.ops import table

__all__ = [
    "BaseTorchFunctionMode",
    "TorchFunctionMode",
    "handle_torch_function",
    "has_torch_function",
    "is_tensor_like",
]


def _overrides(value: Any) -> bool:
    cls = type(value)
    if cls is Tensor or not hasattr(cls, "__torch_function__"):
        return False
    own = getattr(cls.__torch_function__, "__func__", cls.__torch_function__)
    return own is not Tensor.__torch_function__.__func__  # type: ignore[attr-defined]


def has_torch_function(relevant_args: Any) -> bool:
    """Whether one of the arguments has a `__torch_function__` other than Tensor's."""
    return any([_overrides(a) for a in relevant_args])


def has_torch_function_unary(arg: Any) -> bool:
    """The same for one argument."""
    return _overrides(arg)


def has_torch_function_variadic(*args: Any) -> bool:
    """The same for arguments one by one."""
    return has_torch_function(args)


def handle_torch_function(
    public_api: Callable[..., Any], relevant_args: Any, *args: Any, **kwargs: Any
) -> Any:
    """Call the `__torch_function__` of the arguments that have one."""
    types = tuple(dict.fromkeys([type(a) for a in relevant_args if _overrides(a)]))
    for cls in sorted(types, key=lambda c: -len(c.__mro__)):
        done = cls.__torch_function__(public_api, types, args, kwargs)
        if done is not NotImplemented:
            return done
    raise TypeError(f"no implementation found for '{public_api.__name__}' on types {list(types)}")


def is_tensor_like(inp: Any) -> bool:
    """Whether it is a tensor or an object with a `__torch_function__`."""
    return type(inp) is Tensor or hasattr(inp, "__torch_function__")


class TorchFunctionMode:
    """A block in which this thread's calls of operations go through `__torch_function__`.

    Blocks can stand in each other, the inner one is asked first. What a handler calls goes to the
    next outer block, or is computed. Operations are the functions of `torch` and the methods of
    tensors; a function of `nn.functional` is seen as the operations that it calls.
    """

    def __init__(self) -> None:
        pass

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Does in the place of `func` what the subclass says."""
        raise NotImplementedError

    def __enter__(self) -> TorchFunctionMode:
        thread = threading.get_ident()

        def offer(f: Any, args: Any, kwargs: Any) -> Any:
            if threading.get_ident() != thread:
                return NotImplemented
            types = tuple(table.overriding(args, kwargs))
            with table.below(offer):
                return self.__torch_function__(f, types, args, kwargs)

        self.__dict__.setdefault("_entered", []).append(offer)
        table.enter_mode(offer)
        return self

    def __exit__(self, *exc: object) -> None:
        table.leave_mode(self.__dict__["_entered"].pop())


class BaseTorchFunctionMode(TorchFunctionMode):
    """A mode that computes what is called."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return func(*args, **(kwargs or {}))


__getattr__ = honest(__name__)
