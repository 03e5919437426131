"""Arrays in the memory of the device, and the pool that their memory comes from.

All work is queued in one stream, so memory that an array gives back can be handed out again at
once: what reads it was queued before what will write it. The pool keeps what it was given, by
size, and gives out the lowest address; a loop therefore soon gets the same addresses again and
again, which is what lets its graph be replayed. (With the youngest on top they went round in
cycles of dozens of steps.)
"""

from __future__ import annotations

import math
from heapq import heappop, heappush
from typing import Any

import numpy as np

from facula.cuda import driver
from facula.trace.node import Node, contiguous_strides

SMALL = 512  # sizes are multiples of this
LARGE = 1 << 20  # above, of this


class Pool:
    """Memory of the device, by size."""

    def __init__(self) -> None:
        self.free: dict[int, list[int]] = {}
        self.used = self.held = self.most_used = self.most_held = 0

    @staticmethod
    def rounded(nbytes: int) -> int:
        """The size of the block that so many bytes are given."""
        step = SMALL if nbytes <= LARGE else LARGE
        return max(-(-nbytes // step) * step, SMALL)

    def take(self, size: int) -> int:
        """The address of a block of a rounded size."""
        blocks = self.free.get(size)
        if blocks:
            address = heappop(blocks)
        else:
            address = self._more(size)
            self.held += size
            self.most_held = max(self.most_held, self.held)
        self.used += size
        if self.used > self.most_used:
            self.most_used = self.used
        return address

    def _more(self, size: int) -> int:
        from facula import OutOfMemoryError

        device = driver.get()
        try:
            return int(device.allocate(size))
        except OutOfMemoryError:
            self.trim()  # what lies unused in other sizes
            return int(device.allocate(size))

    def give(self, address: int, size: int) -> None:
        """Take a block back."""
        self.used -= size
        heappush(self.free.setdefault(size, []), address)

    def trim(self) -> None:
        """Give what is not used back to the driver."""
        device = driver.get()
        device.synchronize()
        for size, blocks in self.free.items():
            for address in blocks:
                device.release(address)
                self.held -= size
        self.free.clear()


POOL = Pool()


class Block:
    """A block of the pool, for as long as an array lies in it."""

    __slots__ = ("address", "size")

    def __init__(self, nbytes: int, rounded: bool = False) -> None:
        self.address = 0  # while there is none: taking it may fail
        self.size = nbytes if rounded else POOL.rounded(nbytes)
        self.address = POOL.take(self.size)

    def __del__(self) -> None:
        if self.address:
            POOL.give(self.address, self.size)


class DeviceArray:
    """What a tensor of the device holds where one of the CPU holds a NumPy array.

    Shape, strides (in elements; None for row-major order) and the address of the first element.
    It has none of NumPy's functions: what would compute with it on the CPU raises.
    """

    __slots__ = ("address", "block", "dtype", "shape", "strides_")

    def __init__(
        self, shape: tuple[int, ...], dtype: Any, strides: Any, block: Any, address: int
    ) -> None:
        self.shape = shape
        self.dtype = dtype  # Facula's
        self.strides_ = strides
        self.block = block
        self.address = address

    @property
    def size(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """How many bytes these take, as they would lie side by side."""
        return self.size * self.dtype.itemsize

    def look(self, op: Any, params: Any) -> DeviceArray:
        """The array seen through a view operation."""
        seen = Node(None, self.shape, self.dtype, self.strides_)
        shape, dtype, strides, offset = op.infer(params, (), seen)
        at = self.address + offset * dtype.itemsize
        return DeviceArray(shape, dtype, strides, self.block, at)

    def computed(self, f: Any) -> DeviceArray:
        """What NumPy makes of the values, with the same strides."""
        return upload(f(self.download()), self.dtype, self.strides_)

    def duplicate(self) -> DeviceArray:
        """A copy with the same strides."""
        out = empty(self.shape, self.dtype, self.strides_)
        n = span(self.shape, self.strides_) * self.dtype.itemsize
        if n:
            driver.get().copy(out.address, self.address, n)
        return out

    def download(self) -> Any:
        """The values as a NumPy array."""
        return download(self)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(
            f"an operation that is computed by NumPy met a {self.dtype} tensor of shape "
            f"{list(self.shape)} on cuda: it has no CUDA kernel; use .cpu() to compute it there"
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotImplementedError(
            f"an operation that is computed by NumPy ('{name}') met a {self.dtype} tensor of shape "
            f"{list(self.shape)} on cuda: it has no CUDA kernel; use .cpu() to compute it there"
        )

    def __repr__(self) -> str:
        return f"<device array {self.dtype} {list(self.shape)} at {self.address:#x}>"


def span(shape: tuple[int, ...], strides: Any) -> int:
    """Elements from the first to the last, both counted."""
    if 0 in shape:
        return 0
    if strides is None:
        return math.prod(shape)
    return 1 + sum([(n - 1) * s for n, s in zip(shape, strides, strict=True)])


def empty(shape: tuple[int, ...], dtype: Any, strides: Any = None) -> DeviceArray:
    """An array whose elements are anything."""
    block = Block(span(shape, strides) * dtype.itemsize)
    return DeviceArray(shape, dtype, strides, block, block.address)


def upload(a: Any, dtype: Any, strides: Any = None) -> DeviceArray:
    """A copy on the device of a NumPy array that has these strides."""
    if strides is None:
        a = np.asarray(a, order="C")
    out = empty(a.shape, dtype, strides)
    nbytes = span(a.shape, strides) * dtype.itemsize
    if nbytes:
        driver.get().upload(out.address, a.ctypes.data, nbytes)
    return out


def download(a: DeviceArray) -> Any:
    """A copy on the CPU, with the same strides."""
    n = span(a.shape, a.strides_)
    flat = np.empty(n, a.dtype.np)
    if n:
        driver.get().download(flat.ctypes.data, a.address, flat.nbytes)
    from facula.cuda import status

    status.check()
    if a.strides_ is None:
        return flat.reshape(a.shape)
    steps = tuple([s * flat.itemsize for s in a.strides_])
    return np.lib.stride_tricks.as_strided(flat, a.shape, steps)


def steps(a: DeviceArray) -> tuple[int, ...]:
    """The strides of an array, in elements."""
    return contiguous_strides(a.shape) if a.strides_ is None else a.strides_


__all__ = ["POOL", "Block", "DeviceArray", "download", "empty", "span", "steps", "upload"]
