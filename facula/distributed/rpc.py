"""Calls of functions in other processes: not in Facula.

Source: https://docs.pytorch.org/docs/stable/rpc.html
"""

from __future__ import annotations

from typing import Any, NoReturn

from facula.errors import honest, refuse

__all__ = ["init_rpc", "is_available"]


def is_available() -> bool:
    """False: there are no other processes."""
    return False


def init_rpc(name: str, *args: Any, **kwargs: Any) -> NoReturn:
    """NotImplementedError: other processes can't be called."""
    refuse("torch.distributed.rpc.init_rpc", "distributed training is not in Facula")


__getattr__ = honest(__name__)
