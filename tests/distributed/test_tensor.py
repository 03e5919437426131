"""Tensors over several devices: what libraries ask, and what is refused."""

import pytest

import facula as torch
from facula.distributed import device_mesh, tensor


def test_no_tensor_is_distributed():
    assert torch.distributed.tensor is tensor and torch.distributed.device_mesh is device_mesh
    assert not isinstance(torch.ones(2), tensor.DTensor)
    from facula.distributed._tensor import DTensor

    assert DTensor is tensor.DTensor


@pytest.mark.parametrize(
    "make",
    [
        tensor.DTensor,
        tensor.DTensor.from_local,
        tensor.distribute_tensor,
        tensor.distribute_module,
        tensor.init_device_mesh,
        tensor.DeviceMesh,
    ],
)
def test_none_can_be_made(make):
    with pytest.raises(NotImplementedError, match="distributed training is not in Facula"):
        make(torch.ones(2))


def test_placements():
    shard, whole, part = tensor.Shard(1), tensor.Replicate(), tensor.Partial()
    assert shard == tensor.Shard(1) != tensor.Shard(0) and len({shard, tensor.Shard(1)}) == 1
    assert (repr(shard), repr(whole), repr(part)) == ("Shard(dim=1)", "Replicate()", "Partial(sum)")
    assert shard.is_shard() and shard.is_shard(1) and not shard.is_shard(0)
    assert whole.is_replicate() and part.is_partial() and not part.is_shard()


def test_shards_are_named_and_refused():
    from facula.distributed import fsdp
    from facula.distributed._composable.fsdp import FSDPModule
    from facula.distributed._tensor.experimental import implicit_replication
    from facula.distributed.fsdp.fully_sharded_data_parallel import FullyShardedDataParallel

    assert FSDPModule is fsdp.FSDPModule
    assert FullyShardedDataParallel is fsdp.FullyShardedDataParallel
    for make in (fsdp.FSDPModule, fsdp.FullyShardedDataParallel, fsdp.fully_shard):
        with pytest.raises(NotImplementedError, match=rf"fsdp\.{make.__name__}"):
            make()
    with implicit_replication():
        assert torch.ones(1).item() == 1
