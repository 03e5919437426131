"""Memory that processes share: `x.share_memory_()`, and how such a tensor travels.

Memory that others may write at any time is what a NumPy array over a tensor's memory is too: it
is written at once and read anew by every step that is recorded. So all that is added here is where
the memory lies, and that it stays shared for as long as the tensor is there. A process that
receives the tensor maps the same pages.

Source: https://docs.pytorch.org/docs/stable/notes/multiprocessing.html
"""

from __future__ import annotations

from multiprocessing.heap import Arena
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np

from facula.nn.parameter import Parameter
from facula.ops.table import METHODS
from facula.sharing import with_bits
from facula.tensor import Tensor
from facula.trace.node import laid
from facula.trace.recorder import flush
from facula.unresolved import bits_of, place
from facula.values import from_array, in_use, move_memory, own_memory

__all__ = ["SharedMemory", "is_shared", "share_memory_"]


class SharedMemory:
    """Pages that processes share, and an array over them; stands where a tensor notes its readers.

    A tensor asks `_exported()` whether somebody else may look at its memory; here someone always
    may.
    """

    def __init__(self, arena: Arena, array: Any) -> None:
        self.arena = arena
        self.array = array

    def __call__(self) -> Any:
        return self.array


def _owner(t: Tensor) -> Any:
    return t if t._storage is None else t._storage


def is_shared(t: Tensor) -> bool:
    """Whether the tensor's memory is shared between processes."""
    return isinstance(_owner(t)._exported, SharedMemory)


def share_memory_(t: Tensor) -> Tensor:
    """Move the tensor's memory, and with it all its views, to where processes share it.

    What one process writes the others see, without any order but that of their own making.
    """
    if is_shared(t):
        return t
    owner = own_memory(t)
    if in_use(owner):
        flush()
        owner = own_memory(t)
    old = owner._data
    span = sum((n - 1) * s for n, s in zip(old.shape, old.strides, strict=True)) + old.itemsize
    arena = Arena(span if old.size else 1)
    new = _over(arena, old.dtype, old.shape, old.strides, 0)
    np.copyto(new, old)
    move_memory(owner, new)
    owner._exported = SharedMemory(arena, new)
    if owner is not t:
        owner.lent = True
    return t


def _over(arena: Arena, dtype: Any, shape: Any, strides: Any, offset: int) -> Any:
    """An array over shared pages; strides and offset are in bytes."""
    count = (len(arena.buffer) - offset) // dtype.itemsize if 0 not in shape else 0
    flat = np.frombuffer(arena.buffer, np.uint8, count * dtype.itemsize, offset).view(dtype)
    return laid(flat, shape, strides)


def _reduce(t: Tensor) -> Any:
    """What of a tensor is sent to another process: for shared memory, where it lies."""
    if not t.is_leaf:
        raise RuntimeError(
            "Cowardly refusing to serialize non-leaf tensor which requires_grad, since autograd "
            "does not support crossing process boundaries. To send the values, call detach() first"
        )
    if not is_shared(t):
        return t.__reduce_ex__(2)
    memory = _owner(t)._exported
    array = place(own_memory(t)._data, t._chain)
    pages = np.frombuffer(memory.arena.buffer, np.uint8)
    begin = array.ctypes.data - pages.ctypes.data if array.size else 0
    return _rebuild, (
        type(t),
        memory.arena,
        t.dtype,
        array.shape,
        array.strides,
        begin,
        t.requires_grad,
        bits_of(t),
    )


def _rebuild(
    cls: type,
    arena: Arena,
    dtype: Any,
    shape: Any,
    strides: Any,
    begin: int,
    rg: bool,
    bits: tuple[bool, bool],
) -> Tensor:
    """The tensor again, in the process that received it."""
    array = _over(arena, dtype.np, shape, strides, begin)
    t = from_array(array, owned=False)
    t._exported = SharedMemory(arena, array)
    if any(bits):
        t = with_bits(t, *bits).detach()
    return t.requires_grad_(rg) if cls is Tensor else Parameter(t, rg)


for _cls in (Tensor, Parameter):
    ForkingPickler.register(_cls, _reduce)
METHODS.update(share_memory_=share_memory_, is_shared=is_shared)
