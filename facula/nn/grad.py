"""The two gradients of a convolution, as functions.

Source: https://github.com/pytorch/pytorch/blob/main/torch/nn/grad.py
"""

from __future__ import annotations

from typing import Any

import facula
from facula import Tensor
from facula.nn import functional

__all__ = [f"conv{n}d_{of}" for n in (1, 2, 3) for of in ("input", "weight")]


def _gradient(n: int, x: Tensor, weight: Tensor, grad_output: Tensor, of: int, *how: Any) -> Tensor:
    """The product of `grad_output` with the derivative by the input (0) or the weight (1)."""
    stride, padding, dilation, groups = how
    with facula.enable_grad():
        operands = [x, weight]
        operands[of] = operands[of].detach().requires_grad_()
        convolution = getattr(functional, f"conv{n}d")
        y = convolution(*operands, None, stride, padding, dilation, groups)
        again = facula.is_grad_enabled() and grad_output.requires_grad
        (g,) = facula.autograd.grad(y, operands[of], grad_output, create_graph=again)
    return g


def _functions(n: int) -> None:
    def conv_input(
        input_size: Any,
        weight: Tensor,
        grad_output: Tensor,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:
        x = weight.new_zeros(tuple(input_size))
        return _gradient(n, x, weight, grad_output, 0, stride, padding, dilation, groups)

    def conv_weight(
        input: Tensor,
        weight_size: Any,
        grad_output: Tensor,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:
        w = input.new_zeros(tuple(weight_size))
        return _gradient(n, input, w, grad_output, 1, stride, padding, dilation, groups)

    for of, f in (("input", conv_input), ("weight", conv_weight)):
        f.__name__ = f.__qualname__ = f"conv{n}d_{of}"
        f.__doc__ = f"The gradient of `conv{n}d` by its {of}."
        globals()[f.__name__] = f


for _n in (1, 2, 3):
    _functions(_n)
