"""Adaptive softmax (Grave et al. 2017, https://arxiv.org/abs/1609.04309)."""

from __future__ import annotations

from collections import namedtuple

import facula
from facula import Tensor

from .. import functional as F
from .container import ModuleList, Sequential
from .linear import Linear
from .module import Module

__all__ = ["AdaptiveLogSoftmaxWithLoss"]

_ASMoutput = namedtuple("_ASMoutput", ["output", "loss"])


class AdaptiveLogSoftmaxWithLoss(Module):
    """Softmax over many classes, sorted by frequency: the rare ones in smaller clusters.

    Args:
        in_features: width of the input.
        n_classes: how many classes.
        cutoffs: where each cluster begins.
        div_value: by how much the width of each cluster is smaller than that of the one before.
        head_bias: whether the first cluster has a bias.

    A call ``(input, target)`` returns the targets' log-probabilities and their mean, negated.
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs,
        div_value: float = 4.0,
        head_bias: bool = False,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__()
        cutoffs = list(cutoffs)
        if not cutoffs:
            raise ValueError("cutoffs should be a sequence of length larger than 0")
        increasing = cutoffs == sorted(set(cutoffs))
        if not increasing or min(cutoffs) <= 0 or max(cutoffs) > n_classes - 1:
            raise ValueError(
                "cutoffs should be a sequence of unique, positive integers sorted in an "
                "increasing order, where each value is between 1 and n_classes-1"
            )
        if any(int(c) != c for c in cutoffs):
            raise ValueError("cutoffs should be a sequence of integers")
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*cutoffs, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = self.cutoffs[0]
        self.n_clusters = len(self.cutoffs) - 1
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, head_bias, device, dtype)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            width = int(in_features // div_value ** (i + 1))
            size = self.cutoffs[i + 1] - self.cutoffs[i]
            self.tail.append(
                Sequential(
                    Linear(in_features, width, False, device, dtype),
                    Linear(width, size, False, device, dtype),
                )
            )

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        self.head.reset_parameters()
        for first, second in self.tail:
            first.reset_parameters()
            second.reset_parameters()

    def forward(self, input_: Tensor, target_: Tensor) -> _ASMoutput:
        """``input_`` ``(N, in)`` and ``target_`` ``(N)``, or both without ``N``."""
        if target_.dim() == 1:
            if input_.shape[0] != target_.shape[0]:
                raise RuntimeError(
                    "Input and target should have the same size in the batch dimension."
                )
            if input_.dim() != 2:
                raise RuntimeError(
                    "1D target tensor expects 2D input tensors, but found inputs with size "
                    f"{input_.size()}"
                )
        elif target_.dim() == 0:
            if input_.dim() != 1:
                raise RuntimeError(
                    "0D target tensor expects 1D input tensors, but found inputs with size "
                    f"{input_.size()}"
                )
        else:
            raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
        batched = target_.dim() > 0
        input = input_ if batched else input_.unsqueeze(0)
        target = target_ if batched else target_.unsqueeze(0)
        classes = target.tolist()
        if classes and not 0 <= min(classes) <= max(classes) < self.n_classes:
            raise RuntimeError(
                f"Target values should be in [0, {self.n_classes - 1}], but values in range "
                f"[{min(classes)}, {max(classes)}] were found. "
            )
        # Every sample first gets the log-probability of its cluster (or class) in the head; those
        # of the clusters then add that within their own, for the samples concerned only.
        head = F.log_softmax(self.head(input), dim=1)
        in_head = [self._head_place(c) for c in classes]
        output = head.gather(1, facula.tensor(in_head, device=input.device).unsqueeze(1))
        output = output.squeeze(1)
        for i, cluster in enumerate(self.tail):
            low, high = self.cutoffs[i], self.cutoffs[i + 1]
            rows = [row for row, c in enumerate(classes) if low <= c < high]
            if not rows:
                continue
            index = facula.tensor(rows, device=input.device)
            inside = target.index_select(0, index) - low
            scores = cluster(input.index_select(0, index))
            log_probs = F.log_softmax(scores, dim=1).gather(1, inside.unsqueeze(1)).squeeze(1)
            output = output.index_add(0, index, log_probs.to(output.dtype))
        loss = (-output).mean()
        return _ASMoutput(output if batched else output.squeeze(0), loss)

    def _head_place(self, c: int) -> int:
        if c < self.shortlist_size:
            return c
        return self.shortlist_size + sum(c >= cut for cut in self.cutoffs[1:])

    def log_prob(self, input: Tensor) -> Tensor:
        """Log-probabilities ``(N, n_classes)`` of all classes."""
        return self._full_log_prob(input, self.head(input))

    def _full_log_prob(self, input: Tensor, head_scores: Tensor) -> Tensor:
        head = F.log_softmax(head_scores, dim=1)
        parts = [head[:, : self.shortlist_size]]
        for i, cluster in enumerate(self.tail):
            inside = F.log_softmax(cluster(input), dim=1)
            parts.append(inside + head[:, self.shortlist_size + i].unsqueeze(1))
        return facula.cat(parts, 1)

    def predict(self, input: Tensor) -> Tensor:
        """The most probable class of every sample."""
        return self.log_prob(input).argmax(dim=1)
