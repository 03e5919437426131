"""Whether a tensor is one of PyTorch's fake tensors, which its compilers trace programs with."""

from __future__ import annotations

from typing import Any

from facula.errors import honest

__all__: list[str] = []


def is_fake(x: Any) -> bool:
    """False: programs are recorded with their own tensors."""
    return False


__getattr__ = honest(__name__)
