"""The group of one process, which programs start that are written for any number of them.

What its collectives combine are the values of one process: they check what they are given, and
copy. Messages and kinds of errors are those of PyTorch's Gloo.
"""

from __future__ import annotations

import os
import pickle
from typing import Any

import facula
from facula.errors import refuse

BACKENDS = ("gloo", "nccl", "undefined")


class Work:
    """What an operation that was asked to go on by itself returns: it is done."""

    def wait(self, timeout: Any = None) -> bool:
        """True: there is nothing to wait for."""
        return True

    def is_completed(self) -> bool:
        """True."""
        return True

    is_success = is_completed


def backend_of(name: str | None) -> str:
    """The backend that `init_process_group` was asked for.

    Raises AssertionError for one that PyTorch does not know either, RuntimeError for NCCL where
    there is no device of CUDA, NotImplementedError for MPI and its like.
    """
    asked = "undefined" if name is None else str(name).lower()
    kinds = [part.rpartition(":")[2] for part in asked.split(",")]
    for kind in kinds:
        if kind in ("mpi", "ucc", "xccl"):
            refuse("torch.distributed.init_process_group", f"{kind} is not in Facula")
        if kind not in BACKENDS:
            raise AssertionError(f"Unknown backend type {name}")
    if kinds == ["nccl"] and not facula.cuda.is_available():
        raise RuntimeError("Distributed package doesn't have NCCL built in")
    return asked


def check_size(init_method: str | None, store: Any, world_size: int, rank: int) -> None:
    """ValueError where PyTorch would not know how many processes there are, NotImplementedError
    for more than one."""
    if store is None and (init_method is None or init_method.startswith("env://")):
        found = {"RANK": rank, "WORLD_SIZE": world_size, "MASTER_ADDR": 0, "MASTER_PORT": 0}
        for name, given in found.items():
            if name in os.environ or (name in ("RANK", "WORLD_SIZE") and given != -1):
                continue
            raise ValueError(
                "Error initializing torch.distributed using env:// rendezvous: environment "
                f"variable {name} expected, but not set"
            )
        rank = rank if rank != -1 else int(os.environ["RANK"])
        world_size = world_size if world_size != -1 else int(os.environ["WORLD_SIZE"])
    if world_size != 1:
        refuse(
            "torch.distributed.init_process_group",
            f"training in several processes ({world_size} were asked for) is not in Facula",
        )
    if rank != 0:
        raise ValueError(f"init_process_group(): rank {rank} of a group of one process")


def _done(async_op: bool) -> Work | None:
    return Work() if async_op else None


def _root(name: str, given: int | None) -> None:
    if given not in (None, 0):
        raise RuntimeError(f"ProcessGroupGloo::{name}: invalid root rank: {given}")


def _copy(name: str, target: Any, source: Any) -> None:
    if target.numel() != source.numel():
        raise RuntimeError(
            f"ProcessGroupGloo::{name}: invalid tensor size at index 0 (expected "
            f"{list(source.shape)}, got {list(target.shape)})"
        )
    with facula.no_grad():
        target.copy_(source.reshape(target.shape))


def _only(name: str, tensors: Any) -> Any:
    if tensors is None or len(tensors) != 1:
        got = 0 if tensors is None else len(tensors)
        raise RuntimeError(
            f"ProcessGroupGloo::{name}: invalid tensor list at index 0 (expected length 1, got "
            f"{got})"
        )
    return tensors[0]


def _sent(obj: Any) -> Any:
    """An object as another process would get it."""
    return pickle.loads(pickle.dumps(obj))


def get_rank(group: Any = None) -> int:
    """0."""
    return 0


def get_world_size(group: Any = None) -> int:
    """1."""
    return 1


def barrier(group: Any = None, async_op: bool = False, device_ids: Any = None) -> Work | None:
    """Wait for nobody."""
    return _done(async_op)


def monitored_barrier(group: Any = None, timeout: Any = None, wait_all_ranks: bool = False) -> None:
    """Wait for nobody."""


def all_reduce(tensor: Any, op: Any = None, group: Any = None, async_op: bool = False) -> Any:
    """The tensor stays as it is, whatever values are combined by."""
    return _done(async_op)


def broadcast(
    tensor: Any,
    src: int | None = None,
    group: Any = None,
    async_op: bool = False,
    group_src: int | None = None,
) -> Any:
    """The tensor stays as it is."""
    _root("broadcast", src if group_src is None else group_src)
    return _done(async_op)


def reduce(
    tensor: Any,
    dst: int | None = None,
    op: Any = None,
    group: Any = None,
    async_op: bool = False,
    group_dst: int | None = None,
) -> Any:
    """The tensor stays as it is."""
    _root("reduce", dst if group_dst is None else group_dst)
    return _done(async_op)


def all_gather(tensor_list: Any, tensor: Any, group: Any = None, async_op: bool = False) -> Any:
    """Copy the tensor into the one of a list."""
    _copy("allgather", _only("allgather", tensor_list), tensor)
    return _done(async_op)


def all_gather_into_tensor(
    output_tensor: Any, input_tensor: Any, group: Any = None, async_op: bool = False
) -> Any:
    """Copy the input into the output."""
    _copy("allgather", output_tensor, input_tensor)
    return _done(async_op)


def gather(
    tensor: Any,
    gather_list: Any = None,
    dst: int | None = None,
    group: Any = None,
    async_op: bool = False,
    group_dst: int | None = None,
) -> Any:
    """Copy the tensor into the one of a list."""
    _root("gather", dst if group_dst is None else group_dst)
    _copy("gather", _only("gather", gather_list), tensor)
    return _done(async_op)


def scatter(
    tensor: Any,
    scatter_list: Any = None,
    src: int | None = None,
    group: Any = None,
    async_op: bool = False,
    group_src: int | None = None,
) -> Any:
    """Copy the one tensor of a list into this one."""
    _root("scatter", src if group_src is None else group_src)
    _copy("scatter", tensor, _only("scatter", scatter_list))
    return _done(async_op)


def reduce_scatter(
    output: Any, input_list: Any, op: Any = None, group: Any = None, async_op: bool = False
) -> Any:
    """Copy the one tensor of a list into the output."""
    _copy("reduce_scatter", output, _only("reduce_scatter", input_list))
    return _done(async_op)


def reduce_scatter_tensor(
    output: Any, input: Any, op: Any = None, group: Any = None, async_op: bool = False
) -> Any:
    """Copy the input into the output."""
    _copy("reduce_scatter", output, input)
    return _done(async_op)


def all_to_all(
    output_tensor_list: Any, input_tensor_list: Any, group: Any = None, async_op: bool = False
) -> Any:
    """Copy the one tensor of a list into that of another."""
    source = _only("alltoall", input_tensor_list)
    _copy("alltoall", _only("alltoall", output_tensor_list), source)
    return _done(async_op)


def all_to_all_single(
    output: Any,
    input: Any,
    output_split_sizes: Any = None,
    input_split_sizes: Any = None,
    group: Any = None,
    async_op: bool = False,
) -> Any:
    """Copy the input into the output."""
    _copy("alltoall", output, input)
    return _done(async_op)


def get_process_group_ranks(group: Any) -> list[int]:
    """[0]."""
    return [0]


def gather_object(
    obj: Any,
    object_gather_list: Any = None,
    dst: int | None = None,
    group: Any = None,
    group_dst: int | None = None,
) -> None:
    """Put a copy of an object into a list."""
    _root("gather", dst if group_dst is None else group_dst)
    object_gather_list[0] = _sent(obj)


def scatter_object_list(
    scatter_object_output_list: Any,
    scatter_object_input_list: Any = None,
    src: int | None = None,
    group: Any = None,
    group_src: int | None = None,
) -> None:
    """Put a copy of the one object of a list into another list."""
    _root("scatter", src if group_src is None else group_src)
    scatter_object_output_list[0] = _sent(scatter_object_input_list[0])


def all_gather_object(object_list: Any, obj: Any, group: Any = None) -> None:
    """Put a copy of an object into a list."""
    object_list[0] = _sent(obj)


def broadcast_object_list(
    object_list: Any,
    src: int | None = None,
    group: Any = None,
    device: Any = None,
    group_src: int | None = None,
) -> None:
    """The list stays as it is."""
    _root("broadcast", src if group_src is None else group_src)


def send(tensor: Any, dst: int | None = None, *args: Any, **kwargs: Any) -> Any:
    """ValueError: there is no other process."""
    raise ValueError(
        "Invalid destination rank: destination rank should not be the same as the rank of the "
        "current process."
    )


def recv(tensor: Any, src: int | None = None, *args: Any, **kwargs: Any) -> Any:
    """ValueError: there is no other process."""
    raise ValueError(
        "Invalid source rank: source rank should not be the same as the rank of the current "
        "process."
    )


isend, irecv = send, recv
