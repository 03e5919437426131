"""Convolutions. The kernels are primitives of the engine, ``facula.ops.conv``."""

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
        from facula.errors import missing_name

        raise missing_name(__name__, name)
    try:
        from facula.ops import conv
    except ImportError:
        from facula.errors import missing_name

        raise missing_name("facula.nn.functional", name) from None
    function = globals()[name] = getattr(conv, name)
    return function
