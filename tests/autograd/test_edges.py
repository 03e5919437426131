"""Places in the graph, given where tensors are."""

from __future__ import annotations

import pytest

import facula as torch
import facula.utils.checkpoint
from facula.autograd.graph import GradientEdge, Node, get_gradient_edge


class Two(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        assert isinstance(ctx, Node)
        return x * 2, x * 3

    @staticmethod
    def backward(ctx, a, b):
        return a * 2 + b * 3


def test_gradients_arrive_at_edges():
    x = torch.ones(2, requires_grad=True)
    y = x * 3
    z = y * 5
    at_x, at_y = get_gradient_edge(x), get_gradient_edge(y)
    for inputs in (at_y, [at_y, y], (y, at_y)):
        found = torch.autograd.grad(z.sum(), inputs, retain_graph=True)
        assert [g.tolist() for g in found] == [[5, 5]] * len(found)
    assert torch.autograd.grad(z.sum(), at_x, retain_graph=True)[0].tolist() == [15, 15]
    z.sum().backward(inputs=(at_y,), retain_graph=True)
    assert x.grad is None
    z.sum().backward(inputs=[at_x, y], retain_graph=True)
    assert x.grad.tolist() == [15, 15] and y.grad.tolist() == [5, 5]


def test_a_pass_begins_at_an_edge():
    x = torch.ones(2, requires_grad=True)
    y = x * 3
    edge, total = get_gradient_edge(y), get_gradient_edge(y.sum())
    del y
    g = torch.tensor([1.0, 2.0])
    for roots, grads in ((edge, g), ([edge], [g]), ((edge, total), (g, None))):
        x.grad = None
        torch.autograd.backward(roots, grads, retain_graph=True)
        want = [3, 6] if roots is edge or len(roots) == 1 else [6, 9]
        assert x.grad.tolist() == want
        assert torch.autograd.grad(roots, x, grads, retain_graph=True)[0].tolist() == want
    assert torch.autograd.grad(total, x, retain_graph=True)[0].tolist() == [3, 3]
    with pytest.raises(RuntimeError, match="only for scalar outputs"):
        torch.autograd.grad(edge, x)
    with pytest.raises(RuntimeError, match="Mismatch in shape"):
        torch.autograd.grad(edge, x, torch.ones(3))
    with pytest.raises(TypeError, match="must be a node"):
        torch.autograd.grad(GradientEdge(1, 0), x)


def test_an_edge_of_one_of_several_results():
    x = torch.ones(2, requires_grad=True)
    a, b = Two.apply(x)
    assert get_gradient_edge(b).output_nr == 1
    edges = GradientEdge(a.grad_fn, a.output_nr), GradientEdge(b.grad_fn, b.output_nr)
    found = torch.autograd.grad((a * 5 + b * 7).sum(), edges, retain_graph=True)
    assert [g.tolist() for g in found] == [[5, 5], [7, 7]]
    found = torch.autograd.grad(get_gradient_edge(b), x, torch.ones(2), retain_graph=True)
    assert found[0].tolist() == [3, 3]
    with pytest.raises(RuntimeError, match="nothing is left"):
        torch.autograd.grad(GradientEdge(a.grad_fn, 2), x)


def test_edges_that_nothing_reaches():
    x, w = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    edge = get_gradient_edge(w)
    assert torch.autograd.grad((x * 2).sum(), edge, allow_unused=True) == (None,)
    with pytest.raises(RuntimeError, match="not have been used"):
        torch.autograd.grad((x * 2).sum(), edge)
    with pytest.raises(RuntimeError, match="materialize_grads"):
        torch.autograd.grad((x * 2).sum(), edge, materialize_grads=True)


def test_what_is_a_node():
    x = torch.ones(2, requires_grad=True)
    ends = (x * 2).grad_fn.next_functions[0][0]
    for node in ((x * 2).grad_fn, Two.apply(x)[0].grad_fn, ends):
        assert isinstance(node, Node) and issubclass(type(node), Node)
    assert not isinstance(1, Node) and not isinstance(Node, Node) and not issubclass(int, Node)
    assert issubclass(Node, Node)


def test_edges_of_a_checkpoint_with_several_results():
    x = torch.tensor([0.5], requires_grad=True)

    def run(x):
        return x * 2, x * 3

    a, b = torch.utils.checkpoint.checkpoint(run, x, use_reentrant=False)
    edge = get_gradient_edge(b)
    g, h = torch.autograd.grad(a + b * 5, (edge, x), retain_graph=True)
    assert (g.item(), h.item()) == (5, 17)
    assert torch.autograd.grad(edge, x)[0].item() == 3
