"""`torch.compile`, where every program is compiled as it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from facula.nn import Module

__all__ = ["OptimizedModule", "compile"]


class OptimizedModule(Module):
    """The module that `torch.compile` returns: the one it was given, under the name `_orig_mod`.

    It is there because programs know it: the names in its `state_dict` begin with `_orig_mod.`.
    """

    def __init__(self, mod: Module) -> None:
        super().__init__()
        self._orig_mod = mod

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the module."""
        return self._orig_mod(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name == "_orig_mod":
            return self._modules["_orig_mod"]
        return getattr(self._orig_mod, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__ or name == "_orig_mod" or name == "training":
            super().__setattr__(name, value)
        elif "_orig_mod" in self.__dict__.get("_modules", ()):
            setattr(self._orig_mod, name, value)
        else:
            super().__setattr__(name, value)


def compile(
    model: Any = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = "inductor",
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    disable: bool = False,
    name: str | None = None,
    recompile_limit: int | None = None,
    isolate_recompiles: bool = False,
    shapes_spec: Any = None,
) -> Any:
    """Compile a module or function: done already, so the function comes back as it is.

    A module comes back in an `OptimizedModule`, as from PyTorch. Without a model the result is a
    decorator. The other arguments are accepted and have no effect.
    """
    if mode is not None and options is not None:
        raise RuntimeError(
            "Either mode or options can be specified, but both can't be specified at the same time."
        )
    if model is None:

        def decorate(model: Any) -> Any:
            return compile(model, mode=mode, options=options)

        return decorate
    if isinstance(model, Module):
        return model if disable else OptimizedModule(model)
    if not callable(model):
        raise TypeError(f"torch.compile(): expected a function or module, got {type(model)}")
    function: Callable[..., Any] = model
    return function
