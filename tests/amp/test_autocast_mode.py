"""The context: what is on where, and what is back after it."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

import facula
from facula.ops import table
from facula.utils.checkpoint import checkpoint

STORED = json.loads((Path(__file__).resolve().parents[1] / "data" / "amp.json").read_text())


def product() -> facula.dtype:
    return (facula.ones(2, 2) @ facula.ones(2, 2)).dtype


def test_nesting() -> None:
    assert product() is facula.float32
    with facula.autocast("cpu"):
        assert facula.is_autocast_enabled("cpu")
        assert not facula.is_autocast_enabled()
        assert product() is facula.bfloat16
        with facula.autocast("cpu", dtype=facula.float16):
            assert facula.get_autocast_dtype("cpu") is facula.float16
            assert product() is facula.float16
        with facula.autocast("cpu", enabled=False):
            assert product() is facula.float32
        assert product() is facula.bfloat16
    assert product() is facula.float32
    assert facula.get_autocast_dtype("cpu") is facula.bfloat16
    assert table.MIXED not in table.OVERRIDES  # calls are no longer looked at


def test_errors_leave_it() -> None:
    with pytest.raises(RuntimeError, match="shapes"), facula.autocast("cpu"):
        facula.mm(facula.ones(2, 3), facula.ones(2, 3))
    assert product() is facula.float32
    assert table.MIXED not in table.OVERRIDES


def test_decorator_and_switches() -> None:
    assert facula.autocast("cpu")(product)() is facula.bfloat16
    with pytest.raises(TypeError, match="callable"):
        facula.autocast("cpu")(3)
    facula.set_autocast_enabled("cpu", True)
    try:
        assert facula.is_autocast_cpu_enabled()
        assert product() is facula.bfloat16
        facula.set_autocast_dtype("cpu", facula.float16)
        assert product() is facula.float16
    finally:
        facula.set_autocast_enabled("cpu", False)
        facula.set_autocast_dtype("cpu", facula.bfloat16)
    assert product() is facula.float32


def test_other_threads_are_not_concerned() -> None:
    seen = []
    with facula.autocast("cpu"):
        thread = threading.Thread(target=lambda: seen.append(product()))
        thread.start()
        thread.join()
    assert seen == [facula.float32]


def test_kinds_of_devices_and_dtypes() -> None:
    with pytest.raises(ValueError, match="type `str`"):
        facula.autocast(0)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="unsupported autocast device_type 'meta'"):
        facula.autocast("meta")
    with pytest.warns(UserWarning, match="target dtype is not supported"):
        off = facula.autocast("cpu", dtype=facula.float64)
    with off:
        assert product() is facula.float32
    with pytest.warns(UserWarning, match="CUDA is not available"), facula.autocast("cuda"):
        assert product() is facula.float32


def test_gradients_come_in_the_dtype_of_the_leaf() -> None:
    w = facula.ones(2, 2, requires_grad=True)
    with facula.autocast("cpu"):
        y = facula.relu(facula.ones(3, 2) @ w) @ w
        assert y.dtype is facula.bfloat16
        y.float().sum().backward()  # inside or outside: the same
    inside = w.grad
    w.grad = None
    with facula.autocast("cpu"):
        y = checkpoint(lambda v: facula.relu(facula.ones(3, 2) @ v) @ v, w, use_reentrant=False)
    y.float().sum().backward()
    assert inside.dtype is w.grad.dtype is facula.float32
    assert inside.tolist() == w.grad.tolist() == [[12.0, 12.0], [12.0, 12.0]]


class Twice(facula.autograd.Function):
    seen: list[object] = []

    @staticmethod
    @facula.amp.custom_fwd(device_type="cpu", cast_inputs=facula.float16)
    def forward(ctx, x):
        Twice.seen.append((x.dtype, product()))
        return x * 2

    @staticmethod
    @facula.amp.custom_bwd(device_type="cpu")
    def backward(ctx, g):
        Twice.seen.append(product())
        return g * 2


class Plain(facula.autograd.Function):
    seen: list[object] = []

    @staticmethod
    @facula.amp.custom_fwd(device_type="cpu")
    def forward(ctx, x):
        return x * 2

    @staticmethod
    @facula.amp.custom_bwd(device_type="cpu")
    def backward(ctx, g):
        Plain.seen.append(product())
        return g * 2


def test_functions_of_the_user() -> None:
    x = facula.ones(2, requires_grad=True)
    with facula.autocast("cpu"):
        a, b = Twice.apply(x), Plain.apply(x)
    (a.sum() + b.sum()).backward()
    assert Twice.seen == [(facula.float16, facula.float32), facula.float32]
    assert Plain.seen == [facula.bfloat16]
    assert x.grad.tolist() == [4.0, 4.0]


def test_subclasses_keep_it() -> None:
    class Marked(facula.Tensor):
        pass

    x = facula.ones(2, 2).as_subclass(Marked)
    with facula.autocast("cpu"):
        assert (x @ x).dtype is facula.bfloat16
    table.OVERRIDES.remove(Marked)


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_training_as_in_pytorch(name: str) -> None:
    facula.manual_seed(0)
    nn = facula.nn
    net = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 4))
    x, y = facula.randn(32, 8), facula.randn(32, 4)
    optimizer = facula.optim.SGD(net.parameters(), lr=0.1)
    scaler = facula.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=3)
    losses, scales = [], []
    for i in range(10):
        optimizer.zero_grad()
        with facula.autocast("cpu", dtype=getattr(facula, name)):
            loss = nn.functional.mse_loss(net(x), y)
        scaler.scale(loss).backward()
        if i == 5:
            net[0].weight.grad[0, 0] = float("inf")
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
        scales.append(scaler.get_scale())
    stored = STORED["training"]
    assert scales == stored[f"{name} scales"]
    near = {"bfloat16": 4e-3, "float16": 5e-4}[name]  # half of the last digit, ten steps long
    assert losses == pytest.approx(stored[f"{name} losses"], rel=near)
    weight = net[0].weight.detach().flatten()[:6].tolist()
    assert weight == pytest.approx(stored[f"{name} weight"], abs=near)
