"""Window functions. Source: https://pytorch.org/docs/stable/signal.html.

`M` is the number of points; `sym=False` gives a period of a window one point longer. ValueError
for a negative number, a dtype other than float32 and float64 and shapes out of range.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from facula import devices, dtypes
from facula.errors import honest
from facula.ops.bessel import i as _bessel_i
from facula.ops.creations import finish
from facula.values import from_array


def _window(name: str, M: int, sym: bool, shape: Any, options: dict[str, Any]) -> Any:
    """The window whose values are `shape(points, span)`, span one less than the (full) length."""
    d = options.pop("dtype", None) or dtypes.get_default_dtype()
    device = devices.check(options.pop("device", None))
    requires_grad = options.pop("requires_grad", False)
    layout = options.pop("layout", None)
    if layout is not None and str(layout) != "torch.strided":
        raise ValueError(f"{name} is implemented for strided tensors only, got: {layout}")
    if options:
        raise TypeError(f"{name}() got an unexpected keyword argument '{next(iter(options))}'")
    if M < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={M}")
    if d not in (dtypes.float32, dtypes.float64):
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {d}")
    if M < 2:
        a = np.ones(M)
    else:
        a = shape(np.arange(M, dtype=np.float64), float(M - 1 if sym else M))
    return finish(from_array(np.asarray(a).astype(d.np)), requires_grad, device)


def _positive(name: str, what: str, value: float) -> None:
    if value <= 0:
        raise ValueError(f"{name}: {what} must be positive, got: {value} instead.")


def exponential(
    M: int, *, center: Any = None, tau: float = 1.0, sym: bool = True, **options: Any
) -> Any:
    """exp(-|n - center| / tau)."""
    _positive("exponential", "Tau", tau)
    if sym and center is not None:
        raise ValueError("exponential: Center must be None for symmetric windows")

    def shape(n: Any, span: float) -> Any:
        return np.exp(-np.abs(n - (span / 2 if center is None else center)) / tau)

    return _window("exponential", M, sym, shape, options)


def cosine(M: int, *, sym: bool = True, **options: Any) -> Any:
    """Half a wave of the sine."""
    return _window(
        "cosine", M, sym, lambda n, span: np.sin(np.pi * (n + 0.5) / (span + 1)), options
    )


def gaussian(M: int, *, std: float = 1.0, sym: bool = True, **options: Any) -> Any:
    """exp(-x^2 / (2 std^2)) around the middle."""
    _positive("gaussian", "Standard deviation", std)
    return _window(
        "gaussian", M, sym, lambda n, span: np.exp(-(((n - span / 2) / std) ** 2) / 2), options
    )


def kaiser(M: int, *, beta: float = 12.0, sym: bool = True, **options: Any) -> Any:
    """Kaiser's window of shape beta."""
    if beta < 0:
        raise ValueError(f"kaiser: beta must be non-negative, got: {beta} instead.")

    def shape(n: Any, span: float) -> Any:
        x = beta * np.sqrt(np.maximum(1 - (2 * n / span - 1) ** 2, 0))
        return _bessel_i(0, x) / _bessel_i(0, np.asarray(float(beta)))

    return _window("kaiser", M, sym, shape, options)


def bartlett(M: int, *, sym: bool = True, **options: Any) -> Any:
    """A triangle that ends at zero."""
    return _window("bartlett", M, sym, lambda n, span: 1 - np.abs(2 * n / span - 1), options)


def general_cosine(M: int, *, a: Any, sym: bool = True, **options: Any) -> Any:
    """a[0] - a[1] cos(x) + a[2] cos(2x) - ..."""
    if not isinstance(a, (list, tuple)):
        raise TypeError(
            f"general_cosine: Coefficients must be a list/tuple, got {type(a).__name__}"
        )
    if not a:
        raise ValueError("general_cosine: Coefficients cannot be empty")

    def shape(n: Any, span: float) -> Any:
        x = 2 * math.pi * n / span
        return sum([(-1) ** k * c * np.cos(k * x) for k, c in enumerate(a)])

    return _window("general_cosine", M, sym, shape, options)


def general_hamming(M: int, *, alpha: float = 0.54, sym: bool = True, **options: Any) -> Any:
    """alpha - (1 - alpha) cos(x)."""
    return general_cosine(M, a=[alpha, 1 - alpha], sym=sym, **options)


def hamming(M: int, *, sym: bool = True, **options: Any) -> Any:
    """Hamming's window."""
    return general_hamming(M, sym=sym, **options)


def hann(M: int, *, sym: bool = True, **options: Any) -> Any:
    """Hann's window."""
    return general_hamming(M, alpha=0.5, sym=sym, **options)


def blackman(M: int, *, sym: bool = True, **options: Any) -> Any:
    """Blackman's window."""
    return general_cosine(M, a=[0.42, 0.5, 0.08], sym=sym, **options)


def nuttall(M: int, *, sym: bool = True, **options: Any) -> Any:
    """Nuttall's window of four terms."""
    return general_cosine(M, a=[0.3635819, 0.4891775, 0.1365995, 0.0106411], sym=sym, **options)


__all__ = [
    "bartlett",
    "blackman",
    "cosine",
    "exponential",
    "gaussian",
    "general_cosine",
    "general_hamming",
    "hamming",
    "hann",
    "kaiser",
    "nuttall",
]


__getattr__ = honest(__name__)
