"""What all loss layers share: the reduction, and class weights kept as a buffer."""

from __future__ import annotations

from facula import Tensor

from ..functional._common import legacy_reduction
from .module import Module

__all__: list[str] = []


class _Loss(Module):
    """``reduction`` is ``"mean"``, ``"sum"`` or ``"none"``; the other two are deprecated."""

    def __init__(self, size_average=None, reduce=None, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = legacy_reduction(size_average, reduce, reduction)


class _WeightedLoss(_Loss):
    """A loss with ``weight``, a factor for each class."""

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average=None,
        reduce=None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)
