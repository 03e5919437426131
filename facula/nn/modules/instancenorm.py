"""Instance normalisation (https://arxiv.org/abs/1607.08022)."""

from __future__ import annotations

import warnings

from facula import Tensor

from .. import functional as F
from .batchnorm import _LazyNormBase, _NormBase

__all__ = [
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
]


class _InstanceNorm(_NormBase):
    """Normalises every channel of every sample over its positions."""

    n: int  # spatial dimensions

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device=None,
        dtype=None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )

    def _check_input_dim(self, input: Tensor) -> None:
        allowed = (self.n + 1, self.n + 2)
        if input.dim() not in allowed:
            raise ValueError(
                f"expected {allowed[0]}D or {allowed[1]}D input (got {input.dim()}D input)"
            )

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        batched = input.dim() == self.n + 2
        channel_dim = 1 if batched else 0
        if input.size(channel_dim) != self.num_features:
            if self.affine:
                raise ValueError(
                    f"expected input's size at dim={channel_dim} to match num_features "
                    f"({self.num_features}), but got: {input.size(channel_dim)}."
                )
            warnings.warn(
                f"input's size at dim={channel_dim} does not match num_features. You can silence "
                "this warning by not passing in num_features, which is not used because "
                "affine=False",
                stacklevel=2,
            )
        out = F.instance_norm(
            input if batched else input.unsqueeze(0),
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            self.momentum if self.momentum is not None else 0.0,
            self.eps,
        )
        return out if batched else out.squeeze(0)

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
    ) -> None:
        # Before version 2 running statistics were kept even where nothing was tracked.
        if local_metadata.get("version", None) is None and not self.track_running_stats:
            names = [prefix + name for name in ("running_mean", "running_var")]
            found = [key for key in names if key in state_dict]
            if found:
                error_msgs.append(
                    "Unexpected running stats buffer(s) {} for {} with track_running_stats=False. "
                    "If state_dict is a checkpoint saved before 0.4.0, this may be expected "
                    "because {} does not track running stats by default since 0.4.0. Please "
                    "remove these keys from state_dict. If the running stats are actually needed, "
                    "instead set track_running_stats=True in {} to enable them.".format(
                        " and ".join(f'"{key}"' for key in found), *[type(self).__name__] * 3
                    )
                )
                for key in found:
                    state_dict.pop(key)
        super()._load_from_state_dict(
            state_dict,
            prefix,
            local_metadata,
            strict,
            missing_keys,
            unexpected_keys,
            error_msgs,
        )


class InstanceNorm1d(_InstanceNorm):
    """Normalises every channel of every sample of ``(N, C, L)`` or ``(C, L)``.

    Args:
        num_features: the number of channels.
        eps: added to the variance.
        momentum: how much of each new batch enters the running statistics.
        affine: whether to scale and shift by learned numbers.
        track_running_stats: whether to keep running statistics, which evaluation then uses.
    """

    n = 1


class InstanceNorm2d(_InstanceNorm):
    """Like :class:`InstanceNorm1d`, for ``(N, C, H, W)`` or ``(C, H, W)``."""

    n = 2


class InstanceNorm3d(_InstanceNorm):
    """Like :class:`InstanceNorm1d`, for ``(N, C, D, H, W)`` or ``(C, D, H, W)``."""

    n = 3


class LazyInstanceNorm1d(_LazyNormBase, _InstanceNorm):
    """An :class:`InstanceNorm1d` whose ``num_features`` is that of its first input."""

    n = 1
    cls_to_become = InstanceNorm1d


class LazyInstanceNorm2d(_LazyNormBase, _InstanceNorm):
    """An :class:`InstanceNorm2d` whose ``num_features`` is that of its first input."""

    n = 2
    cls_to_become = InstanceNorm2d


class LazyInstanceNorm3d(_LazyNormBase, _InstanceNorm):
    """An :class:`InstanceNorm3d` whose ``num_features`` is that of its first input."""

    n = 3
    cls_to_become = InstanceNorm3d
