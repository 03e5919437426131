"""Several processes: not in this release, and it says so. A group of one can be started.

`is_available()` is False, so programs that ask run in one process. Those that do not ask, but are
started as one process, may start a group of it (`alone.py`). Before that the names answer as
PyTorch's do.

Source: https://pytorch.org/docs/stable/distributed.html
"""

from __future__ import annotations

import enum
import functools
import importlib
from typing import Any

from facula.distributed import alone
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
    """A set of processes: none can be made but by `init_process_group` and `new_group`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        refuse("torch.distributed.ProcessGroup", "distributed training is not in Facula")


class group:
    """The group of all processes: None before they are started."""

    WORLD: Any = None


GroupMember = _WORLD = group


class _Group(ProcessGroup):
    """The group of this process."""

    def __init__(self, backend: str) -> None:
        self.backend = backend

    def size(self) -> int:
        """1."""
        return 1

    def rank(self) -> int:
        """0."""
        return 0


def is_available() -> bool:
    """False: this release runs in one process."""
    return False


def is_initialized() -> bool:
    """Whether a process group has been started."""
    return group.WORLD is not None


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


def init_process_group(
    backend: str | None = None,
    init_method: str | None = None,
    timeout: Any = None,
    world_size: int = -1,
    rank: int = -1,
    store: Any = None,
    group_name: str = "",
    pg_options: Any = None,
    device_id: Any = None,
) -> None:
    """Start the group of one process; NotImplementedError for more (see `alone.py`).

    Raises ValueError where a group is there already, or how many there are is not said.
    """
    if group.WORLD is not None:
        raise ValueError("trying to initialize the default process group twice!")
    kind = alone.backend_of(backend)
    alone.check_size(init_method, store, world_size, rank)
    group.WORLD = _Group(kind)


def destroy_process_group(group: Any = None) -> None:
    """End the group, or one that `new_group` made."""
    if _WORLD.WORLD is None:
        raise AssertionError("Process group cannot be None")
    if group is None or group is _WORLD.WORLD:
        _WORLD.WORLD = None


def new_group(
    ranks: Any = None,
    timeout: Any = None,
    backend: str | None = None,
    pg_options: Any = None,
    use_local_synchronization: bool = False,
    group_desc: Any = None,
    device_id: Any = None,
) -> Any:
    """Another group of the same process."""
    world = _world("new_group")
    if ranks is not None and list(ranks) != [0]:
        raise ValueError("the new group's rank should be within the world_size set by the group")
    return _Group(world.backend if backend is None else alone.backend_of(backend))


def get_backend(group: Any = None) -> str:
    """The backend that was asked for."""
    kind: str = (_world("get_backend") if group is None else group).backend
    return kind


def _world(name: str) -> Any:
    """The group, or PyTorch's error."""
    if group.WORLD is None:
        raise ValueError(
            f"torch.distributed.{name}(): Default process group has not been initialized, please "
            "make sure to call init_process_group."
        )
    return group.WORLD


def _needs_group(name: str, does: Any) -> Any:
    """The function `does`, which PyTorch's error of this name stands for where no group is."""

    @functools.wraps(does)
    def call(*args: Any, **kwargs: Any) -> Any:
        _world(name)
        return does(*args, **kwargs)

    call.__module__ = __name__
    return call


_NAMES = """
    all_gather all_gather_into_tensor all_gather_object all_reduce all_to_all all_to_all_single
    barrier broadcast broadcast_object_list gather gather_object get_process_group_ranks get_rank
    get_world_size irecv isend monitored_barrier recv reduce reduce_scatter reduce_scatter_tensor
    scatter scatter_object_list send
"""
for _name in _NAMES.split():
    globals()[_name] = _needs_group(_name, getattr(alone, _name))
_SUBMODULES = ("_composable", "_tensor", "device_mesh", "fsdp", "nn", "optim", "rpc", "tensor")
_missing = honest(__name__)


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    return _missing(name)
