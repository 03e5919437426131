"""Types and marks for TorchScript, which programs import from where PyTorch keeps them."""

from __future__ import annotations

from typing import Any, Dict, Final, List, Optional, Tuple, TypeVar, Union  # noqa: UP035

from facula.errors import honest
from facula.futures import Future
from facula.jit import export, ignore, is_scripting, unused

_T = TypeVar("_T")
# One number, or a list of as many as the name says.
BroadcastingList1 = BroadcastingList2 = BroadcastingList3 = list
BroadcastingList4 = BroadcastingList5 = BroadcastingList6 = list

__all__ = ["Any", "Dict", "Final", "Future", "List", "Optional", "Tuple", "Union"]
__all__ += ["BroadcastingList1", "BroadcastingList2", "BroadcastingList3", "BroadcastingList4"]
__all__ += ["BroadcastingList5", "BroadcastingList6", "export", "ignore", "is_scripting", "unused"]


def _copy_to_script_wrapper(fn: _T) -> _T:
    """Mark a method that a script keeps: returns it."""
    return fn


__getattr__ = honest(__name__)
