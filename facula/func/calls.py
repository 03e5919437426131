"""Calls that have rules of their own for batches.

Some look at their indices when they are called: picking from a batch is picking with one index
more, which counts along the batch. Others make tensors that are to be batches like their operand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import facula
from facula.batches import batched, is_batched, level_of, repeated
from facula.in_place import check_in_place, replace
from facula.ops.assignment import fit, put_at, value_like
from facula.ops.indices import getitem
from facula.ops.table import public
from facula.tensor import Tensor
from facula.tensor_base import wrap_dim

_MASKS = (facula.bool, facula.uint8)


def rule_for(f: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The result of a call that needs a rule here; NotImplemented for other calls."""
    name = f.__name__
    if name in _LIKE:
        t = args[0] if args else kwargs.get("input")
        return _like(f, t, args[1:], kwargs) if is_batched(t) else NotImplemented
    rule = _RULES.get(name)
    if rule is not None:
        return rule(*args, **kwargs)
    base = _RULES.get(name[:-1]) if name[-1] == "_" else None
    if base is None:
        return NotImplemented
    made = base(*args, **kwargs)
    if made is NotImplemented:
        return made
    check_in_place(args[0], name)
    return replace(args[0], made, name)


class _Index:
    """An index of a tensor of which some items are batched, for the physical tensor."""

    def __init__(self, t: Any, index: Any, operands: tuple[Any, ...]) -> None:
        self.level = level = level_of(operands)
        self.size = next(
            o._physical.node.shape[0] for o in operands if is_batched(o) and o._level == level
        )
        items = list(index) if isinstance(index, (tuple, list)) else [index]
        items = [facula.as_tensor(i) if isinstance(i, (list, np.ndarray)) else i for i in items]
        if not any([i is Ellipsis for i in items]):
            items.append(Ellipsis)
        picks = [isinstance(i, Tensor) and self._picks(i) for i in items]
        ranks = [self._rank(i) for i, p in zip(items, picks) if p]
        self.rank = max(ranks)
        free = len(t.node.shape) - sum([self._width(i) for i in items])
        kept, runs = 0, []
        for k, i in enumerate(items):
            if i is Ellipsis:
                kept, free = kept + free, 0
            elif i is None or isinstance(i, slice):
                kept += 1
            elif picks[k]:
                runs.append(kept)
            if is_batched(i) and i._level == level:
                size, *rest = i._physical.node.shape
                items[k] = i._physical.reshape((size, *[1] * (self.rank - len(rest)), *rest))
        # How many dimensions of the result come before those that are picked.
        self.before = runs[0] if len(set(runs)) == 1 else 0
        first = facula.arange(self.size).reshape((self.size, *[1] * self.rank))
        self.items = (first, *items)

    @staticmethod
    def _picks(i: Any) -> bool:
        if i.node.dtype not in _MASKS:
            return bool(i.node.shape) or is_batched(i)
        if is_batched(i):
            raise RuntimeError(
                "vmap: it looks like you're indexing with a mask that differs along the batch. "
                "Operators whose result's shape depends on data can't be batched: use where"
            )
        return True

    @staticmethod
    def _rank(i: Any) -> int:
        return 1 if i.node.dtype in _MASKS else len(i.node.shape)

    @staticmethod
    def _width(i: Any) -> int:
        if i is None or i is Ellipsis or isinstance(i, bool):
            return 0
        return len(i.node.shape) if isinstance(i, Tensor) and i.node.dtype in _MASKS else 1

    def out(self, t: Any) -> Any:
        """What was picked, its dimensions where they belong."""
        k, n = self.rank + 1, self.before
        if n:
            t = t.permute((0, *range(k, k + n), *range(1, k), *range(k + n, t.dim())))
        return batched(t, self.level)

    def into(self, t: Any) -> Any:
        """The inverse: a batch of values in the order in which they are picked."""
        k, n = self.rank, self.before
        if n:
            t = t.permute(
                (0, *range(n + 1, n + 1 + k), *range(1, n + 1), *range(n + 1 + k, t.dim()))
            )
        return t

    def of(self, t: Any) -> Any:
        """The tensor as a batch."""
        return t._physical if is_batched(t) and t._level == self.level else repeated(t, self.size)

    def shape(self, t: Any) -> Any:
        """The shape of what is picked from an element of the batch."""
        return self.out(getitem(self.of(t.detach()), self.items)).node.shape


def _items(index: Any) -> list[Any]:
    return [i for i in (index if isinstance(index, (tuple, list)) else (index,)) if is_batched(i)]


def _get(self: Any, index: Any) -> Any:
    found = _items(index)
    if not found:
        return NotImplemented
    i = _Index(self, index, (self, *found))
    return i.out(getitem(i.of(self), i.items))


_put_at = public(put_at)  # which may meet another batch in its turn


def _put(self: Any, index: Any, value: Any, accumulate: bool = False) -> Any:
    found = _items(index)
    if not found:
        return NotImplemented
    i = _Index(self, index, (self, *found, value))
    new = i.into(i.of(fit(value_like(value, self), i.shape(self))))
    return batched(_put_at(i.of(self), tuple(i.items), new, accumulate), i.level)


def _set(self: Any, index: Any, value: Any) -> Any:
    if is_batched(index) and index.node.dtype is facula.bool:
        return self.masked_fill_(_over(index, self), value)  # it takes no more than one value
    new = _put(self, index, value)
    if new is NotImplemented:
        return new
    check_in_place(self, "__setitem__")
    return replace(self, new, "__setitem__")


def _over(mask: Any, t: Any) -> Any:
    """A mask of the first dimensions of a tensor as one that broadcasts."""
    return mask.reshape((*mask.shape, *[1] * (t.dim() - mask.dim())))


def _along(input: Any, dim: int, index: Any) -> Any:
    """The index that picks slices of a dimension."""
    d = wrap_dim(dim, len(input.node.shape))
    return (*[slice(None)] * d, index.reshape(-1))


def _select(input: Any, dim: int, index: Any) -> Any:
    if not is_batched(index):
        return NotImplemented
    if not input.node.shape:
        return input.clone()
    return _get(input, _along(input, dim, index))


def _update(accumulate: bool) -> Callable[..., Any]:
    def update(input: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Any:
        if not is_batched(index) or not input.node.shape:
            return NotImplemented
        source = source * alpha if alpha != 1 else source
        return _put(input, _along(input, dim, index), source, accumulate)

    return update


def _fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    if not is_batched(index) or not input.node.shape:
        if is_batched(value) and not value.node.shape:
            marked = facula.zeros(input.shape, dtype=facula.bool).index_fill(dim, index, True)
            return facula.where(marked, value.to(input.dtype), input)
        return NotImplemented
    return _put(input, _along(input, dim, index), value)


def _as_strided(input: Any, size: Any, stride: Any, storage_offset: Any = None) -> Any:
    """Offsets are those of the batch, as in PyTorch."""
    if not is_batched(input):
        return NotImplemented
    p = input._physical
    shape, strides = (p.shape[0], *size), (p.stride(0), *stride)
    return batched(facula.as_strided(p, shape, strides, storage_offset), input._level)


_LIKE = {
    *("empty_like", "full_like", "ones_like", "zeros_like"),
    *("new_empty", "new_full", "new_ones", "new_zeros"),
}


def _like(f: Any, t: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """New tensors for each element, which may be written to."""
    p = t._physical
    kwargs = {k: v for k, v in kwargs.items() if k != "input"}
    if f.__name__.startswith("new_"):
        if "size" in kwargs:
            kwargs["size"] = (p.shape[0], *kwargs["size"])
        elif isinstance(args[0], (tuple, list)):
            args = ((p.shape[0], *args[0]), *args[1:])
        else:
            args = ((p.shape[0], *args),)
    return batched(f(p, *args, **kwargs), t._level)


_RULES: dict[str, Callable[..., Any]] = {
    "as_strided": _as_strided,
    "__getitem__": _get,
    "index_add": _update(True),
    "index_copy": _update(False),
    "index_fill": _fill,
    "index_put": _put,
    "index_select": _select,
    "put_at": _put,
    "__setitem__": _set,
}
