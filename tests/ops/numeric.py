"""Derivatives against central differences, first and second order, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import facula as torch


def _flat(out: Any) -> list[Any]:
    return list(out) if isinstance(out, (tuple, list)) else [out]


def _scalar(f: Callable[..., Any], *ts: Any) -> Any:
    """A fixed function of all floating-point results, so that one number has all derivatives."""
    total = torch.zeros((), dtype=torch.float64)
    for o in _flat(f(*ts)):
        if o.is_complex():
            o = torch.view_as_real(o)
        if o.is_floating_point():
            w = torch.linspace(0.5, 1.5, max(o.numel(), 1), dtype=torch.float64)[: o.numel()]
            total = total + (o.reshape(-1) * w).sum() + (o * o).sum() * 0.3
    return total


def check_gradients(
    f: Callable[..., Any], *arrays: Any, second: bool = True, step: float = 1e-5, tol: float = 1e-5
) -> None:
    """Assert that f's gradients (and those of a function of them) are those of its values."""
    arrays = tuple([np.asarray(a, np.float64) for a in arrays])

    def gradients(g: Callable[..., Any], values: tuple[Any, ...], graph: bool = False) -> Any:
        ts = [torch.tensor(v, requires_grad=True) for v in values]
        return torch.autograd.grad(g(*ts), ts, create_graph=graph, allow_unused=True), ts

    def compare(g: Callable[..., Any]) -> None:
        got, _ = gradients(g, arrays)
        for k, a in enumerate(arrays):
            want = np.zeros_like(a)
            for i in np.ndindex(*a.shape):
                ends = []
                for sign in (1, -1):
                    moved = [x.copy() for x in arrays]
                    moved[k][i] += sign * step
                    ends.append(g(*[torch.tensor(m, requires_grad=True) for m in moved]).item())
                want[i] = (ends[0] - ends[1]) / (2 * step)
            have = np.zeros_like(a) if got[k] is None else got[k].detach().numpy()
            np.testing.assert_allclose(have, want, rtol=tol, atol=tol * max(1, np.abs(want).max()))

    def value(*ts: Any) -> Any:
        return _scalar(f, *ts)

    def of_gradient(*ts: Any) -> Any:
        gs = torch.autograd.grad(value(*ts), ts, create_graph=True, allow_unused=True)
        return _scalar(lambda: [g for g in gs if g is not None])

    compare(value)
    if second:
        compare(of_gradient)
