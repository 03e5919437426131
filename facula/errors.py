"""Error texts that several modules share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, NoReturn

WHERE = "docs/compatibility.md"


def missing_name(module: str, name: str) -> AttributeError:
    """The error for a name that PyTorch may have and Facula lacks."""
    public = module.replace("facula", "torch", 1)
    return AttributeError(f"{public}.{name} is not in Facula (see {WHERE})", name=name)


def honest(module: str) -> Callable[[str], Any]:
    """A module's `__getattr__`: whatever it lacks is named.

    __getattr__ = honest(__name__)
    """

    def __getattr__(name: str) -> NoReturn:
        raise missing_name(module, name)

    return __getattr__


def honest_parts(package: str) -> None:
    """Give the modules that a package has imported the same `__getattr__`.

    Programs import from them too: `from torch.nn.modules.conv import _ConvNd`.
    """
    for part in list(vars(sys.modules[package]).values()):
        if isinstance(part, ModuleType) and part.__name__.startswith(package + "."):
            vars(part).setdefault("__getattr__", honest(part.__name__))


def refuse(what: str, why: str) -> NoReturn:
    """Raise NotImplementedError for something that Facula does not do."""
    raise NotImplementedError(f"{what}: {why} (see {WHERE})")


def refusing(what: str, why: str, doc: str) -> Callable[..., NoReturn]:
    """A function that refuses to be called; `what` is its full name in PyTorch."""
    module, _, name = what.rpartition(".")

    def call(*args: Any, **kwargs: Any) -> NoReturn:
        refuse(what, why)

    call.__name__ = call.__qualname__ = name
    call.__module__ = "facula" + module.removeprefix("torch")
    call.__doc__ = "NotImplementedError: " + doc
    return call


class NoDeviceError(RuntimeError, AssertionError):
    """Asked for an accelerator where there is none.

    PyTorch raises one or the other, as it was built with CUDA or without; programs catch either.
    """


def describe(value: object) -> str:
    """An argument in words: a tensor by dtype and shape, anything else by its type and value."""
    if hasattr(value, "node") and hasattr(value, "shape"):
        return f"{value.dtype} tensor of shape {tuple(value.shape)}"  # type: ignore[attr-defined]
    return f"{type(value).__name__} {value!r}"[:80]
