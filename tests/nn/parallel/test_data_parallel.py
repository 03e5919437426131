"""Modules on several CUDA devices, where there are none."""

import pytest

import facula as torch
from facula.nn import parallel
from facula.nn.parallel import _functions
from facula.nn.parallel.parallel_apply import get_a_var


def test_without_devices_the_module_is_called():
    module = torch.nn.Linear(2, 3)
    assert torch.equal(parallel.DataParallel(module)(torch.ones(4, 2)), module(torch.ones(4, 2)))


@pytest.mark.parametrize(
    "call",
    [
        lambda m, x: parallel.data_parallel(m, x, [0, 1]),
        lambda m, x: parallel.replicate(m, [0, 1]),
        lambda m, x: parallel.parallel_apply([m, m], [(x,), (x,)]),
        lambda m, x: _functions.Broadcast.apply([0, 1], x),
        lambda m, x: _functions.ReduceAddCoalesced.apply(0, 1, x),
        lambda m, x: _functions.Gather.apply(0, 0, x),
        lambda m, x: _functions.Scatter.apply([0, 1], None, 0, x),
    ],
)
def test_there_are_no_devices_to_work_on(call):
    with pytest.raises(RuntimeError, match="not several CUDA devices"):
        call(torch.nn.Linear(2, 3), torch.ones(4, 2))


def test_the_first_tensor():
    x = torch.ones(1)
    assert get_a_var([1, {"a": (None, x)}]) is x and get_a_var([1, "a"]) is None
