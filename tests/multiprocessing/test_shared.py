"""Memory that processes share."""

import multiprocessing
import os
import pickle

import numpy as np
import pytest

import facula as torch
import facula.multiprocessing as mp


def _write(t, queue):
    """In a child process: write what it was given, then wait for the answer of the parent."""
    t.add_(1)
    t[0] = -t[0]
    queue.put(None)


def _train(model, x):
    """In a child process: one step of training on shared parameters."""
    torch.set_num_threads(1)
    loss = model(x).pow(2).sum()
    loss.backward()
    torch.optim.SGD(model.parameters(), lr=0.5).step()


def _answer(queue, back):
    t = queue.get()
    t.mul_(2)
    back.put(t)
    queue.get()  # stay until the parent has what was sent


def test_sharing_keeps_the_values_and_the_views():
    base = torch.arange(12.0).reshape(3, 4)
    view = base.t()[1]
    pending = base * 2
    assert not base.is_shared()
    assert base.share_memory_() is base
    assert base.is_shared() and view.is_shared() and not pending.is_shared()
    assert base.untyped_storage().is_shared()
    view[0] = 50.0
    assert base[0, 1] == 50.0
    assert pending.tolist() == (torch.arange(12.0).reshape(3, 4) * 2).tolist()
    where = base.data_ptr()
    base.share_memory_()
    base.mul_(0).add_(view.sum())
    assert base.data_ptr() == where and base.is_shared()


def test_a_view_shares_all_of_its_storage():
    base = torch.zeros(4, 3)
    base[1].share_memory_()
    assert base.is_shared()
    base[1] = 1.0
    assert base.sum() == 3


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int64", "bool", "complex64"])
def test_every_dtype_and_no_elements(dtype):
    t = torch.ones(2, 3, dtype=getattr(torch, dtype)).share_memory_()
    assert t.is_shared() and t.tolist() == torch.ones(2, 3, dtype=t.dtype).tolist()
    assert torch.zeros(0, 3, dtype=t.dtype).share_memory_().is_shared()


def test_parameters_are_shared_and_trained_in_place():
    def make():
        return torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)).double()

    model = make()
    assert model.share_memory() is model
    assert all(t.is_shared() for t in [*model.parameters(), *model.buffers()])
    assert all(p.requires_grad and p.is_leaf for p in model.parameters())
    opt = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    twin = make()
    twin.load_state_dict(model.state_dict())
    other = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9)
    x = torch.randn(8, 3, dtype=torch.float64)
    for _ in range(4):
        for m, o in ((model, opt), (twin, other)):
            o.zero_grad()
            m(x).pow(2).mul(torch.tensor([1.0, -0.5], dtype=x.dtype)).sum().backward()
            o.step()
    assert all(t.is_shared() for t in [*model.parameters(), *model.buffers()])
    for a, b in zip(model.state_dict().values(), twin.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b)


def test_what_a_child_process_writes_the_parent_sees():
    context = mp.get_context("spawn")
    t = torch.arange(6.0).reshape(2, 3).t().share_memory_()
    before = t * 1
    queue = context.Queue()
    child = context.Process(target=_write, args=(t, queue))
    child.start()
    queue.get(timeout=120)
    child.join()
    assert child.exitcode == 0
    want = np.arange(6.0).reshape(2, 3).T + 1
    want[0] *= -1
    assert t.tolist() == want.tolist()
    assert before.tolist() == np.arange(6.0).reshape(2, 3).T.tolist()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_trains_shared_parameters():
    model = torch.nn.Linear(3, 1)
    x = torch.ones(2, 3)
    want = torch.nn.Linear(3, 1)
    want.load_state_dict(model.state_dict())
    _train(want, x)
    model.share_memory()
    children = multiprocessing.get_context("fork").Process(target=_train, args=(model, x))
    children.start()
    children.join()
    assert children.exitcode == 0
    torch.testing.assert_close(model.weight, want.weight)
    assert model.weight.grad is None  # the gradients are each process's own


def test_a_shared_parameter_travels_through_a_queue_and_back():
    context = mp.get_context("spawn")
    there, back = context.Queue(), context.Queue()
    child = context.Process(target=_answer, args=(there, back))
    child.start()
    sent = torch.arange(8.0).share_memory_()
    there.put(sent[2:])
    received = back.get(timeout=120)
    there.put(None)
    child.join()
    assert sent.tolist() == [0, 1, 4, 6, 8, 10, 12, 14]
    received.fill_(3)
    assert sent.tolist() == [0, 1, 3, 3, 3, 3, 3, 3] and received.is_shared()


def test_pickled_to_a_file_the_values_are_copied():
    t = torch.ones(3).share_memory_()
    copy = pickle.loads(pickle.dumps(t))
    copy.zero_()
    assert t.sum() == 3 and not copy.is_shared()


def test_what_has_a_history_is_not_sent():
    from multiprocessing.reduction import ForkingPickler

    w = torch.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="detach"):
        ForkingPickler.dumps((w * 2).share_memory_())


def test_reductions_by_the_names_of_pytorch():
    from facula.multiprocessing import reductions

    x = torch.ones(3)
    rebuild, parts = reductions.reduce_tensor(x)
    y = rebuild(*parts)
    y[0] = 5
    assert x.tolist() == [5, 1, 1] and reductions.init_reductions() is None
    ref = reductions.StorageWeakRef(x.untyped_storage())
    again = reductions.StorageWeakRef(x[1:].untyped_storage())
    assert ref == again and hash(ref) == hash(again) and not ref.expired()
    assert ref != reductions.StorageWeakRef(torch.ones(3).untyped_storage())
