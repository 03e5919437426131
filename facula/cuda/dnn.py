"""Convolutions by cuDNN, where it is installed; `windows.py` has kernels for where it is not.

Called through ctypes, by the functions that have stayed the same since its first versions: a graph
of operations for each convolution, which newer functions want, could fuse what follows, and nothing
else. Algorithms are those that cuDNN itself proposes for the shapes, of which the first that gives
the same bits each time is taken; nothing is tried out, so a program computes the same in each run.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import POINTER, byref, c_double, c_float, c_int, c_size_t, c_void_p
from math import prod
from typing import Any

from facula.backends import cudnn as switches
from facula.compiler.cluster import kind_of
from facula.compiler.layout import Place
from facula.cuda import driver, libraries
from facula.cuda.cores import copied
from facula.trace.node import Node, contiguous_strides

_state: dict[str, Any] = {}
_possible: dict[Any, bool] = {}  # what cuDNN was asked before
NAMES = {"conv": "Forward", "conv_input": "BackwardData", "conv_weight": "BackwardFilter"}
_P, _INTS = c_void_p, POINTER(c_int)
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cudnnCreate": (_P,),
    "cudnnSetStream": (_P, _P),
    "cudnnSetTensorNdDescriptor": (_P, c_int, c_int, _INTS, _INTS),
    "cudnnSetFilterNdDescriptor": (_P, c_int, c_int, c_int, _INTS),
    "cudnnSetConvolutionNdDescriptor": (_P, c_int, _INTS, _INTS, _INTS, c_int, c_int),
    "cudnnSetConvolutionGroupCount": (_P, c_int),
    "cudnnSetConvolutionMathType": (_P, c_int),
}
for _name in ("Tensor", "Filter", "Convolution"):
    _SIGNATURES[f"cudnnCreate{_name}Descriptor"] = (_P,)
    _SIGNATURES[f"cudnnDestroy{_name}Descriptor"] = (_P,)
for _name in NAMES.values():
    _SIGNATURES[f"cudnnGetConvolution{_name}Algorithm_v7"] = (*(_P,) * 5, c_int, _P, _P)
    _SIGNATURES[f"cudnnConvolution{_name}"] = (*(_P,) * 7, c_int, _P, c_size_t, *(_P,) * 3)
TF32, NARROW, EXACT = 0, 1, 3  # cuDNN's default math, tensor cores, multiply-adds in the dtype
KINDS = {"f32": 0, "f64": 1, "f16": 2, "bf16": 9}  # as cuDNN counts them
MOST = 10  # algorithms that are asked for
ALIGN = 256  # of the workspace


class _Performance(ctypes.Structure):
    """What cuDNN says of an algorithm."""

    _fields_ = (
        ("algorithm", c_int),
        ("status", c_int),
        ("time", c_float),
        ("memory", c_size_t),
        ("determinism", c_int),
        ("math", c_int),
        ("reserved", c_int * 3),
    )


def library() -> tuple[Any, Any]:
    """The library and its handle. NoDeviceError where it is not installed."""
    if "handle" not in _state:
        lib = libraries.open_library("cudnn")
        for name, types in _SIGNATURES.items():
            f = getattr(lib, name)
            f.argtypes, f.restype = types, c_int
        handle = c_void_p()
        code = lib.cudnnCreate(byref(handle))
        if code:
            raise RuntimeError(f"CUDA error: cudnnCreate failed with status {code}")
        lib.cudnnSetStream(handle, driver.get().stream)
        _state["library"], _state["handle"] = lib, handle
    return _state["library"], _state["handle"]


def is_available() -> bool:
    """Whether the library is there."""
    return libraries.has_library("cudnn")


def version() -> int:
    """The library's version, such as 92801."""
    return int(libraries.open_library("cudnn").cudnnGetVersion())


def usable() -> bool:
    """Whether convolutions are computed by it."""
    return bool(switches.enabled) and is_available()


def settings() -> tuple[bool, bool]:
    """The switches that decide how a program computes: whether by cuDNN, and in TF32."""
    return switches.enabled, switches.allow_tf32


class Refused(Exception):
    """cuDNN has no way to compute this convolution that gives the same bits each time."""


class Convolve:
    """One convolution, or one of its gradients: descriptors, and the algorithm for them."""

    __slots__ = (
        *("algorithm", "args", "call", "made", "memory", "name", "narrow", "number", "order"),
        "room",
    )

    def __init__(self, n: Node, args: list[Any], shapes: Any, room: dict[Any, int]) -> None:
        """shapes: of the images, of the weights, and of what the images are folded to."""
        self.made: list[tuple[Any, Any]] = []  # descriptors with what gives them back
        lib, handle = library()
        self.name = n.op.name
        self.call = getattr(lib, f"cudnnConvolution{NAMES[self.name]}")
        self.args, self.room = [*args, ("buffer", n, 0)], room
        kind = KINDS[kind_of(n) or ""]
        wide = int(kind == 1)  # what it is computed in
        self.number = (c_float, c_double)[wide]
        self.narrow = kind > 1
        d = len(n.shape) - 2
        stride, padding, dilation = [[*n.params[j * d : (j + 1) * d]] for j in range(3)]
        large, weights, small = [[*s] for s in shapes]
        if d == 1:  # cuDNN has images and volumes
            stride, padding, dilation = [1, *stride], [0, *padding], [1, *dilation]
            large, weights, small = [[*s[:2], 1, *s[2:]] for s in (large, weights, small)]
        a, b = self._tensor(kind, large), self._tensor(kind, small)
        w = self._descriptor("Filter", "Nd", kind, 0, len(weights), _ints(weights))
        lengths = [_ints(s) for s in (padding, stride, dilation)]
        how = self._descriptor("Convolution", "Nd", len(stride), *lengths, 1, wide)
        _allowed(lib.cudnnSetConvolutionGroupCount(how, n.params[3 * d]))
        math = NARROW if kind > 1 else TF32 if switches.allow_tf32 else EXACT
        _allowed(lib.cudnnSetConvolutionMathType(how, math))
        orders = {"conv": (a, w, how, b), "conv_input": (w, b, how, a)}
        self.order = orders.get(self.name, (a, b, how, w))
        found = self._chosen(lib, handle)
        _allowed(lib.cudnnSetConvolutionMathType(how, found.math))
        self.algorithm, self.memory = found.algorithm, found.memory
        if self.memory:
            self.args.append(("workspace", n, 0))
            self.room = {**room, ("workspace", n): self.memory + ALIGN}

    def _descriptor(self, what: str, form: str, *values: Any) -> Any:
        lib, _ = library()
        made = c_void_p()
        _allowed(getattr(lib, f"cudnnCreate{what}Descriptor")(byref(made)))
        self.made.append((getattr(lib, f"cudnnDestroy{what}Descriptor"), made))
        _allowed(getattr(lib, f"cudnnSet{what}{form}Descriptor")(made, *values))
        return made

    def _tensor(self, kind: int, shape: list[int]) -> Any:
        steps = contiguous_strides(tuple(shape))
        return self._descriptor("Tensor", "Nd", kind, len(shape), _ints(shape), _ints(steps))

    def _chosen(self, lib: Any, handle: Any) -> Any:
        """The first algorithm of those proposed that is possible and has no chance in it."""
        found, count = (_Performance * MOST)(), c_int()
        ask = getattr(lib, f"cudnnGetConvolution{NAMES[self.name]}Algorithm_v7")
        _allowed(ask(handle, *self.order, MOST, byref(count), found))
        for f in found[: count.value]:
            exact = self.narrow or f.math in (TF32, EXACT)
            if f.status == 0 and f.determinism == 1 and (exact or switches.allow_tf32):
                return f
        raise Refused

    def __del__(self) -> None:
        for destroy, made in self.made:
            destroy(made)

    def bound(self) -> Any:
        """A function of the addresses that queues it: two operands, the result, the workspace."""
        _, handle = library()
        first, second, how, made = self.order
        one, zero = self.number(1), self.number(0)
        swapped = self.name == "conv_input"

        def run(a: int, b: int, out: int, room: int = 0) -> None:
            if swapped:
                a, b = b, a
            code = self.call(
                *(handle, byref(one), first, a, second, b, how, self.algorithm),
                *(-(-room // ALIGN) * ALIGN, self.memory, byref(zero), made, out),
            )
            if code:
                name = f"cudnnConvolution{NAMES[self.name]}"
                raise RuntimeError(f"CUDA error: {name} failed with status {code}")

        return run


def _allowed(code: int) -> None:
    if code:
        raise Refused


def _ints(values: Sequence[int]) -> Any:
    return (c_int * len(values))(*values)


def launches(low: Any, n: Node, operands: list[Place]) -> list[Any] | None:
    """What computes a convolution or one of its gradients; None: not cuDNN."""
    if not _small(n):
        return None
    out: list[Any] = []
    args: list[Any] = []
    room: dict[Any, int] = {}
    for which, p in enumerate(operands):
        if p.strides == contiguous_strides(p.shape):
            args.append(("buffer", p.base, p.offset))
            continue
        what = f"operand{which}"
        copy = copied(p, n, what)
        out.append(copy)
        args.append((what, n, 0))
        room |= copy.room
    try:
        made = Convolve(n, args, _sides(n), room)
    except Refused:
        return None
    return [*out, made]


def _small(n: Node) -> bool:
    sizes = [prod(x.shape) for x in (n, *n.inputs)]
    return usable() and max(sizes) < 1 << 31


def _sides(n: Node) -> Any:
    a, b = [i.shape for i in n.inputs]
    sides = {"conv": (a, b, n.shape), "conv_input": (n.shape, b, a)}
    return sides.get(n.op.name, (a, n.shape, b))


def possible(n: Node) -> bool:
    """Whether cuDNN computes this convolution, of operands of one kind, as it is."""
    kind = kind_of(n)
    if kind not in KINDS or any([kind_of(i) != kind for i in n.inputs]):
        return False
    key = (n.op.name, kind, n.params, *_sides(n), settings())
    if key not in _possible:
        try:
            _possible[key] = _small(n) and bool(Convolve(n, [], _sides(n), {}))
        except Refused:
            _possible[key] = False
    return _possible[key]


__all__ = ["NAMES", "Convolve", "is_available", "launches", "possible", "settings", "usable"]
__all__ += ["version"]
