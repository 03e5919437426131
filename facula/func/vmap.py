"""`vmap`: a function of one element as a function of a batch.

Source: https://docs.pytorch.org/docs/stable/generated/torch.func.vmap.html
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import facula
from facula.batches import ACTIVE, BatchedTensor, Level, batched, lowered
from facula.func.calls import rule_for
from facula.ops.movement import ALIAS
from facula.ops.table import enter_mode, leave_mode
from facula.tensor import Tensor
from facula.utils._pytree import tree_flatten, tree_unflatten
from facula.views import make_view


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """A function that calls `func` once for a whole batch, where `func` is written for one element.

    `in_dims` says along which dimension each argument is mapped (None: not at all), as a number or
    a structure like that of the arguments; `out_dims` where the results' batch dimension is to be.
    `randomness`: 'error', 'same' (one draw for all) or 'different'. With `chunk_size` that many
    elements are done at a time.
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(
            "Only allowed values for randomness are 'error', 'different', or 'same'. Got "
            f"{randomness}"
        )
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        size, dims, leaves, spec = _process_batched_inputs(in_dims, args, func)

        def part(some: list[Any], n: int) -> Any:
            return _run(func, some, spec, dims, n, out_dims, randomness, kwargs)

        if chunk_size is None or chunk_size >= size:
            return part(leaves, size)
        parts = []
        for start in range(0, size, chunk_size):
            n = min(chunk_size, size - start)
            some = [t if d is None else t.narrow(d, start, n) for t, d in zip(leaves, dims)]
            parts.append(part(some, n))
        return _Call(func, in_dims, out_dims).joined(parts)

    return wrapped


# The three steps below have the names of those in PyTorch's `torch._functorch.vmap`, which is this
# module: tensordict puts its own in their place, which know its dictionaries of tensors.


def _process_batched_inputs(
    in_dims: Any, args: Any, func: Any
) -> tuple[int, list[Any], list[Any], Any]:
    """The batch's size, the mapped dimension of each argument, the arguments flat, their
    structure."""
    leaves, spec, dims, size = _Call(func, in_dims, 0).arguments(args)
    return size, dims, leaves, spec


def _create_batched_inputs(dims: Any, leaves: Any, level: int, spec: Any) -> Any:
    """The arguments that the function sees."""
    wrapped = [
        t if d is None else batched(t.movedim(d, 0) if d else t, level)
        for t, d in zip(leaves, dims)
    ]
    return tree_unflatten(wrapped, spec)


def _unwrap_batched(out: Any, out_dims: Any, level: int, size: int, func: Any) -> Any:
    """The results with the batch as a dimension."""
    return _Call(func, ..., out_dims).results(out, level, size)


def _run(
    func: Any, leaves: Any, spec: Any, dims: Any, size: int, out_dims: Any, randomness: str,
    kwargs: Any,
) -> Any:  # fmt: skip
    """Call the function on one batch."""
    level = Level(size, randomness)
    args = _create_batched_inputs(dims, leaves, level.number, spec)
    entered = False
    try:
        ACTIVE.levels += (level,)
        enter_mode(rule_for)
        entered = True
        out = func(*args, **kwargs)
    finally:
        try:
            if entered:
                leave_mode(rule_for)
        finally:
            if level in ACTIVE.levels:
                ACTIVE.levels.remove(level)
    results, out_spec = tree_flatten(_unwrap_batched(out, out_dims, level.number, size, func))
    own = {id(t) for t in leaves}  # what is returned as it came is a view of it
    return tree_unflatten(
        [make_view(t, ALIAS, ()) if id(t) in own else t for t in results], out_spec
    )


class _Call:
    """The settings of one vmap, for its checks and their messages."""

    def __init__(self, func: Any, in_dims: Any, out_dims: Any) -> None:
        self.func, self.in_dims, self.out_dims = func, in_dims, out_dims
        of = getattr(func, "__name__", repr(func))
        self.name = f"vmap({of}, ...)" if in_dims is ... else f"vmap({of}, in_dims={in_dims}, ...)"

    def _bad(self, what: str) -> ValueError:
        return ValueError(f"{self.name}(<inputs>): {what}")

    def arguments(self, args: Any) -> tuple[list[Any], Any, list[Any], int]:
        """The arguments flat, their structure, the mapped dimension of each, and its size."""
        if not isinstance(self.in_dims, (int, tuple)):
            raise self._bad(
                "expected `in_dims` to be int or a (potentially nested) tuple matching the "
                f"structure of inputs, got: {type(self.in_dims)}."
            )
        if not args:
            raise self._bad(
                "got no inputs. Maybe you forgot to add inputs, or you are trying to vmap over a "
                "function with no inputs. The latter is unsupported."
            )
        leaves, spec = tree_flatten(args)  # keyword arguments are not mapped
        dims = spread(self.in_dims, spec)
        if dims is None:
            raise self._bad(
                "in_dims is not compatible with the structure of `inputs`. in_dims has structure "
                f"{tree_flatten(self.in_dims)[1]} but inputs has structure {spec}."
            )
        dims = [self._dim(t, d) for t, d in zip(leaves, dims)]
        sizes = [t.shape[d] for t, d in zip(leaves, dims) if d is not None]
        if not sizes:
            raise self._bad("requires at least one Tensor with an in_dim that is not None")
        if len(set(sizes)) > 1:
            raise ValueError(
                "vmap: Expected all tensors to have the same size in the mapped dimension, got "
                f"sizes {sizes} for the mapped dimension"
            )
        return leaves, spec, dims, sizes[0]

    def _dim(self, t: Any, d: Any) -> Any:
        if d is None:
            return None
        if not isinstance(d, int):
            raise self._bad(
                f"Got in_dim={d} for an input but in_dim must be either an integer dimension or "
                "None."
            )
        if not isinstance(t, Tensor):
            raise self._bad(
                f"Got in_dim={d} for an input but the input is of type {type(t)}. We cannot vmap "
                "over non-Tensor arguments, please use None as the respective in_dim"
            )
        if not -t.dim() <= d < t.dim():
            raise self._bad(
                f"Got in_dim={d} for some input, but that input is a Tensor of dimensionality "
                f"{t.dim()} so expected in_dim to satisfy -{t.dim()} <= in_dim < {t.dim()}."
            )
        return d % t.dim()

    def results(self, out: Any, level: int, size: int) -> Any:
        """What the function gave, with the batch as a dimension."""
        results, out_spec = tree_flatten(out)
        places = self._places(results, out_spec)
        made = [self._result(t, d, level, size) for t, d in zip(results, places)]
        return tree_unflatten(made, out_spec)

    def _places(self, results: list[Any], spec: Any) -> list[Any]:
        for t in results:
            if not isinstance(t, Tensor):
                raise ValueError(
                    f"{self.name}: `{getattr(self.func, '__name__', self.func)}` must only return "
                    f"Tensors, got type {type(t)}."
                )
        dims = self.out_dims
        if spec.is_leaf() and isinstance(dims, tuple) and len(dims) == 1:
            dims = dims[0]
        places = spread(dims, spec)
        if places is None or any([not isinstance(d, (int, type(None))) for d in places]):
            raise ValueError(
                f"{self.name}: out_dims={self.out_dims} is not compatible with the structure of "
                f"outputs: they have structure {spec}"
            )
        return places

    def _result(self, t: Any, d: Any, level: int, size: int) -> Any:
        if d is None:
            if isinstance(t, BatchedTensor) and _has(t, level):
                raise ValueError(
                    f"{self.name}: `{getattr(self.func, '__name__', self.func)}` can not return a "
                    "BatchedTensor when out_dim is None"
                )
            return t
        t = lowered(t, level, size)
        rank = t.dim()
        if not -rank <= d < rank:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [{-rank}, {rank - 1}], but "
                f"got {d})"
            )
        return t.movedim(0, d) if d % rank else t

    def joined(self, parts: list[Any]) -> Any:
        """The results of all chunks as one."""
        flat = [tree_flatten(p) for p in parts]
        spec = flat[0][1]
        places = self._places(flat[0][0], spec)
        columns = zip(*[leaves for leaves, _ in flat])
        made = [c[0] if d is None else facula.cat(list(c), d) for c, d in zip(columns, places)]
        return tree_unflatten(made, spec)


def _has(t: Any, level: int) -> bool:
    while isinstance(t, BatchedTensor):
        if t._level == level:
            return True
        t = t._physical
    return False


def spread(prefix: Any, spec: Any) -> list[Any] | None:
    """Something for each leaf of a structure, from a structure that may end earlier; None where
    they do not fit."""
    kind = type(prefix)
    if kind not in (tuple, list, dict):
        return [prefix] * spec.num_leaves
    if spec.type is not kind or len(prefix) != len(spec.children_specs):
        return None
    if kind is dict and list(prefix) != spec.context:
        return None
    out: list[Any] = []
    for p, child in zip(prefix.values() if kind is dict else prefix, spec.children_specs):
        found = spread(p, child)
        if found is None:
            return None
        out.extend(found)
    return out


# ---- PyTorch's names for parts of the above


def _get_name(func: Any) -> str:
    """A function's name for messages."""
    return func.__name__ if hasattr(func, "__name__") else repr(func)


def _broadcast_to_and_flatten(tree: Any, spec: Any, is_leaf: Any = None) -> Any:
    """`spread`, under its name in PyTorch."""
    return spread(tree, spec)


def _add_batch_dim(t: Any, in_dim: int, level: int) -> Any:
    """The batch that a tensor holds along a dimension."""
    return batched(t.movedim(in_dim, 0), level)


def _remove_batch_dim(t: Any, level: int, batch_size: int, out_dim: int) -> Any:
    """The tensor with its batch of a level as a dimension; it is repeated if it has none."""
    return lowered(t, level, batch_size).movedim(0, out_dim)


def _validate_and_get_batch_size(flat_in_dims: Any, flat_args: Any) -> int:
    """The common size of the mapped dimensions."""
    sizes = [t.size(d) for d, t in zip(flat_in_dims, flat_args) if d is not None]
    if not sizes:
        raise ValueError("vmap: Expected at least one Tensor to vmap over")
    if any([n != sizes[0] for n in sizes]):
        raise ValueError(
            "vmap: Expected all tensors to have the same size in the mapped dimension, got "
            f"sizes {sizes} for the mapped dimension"
        )
    return sizes[0]


def _maybe_remove_batch_dim(
    name: str, batched_output: Any, vmap_level: int, batch_size: int, out_dim: Any
) -> Any:
    """One result with the batch as a dimension."""
    if out_dim is None:
        if isinstance(batched_output, BatchedTensor) and _has(batched_output, vmap_level):
            raise ValueError(
                f"vmap({name}, ...): `{name}` can not return a BatchedTensor when out_dim is None"
            )
        return batched_output
    if not isinstance(batched_output, Tensor):
        raise ValueError(
            f"vmap({name}, ...): `{name}` must only return Tensors, got type "
            f"{type(batched_output)}. Did you mean to set out_dims= to None for output?"
        )
    return _remove_batch_dim(batched_output, vmap_level, batch_size, out_dim)
