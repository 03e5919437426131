"""Branches and loops as functions: the program is run as it stands.

Source: https://pytorch.org/docs/stable/cond.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from facula.tensor import Tensor


def cond(
    pred: Any,
    true_fn: Callable[..., Any],
    false_fn: Callable[..., Any],
    operands: tuple[Any, ...] | list[Any] = (),
) -> Any:
    """What `true_fn` makes of the operands where `pred` is true, else what `false_fn` does."""
    if not isinstance(pred, (bool, Tensor)):
        raise RuntimeError(f"Expected pred to be bool or tensor, but got {pred}.")
    if isinstance(pred, Tensor) and pred.numel() != 1:
        raise RuntimeError(f"Expected pred to be bool or single-element tensor, but got {pred}.")
    if not callable(true_fn) or not callable(false_fn):
        raise RuntimeError("Expect both branches to be callable.")
    if not isinstance(operands, (tuple, list)):
        raise RuntimeError(
            "Expect operands to be a tuple of possibly nested dict/list/tuple that only consists "
            f"of tensor leaves, but got {operands}."
        )
    return (true_fn if pred else false_fn)(*operands)


def while_loop(
    cond_fn: Callable[..., Any], body_fn: Callable[..., Any], carried_inputs: Any
) -> Any:
    """Replace the values by what `body_fn` makes of them as long as `cond_fn` says so."""
    values = tuple(carried_inputs)
    while cond_fn(*values):
        out = body_fn(*values)
        if not isinstance(out, (tuple, list)) or len(out) != len(values):
            raise RuntimeError(
                f"while_loop(): body_fn has to return {len(values)} values, as many as it takes"
            )
        values = tuple(out)
    return values
