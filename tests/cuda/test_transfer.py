"""Tensors that go to the device and come back, and questions about where they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import facula as torch


def test_there_and_back(device: Any, rng: Any) -> None:
    for a in (rng.standard_normal((3, 4)), rng.integers(0, 9, 5), np.array(True), np.zeros((0, 2))):
        t = torch.from_numpy(a)
        u = t.to("cuda")
        assert u.is_cuda and not u.is_cpu and u.device == torch.device("cuda", 0)
        np.testing.assert_array_equal(u.cpu().numpy(), a)
        assert u.to("cuda") is u and t.cpu() is t and u.cuda() is u


def test_strides_travel(device: Any) -> None:
    a = torch.arange(12.0).reshape(3, 4).t()
    u = a.to("cuda")
    assert u.stride() == a.stride() and torch.equal(u.cpu(), a)
    assert torch.equal(u[1:, ::2].cpu(), a[1:, ::2])


def test_gradients_travel(device: Any) -> None:
    a = torch.tensor([1.0, 2.0], requires_grad=True)
    ((a * 2).to("cuda") ** 2).sum().cpu().backward()
    assert a.grad.tolist() == [8.0, 16.0] and a.grad.is_cpu


def test_values_can_be_read(device: Any) -> None:
    a = torch.tensor([1.5, 2.5], device="cuda")
    assert a.tolist() == [1.5, 2.5] and a[1].item() == 2.5 and bool(a[0] > 1)
    assert repr(a) == "tensor([1.5000, 2.5000], device='cuda:0')"
    with pytest.raises(TypeError, match="can't convert cuda:0 device type tensor to numpy"):
        a.numpy()


def test_made_on_the_device(device: Any) -> None:
    for f in (
        lambda d: torch.zeros(2, 3, device=d),
        lambda d: torch.ones(3, device=d, dtype=torch.int64),
        lambda d: torch.full((2,), 7.0, device=d),
        lambda d: torch.arange(5, device=d),
        lambda d: torch.linspace(0, 1, 4, device=d),
        lambda d: torch.eye(3, device=d),
        lambda d: torch.as_tensor([1, 2], device=d),
        lambda d: torch.zeros_like(torch.ones(2, device=d)) + 1,
        lambda d: torch.ones(3, device=d).new_full((2,), 4.0),
        lambda d: torch.nonzero(torch.tensor([0, 1, 1], device=d)),
    ):
        got, want = f("cuda"), f("cpu")
        assert got.is_cuda and got.dtype is want.dtype and torch.equal(got.cpu(), want)


def test_modules_and_copies_move(device: Any) -> None:
    import copy

    model = torch.nn.Linear(3, 2).to("cuda")
    assert all([p.is_cuda and p.is_leaf and p.requires_grad for p in model.parameters()])
    again = copy.deepcopy(model)
    again.load_state_dict(model.cpu().state_dict())
    assert again.weight.is_cuda
    b = torch.zeros(2, device="cuda")
    b.copy_(torch.tensor([3, 4]))
    assert b.tolist() == [3.0, 4.0]


def test_checkpoints_say_where_tensors_were(device: Any) -> None:
    import io

    a = torch.arange(6.0).reshape(2, 3).to("cuda")
    file = io.BytesIO()
    torch.save({"a": a, "row": a[1], "cpu": torch.ones(2)}, file)
    for there, want in ((None, "cuda"), ("cpu", "cpu"), (torch.device("cuda"), "cuda")):
        file.seek(0)
        got = torch.load(file, map_location=there)
        assert got["a"].device.type == want and torch.equal(got["a"].cpu(), a.cpu())
        got["a"].zero_()
        assert got["row"].tolist() == [0.0] * 3  # the same memory
        assert got["cpu"].device.type == ("cpu" if there is None else want)


def test_memory_is_counted_and_used_again(device: Any) -> None:
    before = torch.cuda.memory_allocated()
    a = torch.zeros(1000, device="cuda") + 1
    a.sum().item()
    assert torch.cuda.memory_allocated() >= before + 4000
    assert torch.cuda.max_memory_allocated() >= torch.cuda.memory_allocated()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    assert a.sum().item() == 1000
    assert torch.cuda.get_device_name() and torch.cuda.current_device() == 0
    assert torch.cuda.get_device_properties(0).total_memory > 0


def test_events_and_streams(device: Any) -> None:
    begin, end = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
    begin.record()
    with torch.cuda.stream(torch.cuda.Stream()):
        a = torch.ones(3, device="cuda") + 1
    end.record()
    assert begin.elapsed_time(end) >= 0 and end.query()
    assert a.tolist() == [2.0] * 3


def test_another_device_is_refused(device: Any) -> None:
    with pytest.raises((RuntimeError, NotImplementedError), match="cuda:7"):
        torch.zeros(2, device="cuda:7")


def test_sparse_tensors_stay_on_the_cpu(device: Any) -> None:
    i, v = torch.tensor([[0, 1], [1, 0]]), torch.ones(2)
    s = torch.sparse_coo_tensor(i, v, (2, 2))
    rows = torch.tensor([0, 1, 2])
    for f in (
        lambda: s.to("cuda"),
        lambda: s.to_sparse_csr().cuda(),
        lambda: torch.eye(2).cuda().to_sparse(),
        lambda: torch.sparse_coo_tensor(i, v, (2, 2), device="cuda"),
        lambda: torch.sparse_coo_tensor(i, v.cuda(), (2, 2)),
        lambda: torch.sparse_coo_tensor((2, 2), device="cuda"),
        lambda: torch.sparse_csr_tensor(rows, i[1], v.cuda(), (2, 2)),
        lambda: torch.sparse_csc_tensor(rows, i[1], v, (2, 2), device="cuda"),
        lambda: torch.nn.Embedding(4, 2, sparse=True).cuda()(i.cuda()),
    ):
        with pytest.raises(NotImplementedError, match="sparse tensors are on the CPU only"):
            f()
