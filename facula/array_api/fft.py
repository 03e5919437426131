"""The standard's extension for Fourier transforms."""

from __future__ import annotations

from typing import Any

from facula import fft as _f
from facula.array_api.array import lift, standard
from facula.devices import check


def _one(name: str) -> Any:
    f = getattr(_f, name)

    def call(x: Any, /, *, n: Any = None, axis: int = -1, norm: str = "backward") -> Any:
        return lift(f(x, n, axis, norm))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"The transform `{name}` along one axis."
    return call


def _several(name: str) -> Any:
    f = getattr(_f, name)

    def call(x: Any, /, *, s: Any = None, axes: Any = None, norm: str = "backward") -> Any:
        return lift(f(x, s, axes, norm))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"The transform `{name}` along several axes."
    return call


fft, ifft, rfft = _one("fft"), _one("ifft"), _one("rfft")
irfft, hfft, ihfft = _one("irfft"), _one("hfft"), _one("ihfft")
fftn, ifftn = _several("fftn"), _several("ifftn")
rfftn, irfftn = _several("rfftn"), _several("irfftn")


@standard
def fftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: Any = None) -> Any:
    """The frequencies of a transform's results."""
    check(device)
    return _f.fftfreq(n, d, dtype=dtype)


@standard
def rfftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: Any = None) -> Any:
    """The frequencies of the results of a transform of real numbers."""
    check(device)
    return _f.rfftfreq(n, d, dtype=dtype)


@standard
def fftshift(x: Any, /, *, axes: Any = None) -> Any:
    """The results with the frequency 0 in the middle."""
    return _f.fftshift(x, axes)


@standard
def ifftshift(x: Any, /, *, axes: Any = None) -> Any:
    """What `fftshift` does, undone."""
    return _f.ifftshift(x, axes)
