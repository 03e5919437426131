"""SparseAdam: Adam that moves only the rows which a sparse gradient has.

Source: https://pytorch.org/docs/stable/generated/torch.optim.SparseAdam.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import facula
from facula import Tensor
from facula.optim._options import check_at_least_0, check_betas, check_lr
from facula.optim.optimizer import Optimizer, ParamsT


class SparseAdam(Optimizer):
    """Adam for sparse gradients.

    `step` raises RuntimeError for a dense gradient (use Adam, with
    ``nn.Embedding(..., sparse=False)``). Raises ValueError for options out of range and for complex
    parameters.
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
        sparse_at = [
            [i, j]
            for i, group in enumerate(self.param_groups)
            for j, p in enumerate(group["params"])
            if p.is_sparse
        ]
        if sparse_at:
            raise ValueError(
                f"Sparse params at indices {sparse_at}: SparseAdam requires dense parameter tensors"
            )

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the rows that gradients have; parameters without a gradient are skipped."""
        loss = None
        if closure is not None:
            with facula.enable_grad():
                loss = closure()
        with facula.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    if not p.grad.is_sparse:
                        raise RuntimeError(
                            "SparseAdam does not support dense gradients, please consider Adam "
                            f"instead (the gradient of shape {tuple(p.grad.shape)} is dense)"
                        )
                    self._update_rows(group, p, p.grad.coalesce())
        return loss

    def _update_rows(self, group: dict[str, Any], p: Tensor, grad: Any) -> None:
        state = self.state[p]
        if not state:
            state.update(step=0, exp_avg=facula.zeros_like(p), exp_avg_sq=facula.zeros_like(p))
        state["step"] += 1
        first, second = group["betas"]
        values = -grad._values() if group["maximize"] else grad._values()
        moments = []
        for name, beta, new in (
            ("exp_avg", first, values),
            ("exp_avg_sq", second, values * values),
        ):
            old = state[name].sparse_mask(grad)._values()
            change = (new - old) * (1 - beta)
            state[name].add_(grad._with(change))
            moments.append(old + change)
        corrections = [1 - beta ** state["step"] for beta in (first, second)]
        rate = group["lr"] * corrections[1] ** 0.5 / corrections[0]
        move = moments[0] / (moments[1].sqrt() + group["eps"]) * -rate
        p.add_(grad._with(move))
