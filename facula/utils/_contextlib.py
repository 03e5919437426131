"""Context managers that are decorators too; libraries derive their own from these."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any

__all__: list[str] = []


def context_decorator(ctx: Any, func: Callable[..., Any]) -> Callable[..., Any]:
    """The function, called inside the context manager that `ctx` is or makes; a generator function
    is inside of it while it runs, and not while its consumer does."""
    if callable(ctx) and hasattr(ctx, "__enter__"):
        raise AssertionError(
            f"Passed in {ctx} is both callable and also a valid context manager (has __enter__), "
            "making it ambiguous which interface to use"
        )
    make = ctx if callable(ctx) else lambda: ctx
    if inspect.isclass(func):
        raise RuntimeError(
            f"Cannot decorate classes ({func.__name__}): it is ambiguous whether only the "
            "constructor or all methods should have the context manager applied"
        )
    if inspect.isgeneratorfunction(func):
        return _inside_generator(make, func)

    @functools.wraps(func)
    def call(*args: Any, **kwargs: Any) -> Any:
        with make():
            return func(*args, **kwargs)

    return call


def _inside_generator(make: Callable[[], Any], func: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(func)
    def generate(*args: Any, **kwargs: Any) -> Any:
        with make():
            generator = func(*args, **kwargs)
        step, value = generator.send, None
        while True:
            try:
                with make():
                    given = step(value)
            except StopIteration as stop:
                return stop.value
            try:
                step, value = generator.send, (yield given)
            except GeneratorExit:
                with make():
                    generator.close()
                raise
            except BaseException as error:
                step, value = generator.throw, error

    return generate


class _DecoratorContextManager:
    """A context manager that is also a decorator; `clone` makes a fresh one for each call."""

    def __call__(self, orig_func: Callable[..., Any]) -> Callable[..., Any]:
        func = orig_func
        if inspect.isclass(func):
            warnings.warn(
                "Decorating classes is deprecated and will be disabled in future versions. You "
                "should only decorate functions or methods. To preserve the current behavior of "
                "class decoration, you can directly decorate the `__init__` method and nothing "
                "else.",
                FutureWarning,
                stacklevel=2,
            )

            def func(*args: Any, **kwargs: Any) -> Any:
                return orig_func(*args, **kwargs)

        return context_decorator(self.clone, func)

    def __enter__(self) -> Any:
        raise NotImplementedError

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> Any:
        raise NotImplementedError

    def clone(self) -> Any:
        """A manager like this one."""
        return type(self)()


class _NoParamDecoratorContextManager(_DecoratorContextManager):
    """One that decorates without parentheses, too."""

    def __new__(cls, orig_func: Any = None) -> Any:
        self = super().__new__(cls)
        return self if orig_func is None else self(orig_func)
