"""Back-propagation: gradients, errors, orders, depth."""

from __future__ import annotations

import pytest

import facula as torch


def test_accumulation_and_retain_graph():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [4, 8]
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()
    assert x.grad.tolist() == [4, 8]


def test_gradients_share_no_memory():
    a, b = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    (a + b).sum().backward()
    a.grad.zero_()
    assert a.grad.tolist() == [0, 0]
    assert b.grad.tolist() == [1, 1]


def test_third_derivative():
    x = torch.tensor(2.0, requires_grad=True, dtype=torch.float64)
    g = x.pow(4)
    for _ in range(3):
        (g,) = torch.autograd.grad(g, x, create_graph=True)
    assert g.item() == pytest.approx(48)


def test_the_graph_outlives_a_flush():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = (x.exp() * x).sum()
    y.item()
    y.backward()
    e = torch.tensor([1.0, 2.0]).exp()
    assert torch.allclose(x.grad, e * (1 + torch.tensor([1.0, 2.0])))


@pytest.mark.parametrize("flush", [False, True])
def test_a_modified_saved_tensor_is_an_error(flush):
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    x = torch.tensor([3.0, 4.0])
    y = (w * x).sum()
    if flush:
        y.item()
    x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()
    assert w.grad is None


BAD = [
    (lambda: torch.zeros(2, 3).mm(torch.zeros(2, 3)), RuntimeError, "2x3 and 2x3"),
    (lambda: torch.zeros(2).mm(torch.zeros(2, 3)), RuntimeError, "2-D tensor"),
    (lambda: torch.zeros(2, 2).mm(torch.zeros(2, 2).double()), RuntimeError, "same dtype"),
    (lambda: torch.zeros(3)[5], IndexError, "index 5 is out of bounds"),
    (lambda: torch.zeros(3)[torch.tensor([0, 3])], IndexError, "index 3 is out of bounds"),
    (lambda: torch.ones(2, requires_grad=True).add_(1), RuntimeError, "leaf Variable"),
    (lambda: torch.zeros(2, 3).t().view(-1), RuntimeError, "view size is not compatible"),
    (lambda: torch.ones(2, requires_grad=True).exp().backward(), RuntimeError, "scalar outputs"),
    (lambda: torch.zeros(2).add_(torch.zeros(3, 2)), RuntimeError, "broadcast shape"),
    (lambda: torch.arange(3).add_(1.5), RuntimeError, "can't be cast"),
]


@pytest.mark.parametrize(("call", "kind", "text"), BAD)
def test_bad_input(call, kind, text):
    with pytest.raises(kind, match=text):
        call()


def test_a_deep_graph_does_not_recurse():
    x = torch.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(30_000):
        y = y + 1
    y.backward()
    assert x.grad.item() == 1


def test_hooks_and_retain_grad():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    y.retain_grad()
    seen = []
    y.register_hook(lambda g: seen.append(g.tolist()) or g * 10)
    y.sum().backward()
    assert seen == [[1, 1]]
    assert x.grad.tolist() == [20, 20]


def test_custom_function():
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * 3 * x * x

    x = torch.tensor([1.0, 2.0], requires_grad=True)
    Cube.apply(x * 1).sum().backward()
    assert x.grad.tolist() == [3, 12]
