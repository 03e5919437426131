"""SparseAdam: Adam that moves only the rows which a sparse gradient has.

Facula has no sparse gradients, and dense ones are refused as in PyTorch, so what there is to do is
to check the options.

Source: https://pytorch.org/docs/stable/generated/torch.optim.SparseAdam.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import facula
from facula import Tensor
from facula.optim._options import check_at_least_0, check_betas, check_lr
from facula.optim.optimizer import Optimizer, ParamsT, refuse_sparse


class SparseAdam(Optimizer):
    """Adam for sparse gradients.

    `step` raises RuntimeError for a dense gradient (use Adam, with
    ``nn.Embedding(..., sparse=False)``) and NotImplementedError for a sparse one. Raises ValueError
    for options out of range and for complex parameters.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        check_lr(lr)
        check_at_least_0(eps=eps)
        check_betas(betas)
        defaults = {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize}
        super().__init__(params, defaults)
        complex_at = [
            [i, j]
            for i, group in enumerate(self.param_groups)
            for j, p in enumerate(group["params"])
            if p.is_complex()
        ]
        if complex_at:
            raise ValueError(
                f"Complex params at indices {complex_at}: SparseAdam does not support complex "
                "parameters"
            )

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Raise for every gradient there is; parameters without one are skipped."""
        loss = None
        if closure is not None:
            with facula.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                refuse_sparse(self, p.grad)
                raise RuntimeError(
                    "SparseAdam does not support dense gradients, please consider Adam instead "
                    f"(the gradient of shape {tuple(p.grad.shape)} is dense)"
                )
        return loss
