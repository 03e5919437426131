"""Convolutions. The kernels are primitives of the engine."""

from __future__ import annotations

NAMES = (
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_tbc",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
)


def __getattr__(name: str):
    if name not in NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from facula.ops import conv

    function = globals()[name] = getattr(conv, name)
    return function
