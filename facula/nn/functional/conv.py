"""Convolutions. The kernels are primitives of the engine, ``facula.ops.conv``."""

from __future__ import annotations

from facula.errors import missing_name

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
    try:
        from facula.ops import conv
    except ImportError:
        raise missing_name("facula.nn.functional", name) from None
    function = globals()[name] = getattr(conv, name)
    return function
