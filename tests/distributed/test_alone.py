"""The group of one process; what is expected was seen in PyTorch 2.13 with Gloo."""

import pytest

import facula as torch
from facula import distributed as dist
from facula.nn.parallel import DistributedDataParallel
from facula.utils.data.distributed import DistributedSampler


@pytest.fixture
def world(monkeypatch):
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "29500")
    dist.init_process_group("gloo", rank=0, world_size=1)
    yield dist.group.WORLD
    if dist.is_initialized():
        dist.destroy_process_group()


def test_a_group_is_started_and_ended(world):
    assert dist.is_initialized() and (dist.get_rank(), dist.get_world_size()) == (0, 1)
    assert dist.get_backend() == "gloo" and world.size() == 1 and world.rank() == 0
    with pytest.raises(ValueError, match="twice"):
        dist.init_process_group("gloo", rank=0, world_size=1)
    other = dist.new_group([0])
    assert dist.get_process_group_ranks(other) == [0]
    dist.destroy_process_group(other)
    assert dist.is_initialized()
    dist.destroy_process_group()
    assert not dist.is_initialized() and dist.group.WORLD is None
    with pytest.raises(ValueError, match="has not been initialized"):
        dist.get_rank()
    with pytest.raises(AssertionError, match="Process group cannot be None"):
        dist.destroy_process_group()


def test_the_environment_says_how_many_there_are(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    given = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "a", "MASTER_PORT": "1"}
    for name, value in given.items():
        with pytest.raises(ValueError, match=f"environment variable {name} expected"):
            dist.init_process_group("gloo")
        monkeypatch.setenv(name, value)
    dist.init_process_group()
    assert dist.get_backend() == "undefined"
    dist.destroy_process_group()
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(NotImplementedError, match="several processes"):
        dist.init_process_group("gloo", init_method="env://")


@pytest.mark.parametrize(
    ("backend", "error"), [("what", AssertionError), ("mpi", NotImplementedError)]
)
def test_other_backends(backend, error):
    with pytest.raises(error):
        dist.init_process_group(backend, init_method="file:///x", rank=0, world_size=1)


def test_collectives(world):
    x, out, many = torch.arange(3.0), torch.zeros(3), [torch.zeros(3)]
    for call in (
        lambda: dist.all_reduce(x, op=dist.ReduceOp.AVG),
        lambda: dist.broadcast(x, 0),
        lambda: dist.reduce(x, 0),
        lambda: dist.barrier(),
        lambda: dist.monitored_barrier(),
    ):
        assert call() is None
        assert x.tolist() == [0, 1, 2]
    assert dist.all_reduce(x, async_op=True).wait()
    written = [
        (lambda v: dist.all_gather(many, v), many[0]),
        (lambda v: dist.all_gather_into_tensor(out, v), out),
        (lambda v: dist.gather(v, many, 0), many[0]),
        (lambda v: dist.scatter(out, [v], 0), out),
        (lambda v: dist.reduce_scatter(out, [v]), out),
        (lambda v: dist.reduce_scatter_tensor(out, v), out),
        (lambda v: dist.all_to_all(many, [v]), many[0]),
        (lambda v: dist.all_to_all_single(out, v), out),
    ]
    for k, (call, target) in enumerate(written):
        assert call(x + k) is None
        assert target.tolist() == [k, k + 1, k + 2]
    objects = [None]
    for call in (
        lambda v: dist.all_gather_object(objects, v),
        lambda v: dist.gather_object(v, objects),
        lambda v: dist.scatter_object_list(objects, [v], src=0),
    ):
        value = {"a": [1]}
        call(value)
        assert objects[0] == value and objects[0] is not value
    dist.broadcast_object_list(objects, src=0)


def test_what_there_is_nobody_for(world):
    x = torch.zeros(3)
    with pytest.raises(RuntimeError, match="invalid root rank: 1"):
        dist.broadcast(x, 1)
    with pytest.raises(ValueError, match="destination rank"):
        dist.send(x, 0)
    with pytest.raises(ValueError, match="source rank"):
        dist.recv(x, 0)
    with pytest.raises(RuntimeError, match="expected length 1, got 0"):
        dist.all_gather([], x)
    with pytest.raises(RuntimeError, match="invalid tensor size"):
        dist.all_gather([torch.zeros(2)], x)


def test_a_module_trains_as_it_does_alone(world):
    torch.manual_seed(0)
    net = torch.nn.Linear(2, 2)
    alone = torch.nn.Linear(2, 2)
    alone.load_state_dict(net.state_dict())
    wrapped = DistributedDataParallel(net, find_unused_parameters=True)
    assert list(wrapped.state_dict()) == ["module.weight", "module.bias"]
    x = torch.randn(4, 2)
    for m in (wrapped, alone):
        m(x).square().sum().backward()
    assert net.weight.grad.equal(alone.weight.grad)
    assert wrapped.require_backward_grad_sync
    with wrapped.no_sync():
        assert not wrapped.require_backward_grad_sync
    with pytest.raises(RuntimeError, match="doesn't have any parameter"):
        DistributedDataParallel(torch.nn.ReLU())
    with pytest.raises(ValueError, match="device_ids"):
        DistributedDataParallel(net, device_ids=[0])


def test_a_sampler_asks_the_group(world):
    sampler = DistributedSampler(list(range(5)), shuffle=False)
    assert list(sampler) == [0, 1, 2, 3, 4]
