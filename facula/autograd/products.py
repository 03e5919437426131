"""Products with the Jacobian of what is recorded, from either side.

Forward derivatives are taken through backward ones: the map from vectors u to the products u J is
linear, and its derivative along v is J v. What computes u J for the u that is differentiated is
never run, since nobody sees its values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import facula
from facula.autograd import calls, engine
from facula.autograd.edges import node_at
from facula.trace.recorder import TLS


def gradients(
    ys: Sequence[Any], xs: Sequence[Any], vs: Sequence[Any], *, keep: bool, create_graph: bool
) -> list[Any]:
    """The products of vectors with the Jacobian of ys by xs; None where nothing leads."""
    pairs = [(y, v) for y, v in zip(ys, vs, strict=True) if y is not None and y.requires_grad]
    if not pairs:
        return [None] * len(xs)
    tops, weights = zip(*pairs, strict=True)
    found = calls.grad(
        tops, xs, weights, keep or create_graph, create_graph=create_graph, allow_unused=True
    )
    return list(found)


def filled(found: Sequence[Any], like: Sequence[Any]) -> list[Any]:
    """Zeros in the place of what is None."""
    return [facula.zeros_like(x) if g is None else g for g, x in zip(found, like, strict=True)]


class PushForward:
    """The linear map of tangents of xs to tangents of ys, at the point where ys was recorded."""

    def __init__(self, ys: Sequence[Any], xs: Sequence[Any]) -> None:
        with facula.enable_grad():
            self.us = [
                facula.zeros_like(y, requires_grad=y.is_floating_point() or y.is_complex())
                for y in ys
            ]
            before, TLS.pushing = TLS.pushing, True
            try:
                self.back = gradients(ys, xs, self.us, keep=True, create_graph=True)
            finally:
                TLS.pushing = before

    def __call__(self, vs: Sequence[Any], *, create_graph: bool) -> list[Any]:
        """The tangents of ys; None where nothing leads."""
        at = [n for n, u in enumerate(self.us) if u.requires_grad]
        found = gradients(
            self.back, [self.us[n] for n in at], vs, keep=True, create_graph=create_graph
        )
        out: list[Any] = [None] * len(self.us)
        for n, t in zip(at, found, strict=True):
            out[n] = t
        return out


def basis(like: Sequence[Any]) -> list[Any]:
    """For each tensor its unit vectors, among those of all."""
    sizes = [t.numel() for t in like]
    total, at, out = sum(sizes), 0, []
    for t, n in zip(like, sizes, strict=True):
        part = facula.zeros((total, n), dtype=t.dtype, device=t.device)
        part[at : at + n] = facula.eye(n, dtype=t.dtype, device=t.device)
        out.append(part.reshape((total, *t.shape)))
        at += n
    return out


def pieces(t: Any, like: Sequence[Any]) -> list[Any]:
    """The rows of each tensor's unit vectors, in its shape."""
    parts = t.split([x.numel() for x in like])
    return [p.reshape((*x.shape, *t.shape[1:])) for p, x in zip(parts, like, strict=True)]


def reach(t: Any, xs: Sequence[Any]) -> bool:
    """Whether a tensor depends, by the graph, on one of these edges."""
    if not t.requires_grad:
        return False
    start = t._edge()
    return start in engine._wanted([start], {node_at(x) for x in xs})
