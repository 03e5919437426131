"""Gradients of a module's parameters for each sample of a batch.

Source: https://github.com/pytorch/pytorch/blob/main/torch/nn/utils/_per_sample_grad.py
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from facula.errors import honest
from facula.func import functional_call, vmap
from facula.nn import Module
from facula.tensor import Tensor
from facula.utils._pytree import tree_flatten, tree_unflatten

__all__ = ["call_for_per_sample_grads"]


def call_for_per_sample_grads(
    module: Module,
    *,
    batch_size: int | None = None,
    loss_reduction: str = "sum",
    batch_first: bool = True,
) -> Callable[..., Any]:
    """The module as a function whose backward pass gives `grad_sample` to its parameters.

    Each parameter that requires grad has a gradient of shape ``(batch_size, *parameter.shape)``
    there, and none in `grad`.

    Args:
        module: what is called; its samples have nothing to do with each other.
        batch_size: by default the first dimension (or second) of the tensors it is called with.
        loss_reduction: "mean" multiplies by the batch's size, as the loss will have divided by it.
        batch_first: whether samples lie along dimension 0 of the arguments and results, or 1.

    Raises RuntimeError for other arguments, and where a parameter has a `grad_sample` already.
    """
    if not isinstance(module, Module):
        raise RuntimeError(f"Module passed must be nn.Module, got {type(module).__name__}")
    if not (batch_size is None or isinstance(batch_size, int)):
        raise RuntimeError(
            f"Batch size passed must be None or an integer, got {type(batch_size).__name__}"
        )
    if batch_size is not None and batch_size < 1:
        raise RuntimeError(f"Batch size must be positive, got {batch_size}")
    if loss_reduction not in ("sum", "mean"):
        raise RuntimeError(
            "Expected loss_reduction argument to be sum or mean, got "
            f"{loss_reduction if isinstance(loss_reduction, str) else type(loss_reduction)}"
        )
    for p in module.parameters():
        if getattr(p, "grad_sample", None) is not None:
            raise RuntimeError(
                "call_for_per_sample_grads: clear the grad_sample of every parameter first (of "
                f"shape {list(p.shape)})"
            )
    along = 0 if batch_first else 1

    @functools.wraps(module.forward)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        leaves, spec = tree_flatten((args, kwargs))
        size = _size(leaves, along) if batch_size is None else batch_size
        state = {
            n: _copies(p, size, loss_reduction == "mean")
            for n, p in module.named_parameters()
            if p.requires_grad
        }

        def sample(copies: Any, leaves: Any) -> Any:
            leaves = [t.unsqueeze(along) if isinstance(t, Tensor) else t for t in leaves]
            args, kwargs = tree_unflatten(leaves, spec)
            out, form = tree_flatten(functional_call(module, copies, args, kwargs))
            return tree_unflatten([t.squeeze(along) for t in out], form)

        dims = [along if isinstance(t, Tensor) else None for t in leaves]
        f = vmap(sample, in_dims=(0, dims), out_dims=along, randomness="different")
        return f(state, leaves)

    return wrapper


def _size(leaves: list[Any], along: int) -> int:
    sizes = {t.shape[along] for t in leaves if isinstance(t, Tensor)}
    if len(sizes) != 1:
        raise RuntimeError(
            "call_for_per_sample_grads: unable to find a batch size: the tensors have "
            f"{sorted(sizes) or 'no'} sizes in dimension {along}; pass batch_size"
        )
    return sizes.pop()  # type: ignore[no-any-return]


def _copies(p: Any, size: int, mean: bool) -> Any:
    """A parameter once for each sample; its gradient is the parameter's `grad_sample`."""
    copies = p.detach().expand(size, *p.shape).requires_grad_()

    def arrived(g: Any) -> None:
        g = g.detach() * size if mean else g.detach()
        have = getattr(p, "grad_sample", None)
        p.grad_sample = g if have is None else have + g

    copies.register_hook(arrived)
    return copies


__getattr__ = honest(__name__)
