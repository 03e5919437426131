"""Custom functions (`autograd.Function`) that meet batches.

A function says what it does with batches by its static method `vmap`, or lets its `forward` and
`backward` be called on batches (`generate_vmap_rule`).

Source: https://docs.pytorch.org/docs/stable/notes/extending.func.html
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from facula.autograd.function import Context, Function
from facula.batches import ACTIVE, BatchedTensor, Level, batched, lowered
from facula.func.vmap import _broadcast_to_and_flatten
from facula.tensor import Tensor
from facula.utils._pytree import tree_flatten, tree_unflatten


class VmapInfo(NamedTuple):
    """What a custom `vmap` is told of the batch."""

    batch_size: int
    randomness: str


def apply_batched(cls: Any, args: tuple[Any, ...], number: int) -> Any:
    """The function on arguments of which some are batches of this level."""
    level = next(v for v in ACTIVE.levels if v.number == number)
    leaves, spec = tree_flatten(args)
    mapped = [type(t) is BatchedTensor and t._level == number for t in leaves]
    inner = [t._physical if m else t for t, m in zip(leaves, mapped, strict=True)]
    own = cls.vmap is not Function.vmap
    if own and cls.generate_vmap_rule:
        raise RuntimeError(
            f"You tried to vmap over {cls.__name__}, but it has both generate_vmap_rule=True and "
            "an overriden vmap staticmethod. Please set generate_vmap_rule=False or delete the "
            "overriden vmap staticmethod to avoid ambiguity. For more details, please see "
            "https://pytorch.org/docs/main/notes/extending.func.html"
        )
    if own:
        with _without(level):
            out = cls.vmap(
                VmapInfo(level.size, level.randomness),
                tuple(tree_unflatten([0 if m else None for m in mapped], spec)),
                *tree_unflatten(inner, spec),
            )
        if not isinstance(out, tuple) or len(out) != 2:
            got = f"{len(out)} returns" if isinstance(out, tuple) else f"a {type(out)}"
            raise RuntimeError(
                f"{cls.__name__}: Expected the vmap staticmethod to have two returns, an output "
                f"and out_dims with pytree structure compatible with the output. Got {got} instead"
            )
        return _placed(*out, number)
    if not cls.generate_vmap_rule:
        raise RuntimeError(
            f"You tried to vmap over {cls.__name__}, but it does not have vmap support. Please "
            "override and implement the vmap staticmethod or set generate_vmap_rule=True. For more "
            "details, please see https://pytorch.org/docs/main/notes/extending.func.html"
        )
    rule = _generated(cls, level, spec, mapped)
    with _without(level):
        made = rule.apply(*inner)
    several = isinstance(made, tuple)
    found = [
        batched(t, number) if isinstance(t, Tensor) else t for t in (made if several else (made,))
    ]
    return tuple(found) if several else found[0]


@contextlib.contextmanager
def _without(level: Level) -> Iterator[None]:
    """Outside of this level of vmap, and of those inside of it."""
    before = ACTIVE.levels
    ACTIVE.levels = before[: before.index(level)]
    try:
        yield
    finally:
        ACTIVE.levels = before


@contextlib.contextmanager
def _within(level: Level) -> Iterator[None]:
    """Inside of this level again."""
    before = ACTIVE.levels
    ACTIVE.levels = [*before, level]
    try:
        yield
    finally:
        ACTIVE.levels = before


def _placed(made: Any, dims: Any, number: int) -> Any:
    """Results with their batch where a custom vmap says it is."""
    leaves, spec = tree_flatten(made)
    flat = _broadcast_to_and_flatten(dims, spec)
    if flat is None:
        raise RuntimeError(
            "The autograd.Function's vmap staticmethod returned an incompatible (output, out_dims) "
            f"tuple. Expected out_dims={dims} to be compatible with the structure of `output`, "
            f"which is {spec}. For more details, please see "
            "https://pytorch.org/docs/main/notes/extending.func.html"
        )
    return tree_unflatten(
        [
            t if d is None else batched(t.movedim(d, 0), number)
            for t, d in zip(leaves, flat, strict=True)
        ],
        spec,
    )


def _generated(cls: Any, level: Level, spec: Any, mapped: list[bool]) -> Any:
    """A function of physical tensors that calls this one's forward and backward on batches."""
    number, size = level.number, level.size

    class Generated(Function):
        generate_vmap_rule = True  # where vmaps are nested

        @staticmethod
        def forward(ctx: Any, *inner: Any) -> Any:
            ctx.inner = mine = Context()
            mine.needs_input_grad = ctx.needs_input_grad
            args = tree_unflatten(
                [batched(t, number) if m else t for t, m in zip(inner, mapped, strict=True)], spec
            )
            with _within(level):
                if cls.setup_context is Function.setup_context:
                    out = cls.forward(mine, *args)
                else:
                    out = cls.forward(*args)
                    cls.setup_context(mine, args, out)
            ctx.set_materialize_grads(mine.materialize_grads)
            several = isinstance(out, (tuple, list))
            outs = [_physical(t, number, size) for t in (out if several else (out,))]
            for name, marked in (
                ("_dirty", mine._dirty),
                ("_non_differentiable", mine._non_differentiable),
            ):
                setattr(ctx, name, tuple([_physical(t, number, size) for t in marked]))
            return tuple(outs) if several else outs[0]

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            given = [g if g is None else batched(g, number) for g in grads]
            with _within(level):
                found = cls.backward(ctx.inner, *given)
            found = found if isinstance(found, (tuple, list)) else (found,)
            out = []
            for g, m in zip(found, mapped, strict=True):
                if g is not None:
                    g = lowered(g, number, size)
                    g = g if m else g.sum(0)  # one operand for the whole batch
                out.append(g)
            return tuple(out)

    Generated.__name__ = Generated.__qualname__ = cls.__name__
    return Generated


def _physical(t: Any, number: int, size: int) -> Any:
    return lowered(t, number, size) if isinstance(t, Tensor) else t
