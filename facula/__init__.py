"""Facula: PyTorch's API, recorded and run as whole programs. See README.md."""

from __future__ import annotations

import importlib
import math
from typing import Any

from facula import numpy_threads as _numpy_threads  # first: it imports NumPy

# isort: split
from facula import dtypes as _dtypes
from facula import names as _names
from facula import tensor as _tensor
from facula.devices import device
from facula.dtypes import (
    can_cast,
    dtype,
    finfo,
    get_default_dtype,
    iinfo,
    promote_types,
    set_default_dtype,
)
from facula.grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from facula.ops import (
    arithmetic,
    assignment,
    comparison,
    complexes,
    conversion,
    copies,
    creations,
    data,
    diagonals,
    drawing,
    einsum,
    floats,
    indices,
    joining,
    layouts,
    masks,
    matrix,
    norms,
    operators,
    promotion,
    reductions,
    scans,
    scatters,
    shapes,
    sorting,
    splits,
    statistics,
    variants,
)
from facula.ops import later as _later
from facula.ops.table import FUNCTIONS as _FUNCTIONS
from facula.ops.table import METHODS as _METHODS
from facula.ops.table import asking as _asking
from facula.tensor import Tensor
from facula.tensor_base import Size
from facula.torch_version import TorchVersion as _TorchVersion
from facula.trace.recorder import flush as _flush
from facula.version import __version__ as _text

__version__ = _TorchVersion(_text)


for _name, _method in _METHODS.items():
    _METHODS[_name] = _asking(_name, _method)
    if _FUNCTIONS.get(_name) is _method:
        _FUNCTIONS[_name] = _METHODS[_name]
    if not hasattr(Tensor, _name) or _name.startswith("__"):
        setattr(Tensor, _name, _METHODS[_name])
globals().update(_FUNCTIONS)


def _attach() -> None:
    """Give the package and Tensor what a module that was imported late has entered."""
    known = {name for c in Tensor.__mro__ for name, x in vars(c).items() if type(x) is not _Later}
    for name, method in _METHODS.items():
        if name not in known:
            setattr(Tensor, name, _asking(name, method))
    for name, function in _FUNCTIONS.items():
        globals().setdefault(name, function)


class _Later:
    """A method whose module is imported when it is first asked for.

    (A `__getattr__` of Tensor would make every attribute of every tensor five times slower.)
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, of: Any, cls: Any) -> Any:
        _later.load(self.name)
        _attach()
        return getattr(cls if of is None else of, self.name)


def _missing(cls: type, name: str) -> Any:
    """What the class has not; of a tensor, Python says so."""
    raise AttributeError(
        f"type object '{cls.__name__}' has no attribute '{name}' (what Facula lacks is listed in "
        "docs/compatibility.md)",
        name=name,
        obj=cls,
    )


for _name in _later.METHODS:
    setattr(Tensor, _name, _Later(_name))
type(Tensor).__getattr__ = _missing  # type: ignore[attr-defined]
for _d in _dtypes.BY_NAME.values():
    globals()[_d._name] = _d
globals().update(_dtypes.ALIASES)
_tensor.METHODS_EMPTY = _FUNCTIONS["empty"].__wrapped__
_tensor.tensor = _FUNCTIONS["tensor"]

inf, nan, pi, e = math.inf, math.nan, math.pi, math.e
newaxis = None


class layout:
    """How a tensor's elements are arranged."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return "torch." + self.name


class memory_format(layout):
    """The order of a tensor's dimensions in memory."""


strided = layout("strided")
sparse_coo, sparse_csr, sparse_csc = [layout(f"sparse_{n}") for n in ("coo", "csr", "csc")]
sparse_bsr, sparse_bsc = layout("sparse_bsr"), layout("sparse_bsc")
contiguous_format = legacy_contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")


class OutOfMemoryError(RuntimeError):
    """A device has no memory left."""


class AcceleratorError(RuntimeError):
    """An accelerator reported an error."""


def synchronize() -> None:
    """Compute everything that this thread has recorded, and wait for what it has begun."""
    _flush()


def explain() -> str:
    """The pending program of this thread, one line for each recorded operation."""
    from facula.trace.explain import explain as run

    return run()


def is_tensor(obj: object) -> bool:
    """Whether the object is a tensor."""
    return isinstance(obj, Tensor)


def _a_tensor(name: str, x: Any) -> Any:
    if not isinstance(x, Tensor) and not hasattr(type(x), "__torch_function__"):
        raise TypeError(f"{name}(): argument 'input' must be Tensor, not {type(x).__name__}")
    return x


def is_floating_point(input: Tensor) -> bool:
    """Whether the tensor's dtype is a real floating-point type."""
    return _a_tensor("is_floating_point", input).is_floating_point()


def is_complex(input: Tensor) -> bool:
    """Whether the tensor's dtype is complex."""
    return _a_tensor("is_complex", input).is_complex()


def numel(input: Tensor) -> int:
    """The number of elements."""
    return _a_tensor("numel", input).numel()


def result_type(*operands: Any, **named: Any) -> dtype:
    """The dtype of an operation on two tensors or numbers.

    By name they are `tensor` and `other`, `scalar` and `tensor`, or `scalar1` and `scalar2`.
    """
    wrong = [n for n in named if n not in ("tensor", "other", "scalar", "scalar1", "scalar2")]
    if wrong or len(operands) + len(named) != 2:
        from facula.errors import describe

        words = ", ".join([*map(describe, operands), *named])
        raise TypeError(f"result_type(): expected two tensors or numbers, got ({words})")
    return promotion.result_type(*operands, *named.values())


def set_num_threads(n: int) -> None:
    """Run compiled programs on n threads."""
    from facula.cpu import runtime

    if isinstance(n, Tensor):
        raise RuntimeError("set_num_threads expects an int, but got Tensor")
    runtime.set_num_threads(n)


def get_num_threads() -> int:
    """How many threads run compiled programs: as many as there are processors, unless
    `OMP_NUM_THREADS` or `set_num_threads` says otherwise."""
    from facula.cpu import runtime

    return runtime.get_num_threads()


def __getattr__(name: str) -> Any:
    if name == "torch":  # PyTorch's package has a name for itself
        return importlib.import_module("facula")
    if name in _names.SUBMODULES:
        try:
            return importlib.import_module("facula." + name)
        except ModuleNotFoundError as err:
            if err.name != "facula." + name:
                raise
    if name in _names.HOME:
        return getattr(importlib.import_module(_names.HOME[name]), name)
    if _later.load(name) and name in _FUNCTIONS:
        _attach()
        return _FUNCTIONS[name]
    from facula.errors import missing_name

    raise missing_name(__name__, name)


__all__ = [
    "Size",
    "Tensor",
    "can_cast",
    "device",
    "dtype",
    "enable_grad",
    "explain",
    "finfo",
    "get_default_dtype",
    "get_num_threads",
    "iinfo",
    "inference_mode",
    "is_complex",
    "is_floating_point",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "is_tensor",
    "no_grad",
    "numel",
    "promote_types",
    "result_type",
    "set_default_dtype",
    "set_grad_enabled",
    "set_num_threads",
    "synchronize",
]
__all__.extend(sorted(_FUNCTIONS))
