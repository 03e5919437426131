"""oneDNN: not used, and the switches that programs set are remembered."""

from __future__ import annotations

from contextlib import AbstractContextManager

from facula.backends._switches import switched
from facula.errors import honest

enabled = True
deterministic = False
allow_tf32 = True
fp32_precision = "none"


def is_available() -> bool:
    """False: the library is not used."""
    return False


def flags(
    enabled: bool = False,
    deterministic: bool = False,
    allow_tf32: bool = True,
    fp32_precision: str = "none",
) -> AbstractContextManager[None]:
    """Set the switches inside a `with` block."""
    return switched(
        __name__,
        enabled=enabled,
        deterministic=deterministic,
        allow_tf32=allow_tf32,
        fp32_precision=fp32_precision,
    )


__getattr__ = honest(__name__)
