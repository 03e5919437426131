"""The few names of PyTorch's C++ module that Python libraries ask for."""

from __future__ import annotations

import contextlib
import enum
import importlib
from typing import Any

from facula.errors import honest, refuse
from facula.ops import table
from facula.switches import get_default_device
from facula.tensor import Tensor
from facula.tensor_base import Size, TensorBase

_TensorMeta = type(Tensor)
__all__ = ["Size", "TensorBase"]


class DispatchKey(enum.IntFlag):
    """The kinds of kernels that libraries name; Facula has one kind, and chooses among none."""

    CPU = 1
    AutocastCPU = 2
    AutocastCUDA = 4
    AutocastXPU = 8


DispatchKeySet = DispatchKey


class PyTorchFileReader:
    """PyTorch's reader of archives, which libraries name in annotations: can't be made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        refuse("torch.PyTorchFileReader", "files are read by torch.load in Facula")


class _Script:
    """A part of TorchScript's programs, which libraries name in annotations: none is made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        refuse(f"torch._C.{type(self).__name__}", "there is no TorchScript in Facula")


class Graph(_Script):
    """A program."""


class Node(_Script):
    """An operation of a program."""


class Value(_Script):
    """A result of an operation in a program."""


class ScriptMethod(_Script):
    """A method of a module in TorchScript."""


class ScriptObject(_Script):
    """An object of a class of TorchScript."""


class TensorType:
    """TorchScript's type of tensors, which libraries name in annotations."""

    @classmethod
    def get(cls) -> TensorType:
        """The type of any tensor."""
        return cls()

    def __repr__(self) -> str:
        return "Tensor"


class DeviceObjType(TensorType):
    """TorchScript's type of devices."""

    def __repr__(self) -> str:
        return "Device"


def _ExcludeDispatchKeyGuard(keys: Any) -> contextlib.AbstractContextManager[None]:
    """Leave out kinds of kernels inside a block: there is one kind."""
    return contextlib.nullcontext()


def DisableTorchFunctionSubclass() -> contextlib.AbstractContextManager[None]:
    """Leave out `__torch_function__` of subclasses inside a block."""
    return table.without_subclasses(keep_modes=True)


def DisableTorchFunction() -> contextlib.AbstractContextManager[None]:
    """Leave out `__torch_function__` of subclasses and of modes inside a block."""
    return table.without_subclasses(keep_modes=False)


_disabled_torch_function_impl = table.untouched


def _set_grad_enabled(enabled: bool) -> None:
    """Record gradients from now on, or don't."""
    from facula.trace.recorder import set_grad

    set_grad(enabled)


def _get_tracing_state() -> None:
    """The state of TorchScript's tracer: None, there is none."""


def _log_api_usage_once(*args: Any) -> None:
    """Nothing is reported."""


def _is_tracing() -> bool:
    return False


def _is_torch_function_mode_enabled() -> bool:
    """Whether some mode is offered every call."""
    return bool(table.MODES)


def _are_functorch_transforms_active() -> bool:
    """Whether `vmap` is calling; derivatives of `torch.func` follow plain tensors here."""
    from facula.batches import ACTIVE

    return bool(ACTIVE.levels)


def _is_alias_of(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are views of one memory."""
    return a.untyped_storage()._cdata == b.untyped_storage()._cdata


def _get_default_device() -> str:
    """The kind of device that new tensors are on."""
    return get_default_device().type


def _cuda_isCurrentStreamCapturing() -> bool:
    return False


# How TorchScript optimises, which libraries set when they are imported: there are no scripts.
_SCRIPTS = {"executor": True, "mode": True}


def _jit_set_profiling_executor(on: bool) -> bool:
    """Note the setting, and return what it was; it steers nothing."""
    before, _SCRIPTS["executor"] = _SCRIPTS["executor"], bool(on)
    return before


def _jit_set_profiling_mode(on: bool) -> bool:
    """Note the setting, and return what it was; it steers nothing."""
    before, _SCRIPTS["mode"] = _SCRIPTS["mode"], bool(on)
    return before


def _jit_override_can_fuse_on_cpu(on: bool) -> None:
    """Steers nothing."""


_jit_override_can_fuse_on_gpu = _jit_set_texpr_fuser_enabled = _jit_override_can_fuse_on_cpu

_missing = honest(__name__)


def __getattr__(name: str) -> Any:
    if name in ("_functorch", "_nn"):
        return importlib.import_module(f"{__name__}.{name}")
    return _missing(name)
