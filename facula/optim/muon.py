"""Muon: momentum whose matrices are made orthogonal.

    b  =  momentum * b + (1 - momentum) * g
    x  =  (1 - momentum) * g + momentum * b  if nesterov  else  b
    x  =  x / |x|;   ns_steps times:  A = x x',   x = a x + (b A + c A A) x
    p <-  (1 - lr * weight_decay) * p - lr * scale * x

The iteration (Newton and Schulz) runs in bfloat16 on the wide side of the matrix. `scale` is
sqrt(max(1, rows / columns)) or, for ``adjust_lr_fn="match_rms_adamw"``,
0.2 sqrt(max(rows, columns)).

Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024,
https://kellerjordan.github.io/posts/muon/; Liu et al., https://arxiv.org/abs/2502.16982;
https://pytorch.org/docs/stable/generated/torch.optim.Muon.html
"""

from __future__ import annotations

import math
from typing import Any

import facula
from facula import Tensor
from facula.optim._options import factor
from facula.optim._updates import approach
from facula.optim.optimizer import ParamsT, PerParameterOptimizer

_MAX_STEPS = 100


class Muon(PerParameterOptimizer):
    """Muon, for the matrices of a network; train the other parameters with another optimiser.

    State: `momentum_buffer` (b). Raises ValueError for parameters that are no matrices and for
    options out of range, RuntimeError for complex parameters.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError(f"Tensor lr must be 1-element, but has shape {tuple(lr.shape)}")
        if not lr >= 0.0:
            raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
        if not momentum >= 0.0:
            raise ValueError(f"momentum should be >= 0 but is: {momentum}")
        if not weight_decay >= 0.0:
            raise ValueError(f"weight decay should be >= 0 but is: {weight_decay}")
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for p in group["params"]:
                if p.dim() != 2:
                    raise ValueError(
                        "Muon only supports 2D parameters whereas we found a parameter with "
                        f"size: {p.shape}"
                    )

    def _initial_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        if p.is_complex():
            raise RuntimeError("Muon does not support complex parameters")
        return {"momentum_buffer": facula.zeros_like(p)}

    def _update(
        self, group: dict[str, Any], p: Tensor, grad: Tensor, state: dict[str, Any]
    ) -> None:
        lr, momentum, buffer = factor(group["lr"]), group["momentum"], state["momentum_buffer"]
        approach(buffer, grad, 1 - momentum)
        direction = grad + (buffer - grad) * momentum if group["nesterov"] else buffer
        update = _orthogonal(direction, group["ns_coefficients"], group["ns_steps"], group["eps"])
        rows, columns = p.shape
        if group["adjust_lr_fn"] == "match_rms_adamw":
            scale = 0.2 * math.sqrt(max(rows, columns))
        else:
            scale = math.sqrt(max(1, rows / columns))
        p *= 1 - lr * group["weight_decay"]
        p -= update.to(p.dtype) * (lr * scale)


def _orthogonal(
    matrix: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float
) -> Tensor:
    """About the orthogonal matrix nearest to `matrix` up to its scale, in bfloat16's precision."""
    if steps >= _MAX_STEPS:
        raise ValueError(
            f"Number of steps must be less than {_MAX_STEPS} for computational efficiency, "
            f"but is {steps}"
        )
    if len(coefficients) != 3:
        raise ValueError(f"Coefficients must be a tuple of exactly 3 values, but is {coefficients}")
    a, b, c = coefficients
    tall = matrix.shape[0] > matrix.shape[1]
    x = _round((matrix.t() if tall else matrix).float())
    x = _round(x / _round(x.norm()).clamp(min=eps))
    for _ in range(steps):
        gram = _round(x @ x.t())
        polynomial = _round(gram @ gram * c + gram * b)
        x = _round(polynomial @ x + x * a)
    return x.t() if tall else x


def _round(x: Tensor) -> Tensor:
    """float32 values rounded to bfloat16: sums and products within an operation stay exact to
    float32, as in a product of bfloat16 matrices."""
    return x.bfloat16().float()
