"""Batched tensors: what a function sees that `vmap` calls.

A `BatchedTensor` stands for many tensors of one shape: it has their common shape, and holds them in
a tensor with one dimension more in front (the physical one, which may be batched itself). What
would be recorded on it is recorded on the physical tensor, by the rules of `func/rules.py`. Views
are views of the physical tensor, so writes reach what was given to `vmap`.

Every call of `vmap` is a *level*. Levels are numbered in the order of the calls, and the tensor of
an inner call holds those of outer ones.
"""

from __future__ import annotations

import itertools
import threading
from typing import Any

from facula.ops.movement import EXPAND, PERMUTE
from facula.ops.table import PLAIN
from facula.tensor import Tensor
from facula.trace.node import STALE, Diverted, Node, Other, canonical
from facula.trace.recorder import record
from facula.writes import write

_REFUSAL = (
    "vmap: the values of a batched tensor can't be looked at: there is no operation whose result's "
    "shape, or whose way, depends on data that differs along the batch"
)
_LOOKS = (
    "vmap: It looks like you're calling .{}() on a Tensor. We don't support vmap over calling "
    ".{}() on a Tensor, please try to rewrite what you're doing with other operations."
)


class Level:
    """A call of `vmap` that is under way: its size, and what random numbers are to be."""

    __slots__ = ("number", "randomness", "size")

    def __init__(self, size: int, randomness: str) -> None:
        self.number = next(_numbers)
        self.size = size
        self.randomness = randomness


_numbers = itertools.count(1)


class _Active(threading.local):
    def __init__(self) -> None:
        self.levels: list[Level] = []


ACTIVE = _Active()


class BatchedTensor(Tensor):
    """Many tensors of one shape; `_physical` has them along its first dimension."""

    _physical: Any
    _level: int
    _known: Any = None  # the physical tensor's node, and the node made of it

    @property
    def node(self) -> Any:
        n = self._physical.node
        known = self._known
        if known is None or known[0] is not n or n.op is STALE:
            strides = None if n.strides is None else canonical(n.shape[1:], n.strides[1:])
            rg = self._physical.requires_grad
            known = self._known = (n, Node(BATCHED, n.shape[1:], n.dtype, strides, rg=rg))
        return known[1]

    @property
    def requires_grad(self) -> bool:
        return self._physical.requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        self._physical.requires_grad_(requires_grad)
        self._known = None
        return self

    @property
    def is_leaf(self) -> bool:
        return self._physical.is_leaf

    @property
    def _version(self) -> int:
        return self._physical._version

    def _edge(self) -> Any:
        return self._physical._edge()

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        inner = repr(self._physical).replace("\n", "\n    ")
        return f"BatchedTensor(lvl={self._level}, bdim=0, value=\n    {inner}\n)"

    def item(self) -> Any:
        raise Diverted(BATCHED, _LOOKS.format("item", "item"))

    def tolist(self) -> Any:
        raise Diverted(BATCHED, _LOOKS.format("tolist", "tolist"))

    def numpy(self, *, force: bool = False) -> Any:
        raise Diverted(BATCHED, _LOOKS.format("numpy", "numpy"))

    def __bool__(self) -> bool:
        raise Diverted(
            BATCHED,
            "vmap: It looks like you're attempting to use a Tensor in some data-dependent control "
            "flow (if, while, bool()). We don't support that: use torch.where",
        )

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise RuntimeError("a batched tensor of vmap can't be saved or copied to other processes")

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        raise RuntimeError("a batched tensor of vmap can't be copied with deepcopy; use clone()")


PLAIN.add(BatchedTensor)


def batched(physical: Any, level: int) -> Any:
    """The batch that a tensor holds along its first dimension."""
    t = object.__new__(BatchedTensor)
    t._physical, t._level = physical, level
    return t


def is_batched(t: Any) -> bool:
    """Whether it is a batch of some level."""
    return type(t) is BatchedTensor


def level_of(ts: Any) -> int:
    """The innermost level of which one of the tensors is a batch; 0 if there is none."""
    return max([t._level for t in ts if type(t) is BatchedTensor], default=0)


def swapped(t: Any) -> Any:
    """The tensor with its first two dimensions exchanged."""
    return record(PERMUTE, (t,), (1, 0, *range(2, len(t.node.shape))))


def repeated(t: Any, size: int) -> Any:
    """The tensor with a new first dimension along which it is the same everywhere."""
    return record(EXPAND, (t,), (size, *t.node.shape))


def lowered(t: Any, level: int, size: int) -> Any:
    """The tensor with its batch of a level as the first dimension."""
    if type(t) is not BatchedTensor or t._level < level:
        return repeated(t, size)
    if t._level == level:
        return t._physical
    return batched(swapped(lowered(t._physical, level, size)), t._level)


def raised(t: Any, level: int) -> Any:
    """The tensor with its first dimension as the batch of a level."""
    if type(t) is BatchedTensor and t._level > level:
        return batched(raised(swapped(t._physical), level), t._level)
    return batched(t, level)


def all_lowered(t: Any, levels: list[Level]) -> Any:
    """The tensor with its batches of these levels as dimensions, the outermost first."""
    for level in reversed(levels):
        t = lowered(t, level.number, level.size)
    return t


def all_raised(t: Any, levels: list[Level]) -> Any:
    """The inverse of `all_lowered`."""
    for level in levels:
        t = raised(t, level.number)
    return t


# ---- what the recorder asks


def _take(op: Any, ts: tuple[Any, ...], params: Any, scalars: tuple[Any, ...]) -> Any:
    from facula.func.rules import take

    return take(op, ts, params, scalars)


def _look(t: Any, op: Any, params: Any) -> Any:
    from facula.func.rules import look

    return look(t, op, params)


def _store(holder: Any, value: Any) -> None:
    level = holder._level if type(holder) is BatchedTensor else 0
    if level_of([value]) > level:
        raise RuntimeError(
            "vmap: inplace arithmetic(self, *extra_args) is not possible because there exists a "
            "Tensor `other` in extra_args that has more elements than `self`. This happened due to "
            "`other` being vmapped over but `self` not being vmapped over in a vmap: self is a "
            f"{holder.node.dtype} tensor of shape {list(holder.node.shape)}. Please try to use "
            "out-of-place operators instead of inplace arithmetic, or make self from a tensor that "
            "is mapped over (new_zeros, zeros_like)."
        )
    physical = holder._physical
    from facula.in_place import check_in_place

    check_in_place(physical, "vmap", False)
    if type(value) is BatchedTensor and value._level == level:
        write(physical, value._physical)
    else:
        write(physical, repeated(value, physical.node.shape[0]))
    holder._known = None


def _each(f: Any, args: Any, kwargs: Any, error: Diverted) -> Any:
    from facula.func.rules import element_by_element

    return element_by_element(f, args, kwargs, error)


BATCHED = Other("batched", _take, _store, _REFUSAL, _look, lambda t: t._physical, _each)


# ---- random numbers


def random_levels(ts: tuple[Any, ...] = ()) -> list[Level]:
    """The levels that get random numbers of their own. RuntimeError where none are allowed."""
    levels = ACTIVE.levels
    for level in levels:
        if level.randomness == "error":
            raise RuntimeError(
                "vmap: called random operation while in randomness error mode. Please either use "
                "the 'same' or 'different' randomness flags on vmap or perform the randomness "
                "operation out of vmap"
            )
        if level.randomness == "same":
            for t in ts:
                while type(t) is BatchedTensor:
                    if t._level == level.number:
                        raise RuntimeError(
                            "Vmap does not currently support same randomness with a batched tensor "
                            "input: the numbers depend on values that differ along the batch"
                        )
                    t = t._physical
    return [level for level in levels if level.randomness == "different"]
