"""The nodes of the graph as users see them."""

from __future__ import annotations

import pytest

import facula as torch
from facula.autograd import nodes

F = torch.nn.functional


def leaf(*shape):
    return torch.ones(*shape, requires_grad=True)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("AddBackward0", lambda x: x + x),
        ("AddmmBackward0", lambda x: F.linear(x, leaf(4, 3), leaf(4))),
        ("BmmBackward0", lambda x: torch.bmm(leaf(2, 3, 4), leaf(2, 4, 3))),
        ("ExpBackward0", lambda x: x.exp()),
        ("MeanBackward0", lambda x: x.mean()),
        ("MmBackward0", lambda x: F.linear(x, leaf(4, 3))),
        ("MulBackward0", lambda x: x * 2),
        ("NativeLayerNormBackward0", lambda x: F.layer_norm(x, (3,))),
        ("NllLossBackward0", lambda x: F.cross_entropy(x, torch.tensor([0, 1]))),
        ("PowBackward0", lambda x: x**2),
        ("ReluBackward0", lambda x: x.relu()),
        ("SelectBackward0", lambda x: x[0]),
        ("SliceBackward0", lambda x: x[:, 1:]),
        ("SumBackward1", lambda x: x.sum(1)),
        ("ViewBackward0", lambda x: x.view(6)),
    ],
)
def test_nodes_have_pytorchs_classes(name, make):
    node = make(leaf(2, 3)).grad_fn
    assert type(node).__name__ == node.name() == name
    assert repr(type(node)) == f"<class '{name}'>" and repr(node).startswith(f"<{name} object at ")
    assert isinstance(node, torch.autograd.graph.Node)


def test_the_graph_can_be_walked_by_the_names_of_classes():
    w = leaf(2)
    names = []
    node = ((w * 2).exp() + w).sum().grad_fn
    pending = [node]
    while pending:
        node = pending.pop()
        names.append(type(node).__name__)
        pending += [n for n, _ in node.next_functions if n is not None]
    assert names == [
        "SumBackward0", "AddBackward0", "AccumulateGrad", "ExpBackward0", "MulBackward0",
        "AccumulateGrad",
    ]  # fmt: skip


def test_one_class_for_nodes_of_one_name_and_one_node_for_a_result():
    x = leaf(2)
    y, z = x * 2, x * 3
    assert type(y.grad_fn) is type(z.grad_fn) and y.grad_fn is y.grad_fn
    assert type(torch.autograd.graph.get_gradient_edge(y).node) is type(y.grad_fn)


def test_a_node_that_was_looked_at_runs_its_hooks_and_its_formula():
    x = leaf(2)
    y = x * 2
    seen = []
    y.grad_fn.register_hook(lambda grads, outputs: seen.append(type(y.grad_fn).__name__))
    y.sum().backward()
    assert x.grad.tolist() == [2, 2] and seen == ["MulBackward0"]


def test_a_function_of_the_users_has_its_own_name():
    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

    node = Twice.apply(leaf(2)).grad_fn
    assert type(node).__name__ == node.name() and "Twice" in node.name()


def test_backward_passes_give_nodes_no_names():
    """Names are for those who look: a pass over nodes that nobody saw makes no class."""
    before = set(nodes._CLASSES)
    x = leaf(2)
    x.sinh().sum().backward(create_graph=True)
    assert set(nodes._CLASSES) == before
