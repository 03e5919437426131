"""TorchScript: accepted for what it is here, where every program is compiled as it runs.

`script` and `trace` return what they are given, and the decorators leave functions as they are.
There is no separate language and no file format: `save` and `load` say so.

Source: https://pytorch.org/docs/stable/jit.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NoReturn

from facula.errors import honest, refuse

__all__ = [
    "Attribute",
    "Error",
    "Final",
    "ScriptFunction",
    "ScriptModule",
    "TracerWarning",
    "annotate",
    "export",
    "fork",
    "freeze",
    "ignore",
    "interface",
    "is_scripting",
    "is_tracing",
    "isinstance",
    "load",
    "onednn_fusion_enabled",
    "enable_onednn_fusion",
    "optimize_for_inference",
    "optimized_execution",
    "save",
    "script",
    "script_if_tracing",
    "script_method",
    "set_fusion_strategy",
    "strict_fusion",
    "trace",
    "trace_module",
    "unused",
    "wait",
]
_isinstance = isinstance


class Error(RuntimeError):
    """What TorchScript raises for an error in a script."""


class TracerWarning(Warning):
    """What a tracer says of code that it can't follow: never here."""


class ScriptFunction:
    """A compiled function: no function is one here, so `isinstance` says False."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        refuse("torch.jit.ScriptFunction", "functions stay Python functions in Facula")


def script(obj: Any, *args: Any, **kwargs: Any) -> Any:
    """The function, class or module itself."""
    return obj


def trace(func: Any, example_inputs: Any = None, *args: Any, **kwargs: Any) -> Any:
    """The function or module itself, after one call with the example as PyTorch makes it."""
    inputs = kwargs.get("example_kwarg_inputs")
    if inputs is not None:
        func(**inputs)
    elif _isinstance(example_inputs, (tuple, list)):
        func(*example_inputs)
    elif example_inputs is not None:
        func(example_inputs)
    return func


def _get_trace_graph(f: Any, args: Any = (), kwargs: Any = None, **more: Any) -> NoReturn:
    """NotImplementedError: nothing is traced into TorchScript's graph."""
    refuse("torch.jit._get_trace_graph", "there is no TorchScript graph in Facula")


def trace_module(mod: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
    """The module itself, after one call of each method with its example."""
    for name, example in inputs.items():
        getattr(mod, name)(*(example if _isinstance(example, tuple) else (example,)))
    return mod


def script_method(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The method itself."""
    return fn


def _same(fn: Any) -> Any:
    return fn


export = script_if_tracing = interface = _same


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """The function itself, as a decorator with or without arguments."""
    return drop if callable(drop) else _same


def unused(fn: Any) -> Any:
    """The function itself."""
    return fn


def freeze(mod: Any, *args: Any, **kwargs: Any) -> Any:
    """The module itself."""
    return mod


optimize_for_inference = freeze


def is_scripting() -> bool:
    """Whether this code is being compiled by TorchScript: never."""
    return False


def is_tracing() -> bool:
    """Whether this code is being traced by TorchScript: never."""
    return False


def annotate(the_type: Any, the_value: Any) -> Any:
    """The value; the type is for a reader."""
    return the_value


Attribute = annotate


def isinstance(obj: Any, target_type: Any) -> bool:
    """Whether the object is of the type, whose parameters (`List[int]`) are looked at, too."""
    import typing

    if _isinstance(target_type, tuple):
        return any([isinstance(obj, t) for t in target_type])
    origin, args = typing.get_origin(target_type), typing.get_args(target_type)
    if origin is typing.Union:
        return any([isinstance(obj, t) for t in args])
    if origin is None:
        return _isinstance(obj, target_type)
    if not _isinstance(obj, origin):
        return False
    if origin is dict:
        return all([isinstance(k, args[0]) and isinstance(v, args[1]) for k, v in obj.items()])
    if origin is tuple and not (len(args) == 2 and args[1] is Ellipsis):
        return len(obj) == len(args) and all([isinstance(x, t) for x, t in zip(obj, args)])
    return all([isinstance(x, args[0]) for x in obj])


class optimized_execution:
    """Accepted as a context manager, with no effect."""

    def __init__(self, should_optimize: bool) -> None:
        self.should_optimize = should_optimize

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exc: object) -> None:
        return None


class strict_fusion(optimized_execution):
    """Accepted as a context manager, with no effect."""

    def __init__(self) -> None:
        super().__init__(True)


def set_fusion_strategy(strategy: Any) -> Any:
    """Accepted, with no effect; returns what it is given."""
    return strategy


def enable_onednn_fusion(enabled: bool) -> None:
    """Accepted, with no effect: oneDNN is not used."""


def onednn_fusion_enabled() -> bool:
    """Whether oneDNN fuses operations: it is not used."""
    return False


class Future:
    """The result of `fork`, which has run already."""

    def __init__(self, result: Any) -> None:
        self.result = result

    def wait(self) -> Any:
        """The result."""
        return self.result


def fork(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Future:
    """Call the function, now, and wrap its result."""
    return Future(func(*args, **kwargs))


def wait(future: Future) -> Any:
    """The result of `fork`."""
    return future.wait()


def save(m: Any, f: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """NotImplementedError: use `torch.save(m.state_dict(), f)`."""
    refuse("torch.jit.save", "TorchScript files are not in Facula; save m.state_dict() instead")


def load(f: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """NotImplementedError: TorchScript files hold programs in a language of their own."""
    refuse("torch.jit.load", "TorchScript files hold programs that Facula does not run")


def _overload(fn: Any) -> Any:
    return fn


_overload_method = _drop = _script_if_tracing = _overload
_missing = honest(__name__)


def __getattr__(name: str) -> Any:
    if name in ("ScriptModule", "RecursiveScriptModule"):
        from facula.jit.script_module import ScriptModule

        return ScriptModule
    return _missing(name)
