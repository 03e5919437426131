"""SparseAdam: Adam for sparse gradients, which Facula does not have yet.

Source: https://pytorch.org/docs/stable/generated/torch.optim.SparseAdam.html
"""

from __future__ import annotations

from facula import Tensor
from facula.optim.optimizer import Optimizer, ParamsT


class SparseAdam(Optimizer):
    """Adam that updates only the rows with a gradient. Raises NotImplementedError."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        raise NotImplementedError(
            "optim.SparseAdam needs sparse gradients, which Facula does not have; "
            "use optim.Adam with a dense gradient (nn.Embedding(..., sparse=False))"
        )
