"""Batch normalisation (Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167)."""

from __future__ import annotations

from typing import Any

import facula
from facula import Tensor
from facula.trace.spans import run

from .. import functional as F
from .. import init
from ..parameter import Parameter, UninitializedBuffer, UninitializedParameter, is_lazy
from .lazy import LazyModuleMixin
from .module import Module, weight_and_bias

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "SyncBatchNorm",
]


def _count(tensors: Any, static: Any, numbers: Any) -> None:
    tensors[0].add_(1)


class _NormBase(Module):
    """Parameters and running statistics of batch and instance normalisation."""

    _version = 2

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device=None,
        dtype=None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        new = {"device": device, "dtype": dtype}
        if affine:
            self.weight = Parameter(facula.empty(num_features, **new))
            if bias:
                self.bias = Parameter(facula.empty(num_features, **new))
            else:
                self.register_parameter("bias", None)
        else:
            self.register_parameter("weight", None)
            self.register_parameter("bias", None)
        if track_running_stats:
            self.register_buffer("running_mean", facula.zeros(num_features, **new))
            self.register_buffer("running_var", facula.ones(num_features, **new))
            self.register_buffer(
                "num_batches_tracked", facula.tensor(0, dtype=facula.long, device=device)
            )
        else:
            self.register_buffer("running_mean", None)
            self.register_buffer("running_var", None)
            self.register_buffer("num_batches_tracked", None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget what has been seen: mean 0, variance 1."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Forget what has been seen; set scale to 1 and shift to 0."""
        self.reset_running_stats()
        if self.affine:
            init.ones_(self.weight)
            if self.bias is not None:
                init.zeros_(self.bias)

    def _check_input_dim(self, input: Tensor) -> None:
        raise NotImplementedError(f"{type(self).__name__} does not say which inputs it takes")

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
    ) -> None:
        # Before version 2 there was no count of batches.
        version = local_metadata.get("version", None)
        if (version is None or version < 2) and self.track_running_stats:
            key = prefix + "num_batches_tracked"
            if key not in state_dict:
                own = self.num_batches_tracked
                fresh = facula.tensor(0, dtype=facula.long)
                state_dict[key] = fresh if own is None else own
        super()._load_from_state_dict(
            state_dict,
            prefix,
            local_metadata,
            strict,
            missing_keys,
            unexpected_keys,
            error_msgs,
        )


class _BatchNorm(_NormBase):
    """Batch normalisation of inputs of any number of dimensions."""

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        momentum = 0.0 if self.momentum is None else self.momentum
        weight, bias = weight_and_bias(self)
        own = self._buffers
        try:
            mean, var, count = own["running_mean"], own["running_var"], own["num_batches_tracked"]
        except KeyError:  # assigned as something else
            mean, var, count = self.running_mean, self.running_var, self.num_batches_tracked
        if self.training and self.track_running_stats and count is not None:
            run(_count, (count,))
            if self.momentum is None:  # the plain average of all batches so far
                momentum = 1.0 / float(count)
        # Statistics of the batch itself: in training, and always if there are no others.
        from_batch = self.training or (mean is None and var is None)
        tracked = not self.training or self.track_running_stats
        return F.batch_norm(
            input,
            mean if tracked else None,
            var if tracked else None,
            weight,
            bias,
            from_batch,
            momentum,
            self.eps,
        )


class _LazyNormBase(LazyModuleMixin, _NormBase):
    """A normalisation with as many features as its first input has channels."""

    def __init__(
        self,
        eps=1e-5,
        momentum=0.1,
        affine=True,
        track_running_stats=True,
        device=None,
        dtype=None,
        *,
        bias=True,
    ) -> None:
        # Nothing is affine or tracked yet, so that the base class makes no tensors.
        super().__init__(0, eps, momentum, False, False)
        self.affine = affine
        self.track_running_stats = track_running_stats
        new = {"device": device, "dtype": dtype}
        if affine:
            self.weight = UninitializedParameter(**new)
            if bias:
                self.bias = UninitializedParameter(**new)
            else:
                self.register_parameter("bias", None)
        if track_running_stats:
            self.running_mean = UninitializedBuffer(**new)
            self.running_var = UninitializedBuffer(**new)
            self.num_batches_tracked = facula.tensor(0, dtype=facula.long, device=device)

    def reset_parameters(self) -> None:
        if not self.has_uninitialized_params() and self.num_features != 0:
            super().reset_parameters()

    def initialize_parameters(self, input: Tensor) -> None:
        if not self.has_uninitialized_params():
            return
        self.num_features = input.shape[1]
        size = (self.num_features,)
        if self.affine:
            self.weight.materialize(size)
            if self.bias is not None:
                self.bias.materialize(size)
        if self.track_running_stats:
            for buffer in (self.running_mean, self.running_var):
                if is_lazy(buffer):
                    buffer.materialize(size)
        self.reset_parameters()


class _For1d:
    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() not in (2, 3):
            raise ValueError(f"expected 2D or 3D input (got {input.dim()}D input)")


class _For2d:
    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() != 4:
            raise ValueError(f"expected 4D input (got {input.dim()}D input)")


class _For3d:
    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() != 5:
            raise ValueError(f"expected 5D input (got {input.dim()}D input)")


class BatchNorm1d(_For1d, _BatchNorm):
    """Normalises the channels of ``(N, C)`` or ``(N, C, L)`` over samples and positions.

    Args:
        num_features: the number of channels.
        eps: added to the variance.
        momentum: how much of each new batch enters the running statistics; None averages all.
        affine: whether to scale, and with ``bias`` also shift, by learned numbers.
        track_running_stats: whether to keep running statistics, which evaluation then uses.
    """


class BatchNorm2d(_For2d, _BatchNorm):
    """Like :class:`BatchNorm1d`, for ``(N, C, H, W)``."""


class BatchNorm3d(_For3d, _BatchNorm):
    """Like :class:`BatchNorm1d`, for ``(N, C, D, H, W)``."""


class LazyBatchNorm1d(_For1d, _LazyNormBase, _BatchNorm):
    """A :class:`BatchNorm1d` whose ``num_features`` is that of its first input."""

    cls_to_become = BatchNorm1d


class LazyBatchNorm2d(_For2d, _LazyNormBase, _BatchNorm):
    """A :class:`BatchNorm2d` whose ``num_features`` is that of its first input."""

    cls_to_become = BatchNorm2d


class LazyBatchNorm3d(_For3d, _LazyNormBase, _BatchNorm):
    """A :class:`BatchNorm3d` whose ``num_features`` is that of its first input."""

    cls_to_become = BatchNorm3d


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation over the batches of all processes, of which there is one in Facula."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group=None,
        device=None,
        dtype=None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )
        self.process_group = process_group

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least 2D input (got {input.dim()}D input)")

        if input.shape[1] == 0:
            raise ValueError("SyncBatchNorm number of input channels should be non-zero")

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group=None) -> Module:
        """Replace every batch normalisation in ``module`` by one over all processes."""
        converted = module
        if isinstance(module, _BatchNorm):
            converted = cls(
                module.num_features,
                module.eps,
                module.momentum,
                module.affine,
                module.track_running_stats,
                process_group,
                bias=module.bias is not None,
            )
            if module.affine:
                converted.weight, converted.bias = module.weight, module.bias
            converted.running_mean = module.running_mean
            converted.running_var = module.running_var
            converted.num_batches_tracked = module.num_batches_tracked
            converted.training = module.training
        for name, child in module.named_children():
            converted.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return converted
