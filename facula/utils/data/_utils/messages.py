"""What a loader and its workers send each other: pickles, with arrays in shared memory.

A message is a pickle and the buffers of the arrays in it. On Linux, buffers of 32 KB and more in
all go into one block of shared memory that has no name: it is a file descriptor, and travels
through the socket. So nothing can be left behind, whoever dies when; the block is there as long as
an array in some process looks at it. Elsewhere, and below that size, the bytes go through the
socket too.
"""

from __future__ import annotations

import ctypes
import functools
import io
import mmap
import os
import pickle
import socket
import weakref
from typing import Any

import numpy as np

from facula import Tensor, dtypes
from facula.nn.parameter import Parameter
from facula.values import from_array, realise

SHARED_FROM = 1 << 15  # bytes; less than this is sent faster than it is mapped
SHARES = hasattr(os, "memfd_create")
_ALIGN = 64


class _Pickler(pickle.Pickler):
    """Pickles tensors as arrays, and leaves the bytes of arrays to the caller."""

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is Tensor or type(obj) is Parameter:
            return _reduce(obj)
        return NotImplemented


def _reduce(t: Any) -> Any:
    if not t.is_leaf:
        raise RuntimeError(
            f"a {t.dtype} tensor of shape {list(t.shape)} that requires grad and is no leaf can't "
            "be sent to another process, since autograd does not cross processes: return "
            "tensor.detach() from the dataset or collate_fn"
        )
    a: Any = np.ascontiguousarray(realise(t)._data)
    buffer = pickle.PickleBuffer(a.reshape(-1).view(np.uint8)) if a.size else None
    name = t.dtype._name
    return _rebuild, (buffer, name, tuple(t.shape), type(t) is Parameter, t.requires_grad)


def _rebuild(
    buffer: Any, name: str, shape: tuple[int, ...], parameter: bool, requires_grad: bool
) -> Any:
    d = dtypes.BY_NAME[name].np
    a = np.empty(shape, d) if buffer is None else np.frombuffer(buffer, d).reshape(shape)
    t = from_array(a)
    if parameter:
        return Parameter(t, requires_grad)
    return t.requires_grad_(requires_grad)


def dumps(message: Any) -> tuple[bytes, list[Any]]:
    """The pickle of a message, and the buffers that stand outside of it."""
    buffers: list[Any] = []
    out = io.BytesIO()
    _Pickler(out, 5, buffer_callback=lambda b: buffers.append(b.raw())).dump(message)
    return out.getvalue(), buffers


def _places(sizes: list[int]) -> tuple[list[int], int]:
    """Where buffers of these sizes begin in a block, and the size of the block."""
    at, starts = 0, []
    for size in sizes:
        starts.append(at)
        at += -(-size // _ALIGN) * _ALIGN
    return starts, at


def send(connection: Any, pickled: bytes, buffers: list[Any]) -> None:
    """Send what `dumps` gave; OSError if the other end is gone."""
    sizes = [b.nbytes for b in buffers]
    starts, total = _places(sizes)
    shared = SHARES and total >= max(SHARED_FROM, 1)
    envelope = pickle.dumps((shared, sizes, pickled))
    if not shared:
        connection.send_bytes(envelope)
        if buffers:
            block = bytearray(total)
            _fill(block, starts, buffers)
            connection.send_bytes(block)
        return
    fd = os.memfd_create("facula-batch", os.MFD_CLOEXEC)
    try:
        os.ftruncate(fd, total)
        with mmap.mmap(fd, total) as memory:
            _fill(memory, starts, buffers)
        connection.send_bytes(envelope)
        with socket.fromfd(connection.fileno(), socket.AF_UNIX, socket.SOCK_STREAM) as s:
            socket.send_fds(s, [b"."], [fd])
    finally:
        os.close(fd)


def _fill(block: Any, starts: list[int], buffers: list[Any]) -> None:
    for start, b in zip(starts, buffers):
        block[start : start + b.nbytes] = b


def receive(connection: Any) -> tuple[bytes, list[Any]]:
    """The next message as `dumps` gave it; EOFError or OSError if the other end is gone."""
    shared, sizes, pickled = pickle.loads(connection.recv_bytes())
    if not sizes:
        return pickled, []
    starts, total = _places(sizes)
    block: Any
    if shared:
        with socket.fromfd(connection.fileno(), socket.AF_UNIX, socket.SOCK_STREAM) as s:
            _, fds, _, _ = socket.recv_fds(s, 1, 1)
        if not fds:
            raise EOFError("the descriptor of the shared memory did not arrive")
        try:
            block = memoryview(_map(fds[0], total)).cast("B")
        finally:
            os.close(fds[0])
    else:
        block = bytearray(connection.recv_bytes())
    memory = memoryview(block)
    return pickled, [memory[a : a + size] for a, size in zip(starts, sizes)]


@functools.cache
def _libc() -> Any:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (
        *(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int),
        ctypes.c_long,
    )
    libc.munmap.argtypes = ctypes.c_void_p, ctypes.c_size_t
    return libc


def _map(fd: int, size: int) -> Any:
    """The shared memory of a descriptor, mapped for as long as something looks at it.

    Python's own `mmap` keeps the descriptor open (until 3.13 offers `trackfd`), and a program that
    collects a thousand batches would run out of them.
    """
    address = _libc().mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, fd, 0)
    if address == ctypes.c_void_p(-1).value:
        number = ctypes.get_errno()
        raise OSError(number, f"can't map {size} bytes of shared memory: {os.strerror(number)}")
    block = (ctypes.c_char * size).from_address(address)
    # Not at exit: arrays may outlive the finalizers, and the memory goes with the process.
    weakref.finalize(block, _libc().munmap, address, size).atexit = False
    return block


def loads(pickled: bytes, buffers: list[Any]) -> Any:
    """The message; its arrays look at the memory that was received."""
    return pickle.loads(pickled, buffers=buffers)
