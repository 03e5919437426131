"""Messages between processes: nothing is lost, whichever way the bytes go."""

from __future__ import annotations

import multiprocessing
import os

import numpy as np
import pytest

import facula
from facula import nn
from facula.utils.data._utils import messages

DTYPES = [facula.bool, facula.uint8, facula.int64, facula.float16, facula.bfloat16]
DTYPES += [facula.float32, facula.float64, facula.complex64, facula.complex128, facula.uint32]


@pytest.fixture
def pipe():
    a, b = multiprocessing.Pipe()
    yield a, b
    a.close()
    b.close()


def through(pipe, value):
    messages.send(pipe[0], *messages.dumps(value))
    return messages.loads(*messages.receive(pipe[1]))


@pytest.fixture(params=["shared memory", "socket"])
def way(request, monkeypatch):
    """Both ways that bytes go, for messages of any size."""
    if request.param == "socket":
        monkeypatch.setattr(messages, "SHARES", False)
    elif not messages.SHARES:
        pytest.skip("this system has no memory without a name")
    else:
        monkeypatch.setattr(messages, "SHARED_FROM", 0)
    return request.param


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0, 4), (40, 50)])
def test_tensors_of_every_type(pipe, way, shape):
    for dtype in DTYPES:
        x = facula.randint(0, 2, shape).to(dtype)
        y = through(pipe, x)
        assert type(y) is facula.Tensor and y.dtype is dtype and y.shape == x.shape
        assert y.tolist() == x.tolist() and not y.requires_grad
        y.add_(y)  # the memory can be written
        assert y.tolist() == (x + x).tolist()


def test_a_structure(pipe, way):
    shared = facula.arange(5)
    value = {
        "same": (shared, shared),
        "view": facula.arange(12.0).reshape(3, 4).T[1:],
        "parameter": nn.Parameter(facula.ones(3), requires_grad=False),
        "leaf": facula.ones(2, requires_grad=True),
        "array": np.arange(6).reshape(2, 3),
        "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "text": ["a" * 100_000, b"b", None, 1 + 2j],
    }
    got = through(pipe, value)
    assert got["same"][0] is got["same"][1] and got["same"][0].tolist() == [0, 1, 2, 3, 4]
    assert got["view"].tolist() == value["view"].tolist()
    assert type(got["parameter"]) is nn.Parameter and not got["parameter"].requires_grad
    assert got["leaf"].requires_grad and got["leaf"].tolist() == [1.0, 1.0]
    for name in ("array", "columns"):
        assert (got[name] == value[name]).all() and got[name].flags.writeable
    assert got["text"] == value["text"]


def test_buffers_are_aligned(pipe, way):
    got = through(pipe, [facula.ones(3, dtype=facula.uint8), facula.ones(5, dtype=facula.float64)])
    assert [t.data_ptr() % t.itemsize for t in got] == [0, 0]


def test_a_result_of_autograd_is_refused():
    x = facula.ones(2, requires_grad=True) * 2
    with pytest.raises(RuntimeError, match=r"float32 tensor of shape \[2\].*detach"):
        messages.dumps(x)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="reads /proc")
def test_no_descriptor_is_left(pipe, monkeypatch):
    monkeypatch.setattr(messages, "SHARED_FROM", 0)
    before = len(os.listdir("/proc/self/fd"))
    kept = [through(pipe, facula.ones(1000)) for _ in range(20)]  # more than a few may be kept
    assert len(os.listdir("/proc/self/fd")) == before
    assert all(t.sum().item() == 1000 for t in kept)


def test_the_other_end_is_gone(pipe):
    pipe[0].close()
    with pytest.raises((EOFError, OSError)):
        messages.receive(pipe[1])


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="reads /proc")
def test_memory_goes_with_the_last_array(pipe, monkeypatch):
    monkeypatch.setattr(messages, "SHARED_FROM", 0)

    def mapped():
        with open("/proc/self/maps") as f:
            return sum("facula-batch" in line for line in f)

    got = through(pipe, [facula.ones(1000), facula.zeros(1000)])
    last = got[1][10:20]
    assert mapped() == 1
    del got
    assert mapped() == 1 and last.sum().item() == 0
    del last
    assert mapped() == 0
