"""Nodes: what a tensor's value is, recorded or realised.

A *leaf* says that the tensor holds its buffer; leaves are interned, one for each layout. An *input*
is a tensor bound to a position of the trace. An *entry* is a recorded operation. Entries and inputs
persist: a loop that records the same trace again meets the same objects, so the follower compares
identities and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

LINE = 64  # bytes of a line of the caches
LARGE = 1 << 16  # bytes from which on it matters where an array begins

if TYPE_CHECKING:
    from facula.dtypes import dtype as Dtype


class Node:
    """One value. `strides` is None for a contiguous layout; `rg` is 'requires grad'.

    All attributes are set at once: a class with `__getattr__` is slow at every attribute.
    """

    __slots__ = (
        "a",
        "after",
        "alts",
        "aside",
        "b",
        "device",
        "dtype",
        "ends",
        "index",
        "inputs",
        "leaf",
        "names",
        "offset",
        "op",
        "params",
        "parent",
        "programs",
        "rec",
        "replays",
        "rg",
        "scalar_at",
        "shape",
        "spans",
        "steps",
        "stypes",
        "strides",
        "succ",
        "where",
    )

    def __init__(
        self,
        op: Any,
        shape: tuple[int, ...],
        dtype: Any,
        strides: tuple[int, ...] | None = None,
        offset: int = 0,
        rg: bool = False,
        device: Any = None,
    ) -> None:
        self.op = op
        self.device = device  # None: the CPU
        self.shape = shape
        self.dtype = dtype
        self.strides = strides
        self.offset = offset
        self.rg = rg
        self.a: Any = None
        self.b: Any = None
        self.alts: dict[Any, Any] | None = None  # the entries that have followed, if several have
        self.aside: Any = None  # how its value is computed beside the frame (aside.py)
        self.ends: Any = None  # between which numbers its values lie (bounds.py)
        self.leaf: Any = None  # what an input is bound to; the last leaf in an entry's place
        self.programs: dict[Any, Any] | None = None  # run when a frame ended here, by live results
        self.replays: dict[Any, Any] | None = None  # backward passes known to begin here
        self.spans: dict[Any, Any] | None = None  # known stretches that begin here (spans.py)
        self.steps: Any = None  # a call that is this entry and what follows it (ops/steady.py)
        self.where: tuple[Any, int] | None = None  # code and position that recorded it, or its line
        self.parent: Any = None
        self.rec: Any = None
        self.inputs: tuple[Any, ...] = ()
        self.names: tuple[Any, ...] = ()  # of the operands when it was recorded (`_entry`)
        self.params: Any = ()
        self.stypes: tuple[type, ...] = ()
        self.index = -1
        self.scalar_at = 0
        self.succ: Node = END
        self.after: Node = END  # what began the frame after one that ended here, last time

    @property
    def line(self) -> tuple[str, int] | None:
        """File and line that recorded the entry."""
        if self.where is None:
            return None
        code, at = self.where
        if code.__class__ is not str:  # looked up once: an entry is met in every round of a loop
            name, found = code.co_filename, code.co_firstlineno
            for begin, end, line in code.co_lines():
                if begin <= at < end and line is not None:
                    found = line
                    break
            self.where = name, found
        return self.where

    def __repr__(self) -> str:
        return f"<{self.op} {self.dtype} {list(self.shape)}{' grad' if self.rg else ''}>"


class Marker:
    """An `op` that is no operation."""

    __slots__ = ("name", "view")

    def __init__(self, name: str) -> None:
        self.name = name
        self.view = False

    def __repr__(self) -> str:
        return self.name


class Other(Marker):
    """The `op` of values that are not one array: sparse tensors, batches of a `vmap`.

    What would be recorded on them goes to `take(op, tensors, params, scalars)`, views of them to
    `look(tensor, op, params)`, and an in-place result to `store(holder, value)`. `inner(tensor)`
    has the same elements, in whatever shape. A public function that can't do with such values is
    called by `each(function, args, kwargs, error)`, where there is one.
    """

    __slots__ = ("each", "error", "inner", "look", "refusal", "store", "take")

    def __init__(
        self,
        name: str,
        take: Any,
        store: Any,
        refusal: str,
        look: Any = None,
        inner: Any = None,
        each: Any = None,
    ) -> None:
        super().__init__(name)
        self.take = take
        self.store = store
        self.refusal = refusal
        self.look = look or (lambda t, op, params: take(op, (t,), params, ()))
        self.inner = inner
        self.each = each
        self.error: type[Diverted] = Diverted  # what asking for the values raises


class Diverted(RuntimeError):
    """Met a value that is not one array. The recorder catches it and hands over to its kind."""

    def __init__(self, kind: Other, what: str = "") -> None:
        super().__init__(what or kind.refusal)
        self.kind = kind

    def __reduce__(self) -> Any:
        return RuntimeError, self.args


# Where nobody takes it over, users see PyTorch's exception.
Diverted.__name__ = Diverted.__qualname__ = "RuntimeError"
Diverted.__module__ = "builtins"


LEAF = Marker("leaf")
INPUT = Marker("input")
STALE = Marker("stale")
ROOT = Marker("root")
MODE = Marker("mode")
ASSIGN = Marker("assign")

END: Any = None
END = Node(Marker("end"), (), None)
END.succ = END.after = END

_leaves: dict[Any, Node] = {}
_stale: dict[Any, Node] = {}


def leaf(
    shape: tuple[int, ...],
    dtype: Dtype,
    strides: tuple[int, ...] | None = None,
    rg: bool = False,
    device: Any = None,
) -> Node:
    """The interned leaf of this layout, on this device (None: the CPU)."""
    key = (shape, dtype, strides, rg, device)
    found = _leaves.get(key)
    if found is None:
        if len(_leaves) > 100_000:  # a bound, for programs that meet ever new shapes
            _leaves.clear()
        found = _leaves[key] = Node(LEAF, shape, dtype, strides, rg=rg, device=device)
    return found


def stale(of: Node) -> Node:
    """The node of an alias whose storage has moved on: the layout without the value."""
    key = (of.shape, of.dtype, of.strides, of.rg, of.device)
    found = _stale.get(key)
    if found is None:
        if len(_stale) > 100_000:
            _stale.clear()
        found = _stale[key] = Node(
            STALE, of.shape, of.dtype, of.strides, rg=of.rg, device=of.device
        )
    return found


Pick = Callable[[Any], tuple[Any, ...]]


def pick(places: list[int]) -> Pick:
    """A function that picks what is at these places of a list or tuple, as a tuple or list."""
    return _pick(tuple(places))


@lru_cache(maxsize=4096)  # many have the same places
def _pick(places: tuple[int, ...]) -> Pick:
    if len(places) > 1:
        return itemgetter(*places)
    return itemgetter(slice(places[0], places[0] + 1) if places else slice(0, 0))


def contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides, in elements, of a row-major layout (a dimension of size 0 counts as 1)."""
    return _contiguous_strides(tuple(shape))


@lru_cache(maxsize=1 << 14)
def _contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    out = []
    step = 1
    for n in reversed(shape):
        out.append(step)
        step *= n or 1
    return tuple(reversed(out))


def is_constant(a: Any) -> bool:
    """Whether this is an array of one value that tensors share (`compiler/program.py`): all of an
    array that nobody can write to, seen as it is."""
    whole = a.base
    return (
        whole.__class__ is a.__class__
        and whole.base is None
        and not (whole.flags.writeable or a.flags.writeable)
        and (a.shape, a.strides) == (whole.shape, whole.strides)
    )


class Room(np.ndarray):
    """Bytes that one array has all to itself, which begins at a line of the caches in them."""


OWNED = {type(None), Room}  # the bases of arrays that are not a look at another


def empty(shape: tuple[int, ...], dtype: Any, strides: tuple[int, ...] | None = None) -> Any:
    """An array whose elements are anything, at a line of the caches: NumPy's large ones begin a
    quarter of one later, and each vector of a kernel is in two lines then. Strides in bytes."""
    count = np.dtype(dtype).itemsize
    for n in shape:
        count *= n
    room = np.ndarray.__new__(Room, (count + LINE,), np.uint8)
    return np.ndarray(shape, dtype, room, -room.__array_interface__["data"][0] % LINE, strides)


def astray(a: Any) -> bool:
    """Whether an array does not begin at a line of the caches."""
    return a.__array_interface__["data"][0] % LINE != 0


def placed(a: Any) -> Any:
    """A new array as it is, or where it is large a copy that begins at a line of the caches:
    kernels that read it, a parameter for long, would find each vector in two lines."""
    if a.nbytes < LARGE or not a.flags.c_contiguous or not astray(a):
        return a
    out = empty(a.shape, a.dtype)
    out[...] = a
    return out


def copied(a: Any) -> Any:
    """A copy of an array in its order of dimensions, which repeats what the array repeats."""
    if 0 not in a.strides:
        return a.copy(order="K")
    once = a[tuple([slice(None) if s else slice(1) for s in a.strides])].copy(order="K")
    strides = [own if s else 0 for own, s in zip(once.strides, a.strides, strict=True)]
    return laid(once, a.shape, tuple(strides))


def strided(a: Any, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0) -> Any:
    """A look at the memory of an array without gaps; strides and offset in bytes.

    What `as_strided` does for arrays of any layout takes nine times as long (2.9 us).
    """
    if 0 in shape:  # where it begins may be behind the end
        return np.empty(shape, a.dtype)
    return np.ndarray(shape, a.dtype, a, offset, strides)


def laid(a: Any, shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
    """A look at the memory of any array, strides in bytes: `as_strided`, which asks for a dtype
    by a name that NumPy lacks for float8_e5m2."""
    view = np.lib.stride_tricks.as_strided
    if a.itemsize == 1 and a.dtype.kind == "f":
        return view(a.view(np.uint8), shape, strides).view(a.dtype)
    return view(a, shape, strides)


def canonical(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[int, ...] | None:
    """None where the strides are those of a contiguous layout, the strides otherwise."""
    return None if strides == contiguous_strides(shape) else strides


def is_contiguous(shape: tuple[int, ...], strides: tuple[int, ...] | None) -> bool:
    """Row-major without gaps; strides of dimensions of size 1 are free."""
    if strides is None or 0 in shape:
        return True
    step = 1
    for n, s in zip(reversed(shape), reversed(strides), strict=True):
        if n != 1:
            if s != step:
                return False
            step *= n
    return True
