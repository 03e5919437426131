"""Backward passes through calls in other processes: not in Facula.

Source: https://docs.pytorch.org/docs/stable/rpc.html#distributed-autograd-framework
"""

from __future__ import annotations

from typing import Any, NoReturn

from facula.errors import honest, refuse

__all__ = ["backward", "context", "get_gradients", "is_available"]


def is_available() -> bool:
    """False: there are no other processes."""
    return False


class context:
    """A backward pass over several processes: can't be begun."""

    def __init__(self) -> None:
        refuse("torch.distributed.autograd.context", "distributed training is not in Facula")


def backward(context_id: int, roots: Any, retain_graph: bool = False) -> NoReturn:
    """NotImplementedError: other processes can't be called."""
    refuse("torch.distributed.autograd.backward", "distributed training is not in Facula")


def get_gradients(context_id: int) -> NoReturn:
    """NotImplementedError: other processes can't be called."""
    refuse("torch.distributed.autograd.get_gradients", "distributed training is not in Facula")


__getattr__ = honest(__name__)
