"""Pooling layers, in one to three dimensions."""

from __future__ import annotations

from facula import Tensor

from .. import functional as F
from ..functional._common import ntuple
from .module import Module

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
]


class _PoolNd(Module):
    n: int  # spatial dimensions

    def _function(self, name: str):
        return getattr(F, f"{name}{self.n}d")


class _MaxPoolNd(_PoolNd):
    """The largest element of every window.

    Args:
        kernel_size: size of the window.
        stride: by how much it moves; its own size by default.
        padding: how much (of minus infinity) is added on both sides.
        dilation: distance between the elements of the window.
        return_indices: whether to return also where the largest elements are.
        ceil_mode: whether a window may reach beyond the end.
    """

    def __init__(
        self,
        kernel_size,
        stride=None,
        padding=0,
        dilation=1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor):
        return self._function("max_pool")(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            ceil_mode=self.ceil_mode,
            return_indices=self.return_indices,
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPoolNd):
    n = 1


class MaxPool2d(_MaxPoolNd):
    n = 2


class MaxPool3d(_MaxPoolNd):
    n = 3


class _MaxUnpoolNd(_PoolNd):
    """Puts elements back where max pooling found them; zeros elsewhere."""

    def __init__(self, kernel_size, stride=None, padding=0) -> None:
        super().__init__()
        self.kernel_size = ntuple(kernel_size, self.n)
        self.stride = ntuple(stride if stride is not None else kernel_size, self.n)
        self.padding = ntuple(padding, self.n)

    def forward(self, input: Tensor, indices: Tensor, output_size=None) -> Tensor:
        return self._function("max_unpool")(
            input, indices, self.kernel_size, self.stride, self.padding, output_size
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpoolNd):
    n = 1


class MaxUnpool2d(_MaxUnpoolNd):
    n = 2


class MaxUnpool3d(_MaxUnpoolNd):
    n = 3


class _AvgPoolNd(_PoolNd):
    """The mean of every window.

    Args:
        kernel_size: size of the window.
        stride: by how much it moves; its own size by default.
        padding: how many zeros are added on both sides.
        ceil_mode: whether a window may reach beyond the end.
        count_include_pad: whether the zeros count.
        divisor_override: what to divide the sum by instead of the window's size.
    """

    def __init__(
        self,
        kernel_size,
        stride=None,
        padding=0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        return self._function("avg_pool")(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPoolNd):
    n = 1

    def __init__(
        self,
        kernel_size,
        stride=None,
        padding=0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(
            ntuple(kernel_size, 1),
            ntuple(stride if stride is not None else kernel_size, 1),
            ntuple(padding, 1),
            ceil_mode,
            count_include_pad,
        )

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool1d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
        )


class AvgPool2d(_AvgPoolNd):
    n = 2


class AvgPool3d(_AvgPoolNd):
    n = 3


class _FractionalMaxPoolNd(_PoolNd):
    """The largest element of windows at random places (https://arxiv.org/abs/1412.6071)."""

    def __init__(
        self,
        kernel_size,
        output_size=None,
        output_ratio=None,
        return_indices: bool = False,
        _random_samples=None,
    ) -> None:
        super().__init__()
        n, name = self.n, type(self).__name__
        self.kernel_size = ntuple(kernel_size, n)
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = None if output_size is None else ntuple(output_size, n)
        self.output_ratio = None if output_ratio is None else ntuple(output_ratio, n)
        if output_size is None and output_ratio is None:
            raise ValueError(
                f"{name} requires specifying either an output size, or a pooling ratio"
            )
        if output_size is not None and output_ratio is not None:
            raise ValueError("only one of output_size and output_ratio may be specified")
        if self.output_ratio is not None and not all(0 < r < 1 for r in self.output_ratio):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")

    def forward(self, input: Tensor):
        return self._function("fractional_max_pool")(
            input,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            _random_samples=self._random_samples,
        )


class FractionalMaxPool2d(_FractionalMaxPoolNd):
    n = 2


class FractionalMaxPool3d(_FractionalMaxPoolNd):
    n = 3


class _LPPoolNd(_PoolNd):
    """The p-norm of every window, ``norm_type`` being p."""

    def __init__(self, norm_type: float, kernel_size, stride=None, ceil_mode: bool = False) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        return self._function("lp_pool")(
            input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode
        )

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPoolNd):
    n = 1


class LPPool2d(_LPPoolNd):
    n = 2


class LPPool3d(_LPPoolNd):
    n = 3


class _AdaptiveMaxPoolNd(_PoolNd):
    """The largest element of as many windows as ``output_size`` says."""

    def __init__(self, output_size, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size = output_size
        self.return_indices = return_indices

    def forward(self, input: Tensor):
        pool = self._function("adaptive_max_pool")
        return pool(input, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPoolNd):
    n = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPoolNd):
    n = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPoolNd):
    n = 3


class _AdaptiveAvgPoolNd(_PoolNd):
    """The mean of as many windows as ``output_size`` says."""

    def __init__(self, output_size) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        return self._function("adaptive_avg_pool")(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPoolNd):
    n = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPoolNd):
    n = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPoolNd):
    n = 3
