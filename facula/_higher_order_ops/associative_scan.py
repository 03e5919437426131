"""Running results of an associative function of two values along a dimension.

Source: https://pytorch.org/docs/stable/higher_order_ops/associative_scan.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import facula
from facula.utils._pytree import tree_flatten, tree_unflatten

Leaves = list[Any]


def associative_scan(
    combine_fn: Callable[[Any, Any], Any],
    xs: Any,
    dim: int,
    reverse: bool = False,
    combine_mode: str = "pointwise",
) -> Any:
    """``combine_fn`` of all values up to each place of a dimension.

    Args:
        combine_fn: of two values, each a tensor or nested tensors as ``xs``; without side effects.
        xs: a tensor, or nested tensors of equal sizes in ``dim``.
        dim: the dimension.
        reverse: from the end.
        combine_mode: "generic"; "pointwise", which says that places do not meet, is for CUDA.
    """
    leaves, spec = tree_flatten(xs)
    if combine_mode not in ("pointwise", "generic"):
        raise ValueError(
            f"associative_scan(): combine_mode is 'pointwise' or 'generic', got {combine_mode!r}"
        )
    if not leaves:
        raise ValueError("associative_scan(): Expected at least 1 xs leaf")
    for t in leaves:
        if not isinstance(t, facula.Tensor):
            kind = type(t).__name__
            raise ValueError(f"associative_scan(): xs leaves must be tensors, got {kind}")
    if combine_mode == "pointwise" and any([t.device.type != "cuda" for t in leaves]):
        raise ValueError(
            "associative_scan(): For combine_mode='pointwise', all input tensors need to be on "
            f"CUDA, got {leaves[0].device}"
        )
    sizes = {t.movedim(dim, 0).shape[0] for t in leaves}
    if len(sizes) > 1:
        raise ValueError(f"associative_scan(): xs of different sizes in dim {dim}: {sorted(sizes)}")

    def combine(a: Leaves, b: Leaves) -> Leaves:
        got = combine_fn(tree_unflatten(a, spec), tree_unflatten(b, spec))
        return tree_flatten(got)[0]

    moved = [t.movedim(dim, 0) for t in leaves]
    if reverse:
        moved = [t.flip(0) for t in moved]
    done = [t.flip(0) for t in _scan(combine, moved)] if reverse else _scan(combine, moved)
    return tree_unflatten([t.movedim(0, dim) for t in done], spec)


def _scan(combine: Callable[[Leaves, Leaves], Leaves], xs: Leaves) -> Leaves:
    """The running results along the first dimension: those of pairs, and the places between."""
    n = xs[0].shape[0]
    if n < 2:
        return xs
    pairs = combine([t[: n - 1 : 2] for t in xs], [t[1::2] for t in xs])
    odd = _scan(combine, pairs)
    even = [t[:1] for t in xs]
    if n > 2:
        later = combine([t[: (n - 1) // 2] for t in odd], [t[2::2] for t in xs])
        even = [facula.cat([a, b]) for a, b in zip(even, later, strict=True)]
    return [_interleaved(a, b) for a, b in zip(even, odd, strict=True)]


def _interleaved(even: Any, odd: Any) -> Any:
    """The rows of two tensors in turn, the first of which may have one more."""
    m = odd.shape[0]
    both = facula.stack([even[:m], odd], 1).flatten(0, 1)
    return both if even.shape[0] == m else facula.cat([both, even[m:]])
