"""Several processes: not in this release, and it says so.

`is_available()` is False, so programs that ask run in one process. The names that programs use
without asking, to learn that nothing was started, answer as PyTorch does before
`init_process_group`.

Source: https://pytorch.org/docs/stable/distributed.html
"""

from __future__ import annotations

import enum
import importlib
from typing import Any, NoReturn

from facula.errors import honest, refuse


class ReduceOp(enum.Enum):
    """How a collective combines values."""

    SUM = 0
    AVG = 1
    PRODUCT = 2
    MIN = 3
    MAX = 4
    BAND = 5
    BOR = 6
    BXOR = 7


class ProcessGroup:
    """A set of processes: none can be made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        refuse("torch.distributed.ProcessGroup", "distributed training is not in Facula")


class group:
    """The group of all processes: None before they are started."""

    WORLD: Any = None


GroupMember = group


def is_available() -> bool:
    """False: this release runs in one process."""
    return False


def is_initialized() -> bool:
    """Whether a process group has been started: it can't be."""
    return False


def is_nccl_available() -> bool:
    """Whether NCCL can be used: no."""
    return False


def is_gloo_available() -> bool:
    """Whether Gloo can be used: no."""
    return False


def is_mpi_available() -> bool:
    """Whether MPI can be used: no."""
    return False


def is_ucc_available() -> bool:
    """Whether UCC can be used: no."""
    return False


is_xccl_available = is_ucc_available


def is_torchelastic_launched() -> bool:
    """Whether `torchrun` started this process: no."""
    return False


def init_process_group(*args: Any, **kwargs: Any) -> NoReturn:
    """NotImplementedError: distributed training is not in this release."""
    refuse("torch.distributed.init_process_group", "distributed training is not in Facula")


def _needs_group(name: str) -> Any:
    def call(*args: Any, **kwargs: Any) -> NoReturn:
        raise ValueError(
            f"torch.distributed.{name}(): Default process group has not been initialized, please "
            "make sure to call init_process_group."
        )

    call.__name__ = call.__qualname__ = name
    call.__doc__ = "ValueError: no process group has been started."
    return call


_NAMES = """
    all_gather all_gather_into_tensor all_gather_object all_reduce all_to_all barrier
    broadcast broadcast_object_list destroy_process_group gather get_backend get_rank
    get_world_size irecv isend monitored_barrier new_group recv reduce reduce_scatter
    reduce_scatter_tensor scatter send
"""
for _name in _NAMES.split():
    globals()[_name] = _needs_group(_name)
_SUBMODULES = ("_composable", "_tensor", "device_mesh", "fsdp", "nn", "optim", "rpc", "tensor")
_missing = honest(__name__)


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    return _missing(name)
