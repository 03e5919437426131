"""Arguments and blocks that bring their own functions: `__torch_function__`.

Source: https://pytorch.org/docs/stable/torch.overrides.html
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any

from facula import Tensor
from facula.errors import honest
from facula.ops import table

__all__ = [
    "BaseTorchFunctionMode",
    "TorchFunctionMode",
    "get_ignored_functions",
    "get_overridable_functions",
    "get_testing_overrides",
    "handle_torch_function",
    "has_torch_function",
    "is_tensor_like",
    "is_tensor_method_or_property",
    "resolve_name",
    "wrap_torch_function",
]


def has_torch_function(relevant_args: Any) -> bool:
    """Whether one of the arguments has a `__torch_function__` other than Tensor's."""
    return any([table.has_handler(type(a)) for a in relevant_args])


def has_torch_function_unary(arg: Any) -> bool:
    """The same for one argument."""
    return table.has_handler(type(arg))


def has_torch_function_variadic(*args: Any) -> bool:
    """The same for arguments one by one."""
    return has_torch_function(args)


def handle_torch_function(
    public_api: Callable[..., Any], relevant_args: Any, *args: Any, **kwargs: Any
) -> Any:
    """Call the `__torch_function__` of the arguments that have one."""
    found = [a for a in relevant_args if not isinstance(a, (tuple, list))]
    name = f"{getattr(public_api, '__module__', 'torch')}.{public_api.__name__}"
    refusal = f"no implementation found for '{name}' on types that implement __torch_function__"
    return table.ask(public_api, table.overloaded(found), args, kwargs, refusal)


def is_tensor_like(inp: Any) -> bool:
    """Whether it is a tensor or an object with a `__torch_function__`."""
    return type(inp) is Tensor or hasattr(inp, "__torch_function__")


def _spaces() -> list[tuple[str, Any, dict[str, Callable[..., Any]]]]:
    """The namespaces of what can be overridden: name, object, public functions in it."""
    import facula
    from facula.nn import functional
    from facula.ops import later

    for name in later.HOME:
        later.load(name)
    functions = {n: getattr(facula, n) for n in list(table.FUNCTIONS) if n[0] != "_"}
    found = {n: getattr(Tensor, n) for n in list(table.METHODS) if hasattr(Tensor, n)}
    methods = {n: f if callable(f) else f.__get__ for n, f in found.items()}
    names = [n for n in functional.__all__ if n[0] != "_"]
    return [
        ("torch", facula, functions),
        ("torch.Tensor", Tensor, methods),
        ("torch.nn.functional", functional, {n: getattr(functional, n) for n in names}),
    ]


def get_overridable_functions() -> dict[Any, list[Callable[..., Any]]]:
    """The functions that `__torch_function__` sees, by namespace."""
    return {space: list(found.values()) for _, space, found in _spaces()}


def get_testing_overrides() -> dict[Callable[..., Any], Callable[..., Any]]:
    """For each function that `__torch_function__` sees, one with its parameters that returns -1.

    Tests of a class with a `__torch_function__` call them in the functions' place.
    """

    def dummy(f: Callable[..., Any]) -> Callable[..., Any]:
        def answer(*args: Any, **kwargs: Any) -> int:
            signature.bind(*args, **kwargs)
            return -1

        prop = getattr(f, "__name__", "") == "__get__"  # looks up a property
        signature = inspect.signature((lambda self: -1) if prop else f)
        answer.__signature__ = signature  # type: ignore[attr-defined]
        return answer

    return {f: dummy(f) for found in get_overridable_functions().values() for f in found}


def resolve_name(f: Any) -> str | None:
    """Where a function is found (`torch.Tensor.add`), or None."""
    for name, _, found in _spaces():
        for n, g in found.items():
            if g == f:
                return f"{name}.{n}"
    return None


def is_tensor_method_or_property(func: Callable[..., Any]) -> bool:
    """Whether it is a method of tensors, or what looks up one of their properties."""
    if getattr(func, "__name__", "") == "__get__":
        return True
    return any([g is func for _, space, found in _spaces()[1:2] for g in found.values()])


def get_ignored_functions() -> set[Callable[..., Any]]:
    """Functions of the package that `__torch_function__` does not see."""
    import facula
    from facula.names import HOME

    seen = set(table.FUNCTIONS)
    public = [n for n in {*dir(facula), *HOME} if n[0] != "_" and n not in seen]
    found = [getattr(facula, n) for n in public]
    return {f for f in found if callable(f) and not isinstance(f, type)}


def wrap_torch_function(dispatcher: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator: calls go to `__torch_function__` of the arguments that `dispatcher` picks."""

    def inner(func: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(func)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            relevant = dispatcher(*args, **kwargs)
            if has_torch_function(relevant):
                return handle_torch_function(wrapped, relevant, *args, **kwargs)
            return func(*args, **kwargs)

        return wrapped

    return inner


class TorchFunctionMode:
    """A block in which this thread's calls of operations go through `__torch_function__`.

    Blocks can stand in each other, the inner one is asked first. What a handler calls goes to the
    next outer block, or is computed. Operations are the functions of `torch`, the methods of
    tensors and most functions of `nn.functional`; the others of these are seen as the operations
    that they call.
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

        offer.sees_wholes = True  # type: ignore[attr-defined]
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
