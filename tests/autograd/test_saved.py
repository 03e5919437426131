"""Hooks on what is saved for backward; edges of the graph; hooks for several gradients."""

from __future__ import annotations

import math

import pytest
from nn.stored import agrees, raised

import facula


@agrees
def test_values_go_through_the_hooks(torch):
    graph = torch.autograd.graph
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    log = []

    def pack(t):
        log.append("pack")
        return t * 2

    def unpack(t):
        log.append("unpack")
        return t / 2

    with graph.saved_tensors_hooks(pack, unpack):
        y = (x * x).exp()
    (y * 1.0).sum().backward()
    return [x.grad, "pack" in log, "unpack" in log, log[0]]


@agrees
def test_second_derivatives_through_hooks(torch):
    x = torch.tensor([0.5, 1.5], requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.detach().numpy(), torch.from_numpy):
        y = x.sin() * x
    (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    (h,) = torch.autograd.grad(g.sum(), x)
    return [g, h]


@agrees
def test_a_pass_inside_the_block(torch):
    x = torch.tensor([0.5, 1.5], requires_grad=True)
    count = [0]

    def unpack(t):
        count[0] += 1
        return t

    with torch.autograd.graph.saved_tensors_hooks(lambda t: t, unpack):
        y = x.exp()
        y.sum().backward()
    return [x.grad, count[0]]


@agrees
def test_functions_and_devices(torch):
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * 2 * x

    x = torch.tensor([3.0], requires_grad=True)
    log = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: log.append(1) or [t], lambda t: t[0]):
        y = Square.apply(x)
    y.backward()
    z = torch.tensor([2.0], requires_grad=True)
    with torch.autograd.graph.save_on_cpu():
        w = z.exp() * z
    w.backward()
    return [x.grad, len(log), z.grad]


@agrees
def test_refusals(torch):
    graph = torch.autograd.graph
    x = torch.tensor([2.0], requires_grad=True)

    def forbidden():
        hooks = graph.saved_tensors_hooks(lambda t: t, lambda t: t)
        with graph.disable_saved_tensors_hooks("not now"), hooks:
            pass

    with graph.saved_tensors_hooks(lambda t: t, lambda t: 3):
        y = x.exp()
    return [raised(forbidden), raised(y.backward), raised(graph.get_gradient_edge, torch.ones(1))]


@agrees
def test_several_gradients(torch):
    graph = torch.autograd.graph
    a, b, c = [torch.tensor([float(i)], requires_grad=True) for i in (1, 2, 3)]
    seen, first = [], []
    handle = graph.register_multi_grad_hook((a, b, c), lambda gs: seen.append(list(gs)))
    graph.register_multi_grad_hook((a, b), lambda g: first.append(1), mode="any")
    (a * b).sum().backward()
    (a * b * c).sum().backward()
    handle.remove()
    (a * b).sum().backward()
    edge = graph.get_gradient_edge(a * 2)
    kinds = [isinstance((a * 2).grad_fn, graph.Node), isinstance(edge.node, graph.Node)]
    return [[[g for g in gs if g is not None] for gs in seen], len(first), kinds, edge.output_nr]


def test_counting_a_write_from_outside():
    x = facula.ones(2, requires_grad=True)
    y = facula.ones(2)
    z = (x * y).sum()
    facula.autograd.graph.increment_version(y)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.backward()


def test_what_a_node_saved_can_be_looked_at():
    a, b = facula.tensor([2.0, 3.0], requires_grad=True), facula.tensor([5.0, 7.0])
    for after in (False, True):
        y = a * b
        z = y.exp()
        if after:
            z.sum().item()
        assert y.grad_fn._saved_self is None  # b takes no gradient
        assert (a * a).grad_fn._saved_self.equal(a)
        assert y.grad_fn._saved_other.tolist() == [5.0, 7.0]
        out = z.grad_fn._saved_result
        assert out is not z and out.equal(z) and out.requires_grad
        assert out.grad_fn.name() == "ExpBackward0"
        with pytest.raises(AttributeError, match="_saved_self"):
            z.grad_fn._saved_self
    kept = y.grad_fn
    z.sum().backward()
    with pytest.raises(RuntimeError, match="freed"):
        kept._saved_other
    with facula.autograd.graph.saved_tensors_hooks(lambda x: x.tolist(), facula.tensor):
        y = a * a
    assert y.grad_fn._saved_self.tolist() == [2.0, 3.0]


def test_hooks_may_read_what_requires_grad():
    x = facula.ones(2, requires_grad=True)
    seen = []

    def pack(t):
        seen.append((t.requires_grad, facula.is_grad_enabled()))
        return t.numpy()

    class Twice(facula.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            ctx.save_for_backward(x)
            return a * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2 * ctx.saved_tensors[0]

    with facula.autograd.graph.saved_tensors_hooks(pack, facula.from_numpy):
        y = (x**2).sum() + Twice.apply(x).sum()
    y.backward()
    assert x.grad.tolist() == [4.0, 4.0]
    assert seen == [(True, False)] * 2


def test_what_a_hook_has_may_be_written_to():
    x = facula.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    with facula.autograd.graph.saved_tensors_hooks(lambda t: t.detach().clone(), lambda t: t):
        z = y.exp() * y
    y.copy_(z)
    y.sum().backward()
    want = [2 * (1 + v) * math.exp(v) for v in (2.0, 4.0)]
    facula.testing.assert_close(x.grad, facula.tensor(want))


# An operation of x = [1, 2], and what its node has under PyTorch's names: no other name of these.
SAVED = [
    (lambda x: x.relu(), {"result": [1, 2]}),
    (lambda x: x * x, {"self": [1, 2], "other": [1, 2]}),
    (lambda x: x**3, {"self": [1, 2], "exponent": 3}),
    (lambda x: facula.nn.functional.gelu(x), {"self": [1, 2]}),
    (lambda x: x.std(), {"self": [1, 2], "result": 0.5**0.5}),
    (lambda x: facula.where(x > 1, x, x), {"condition": [False, True]}),
    (lambda x: x[facula.tensor([0])], {}),
    (lambda x: x.log(), {"self": [1, 2]}),
]


@pytest.mark.parametrize("case", range(len(SAVED)))
def test_the_names_of_what_nodes_saved(case):
    operation, want = SAVED[case]
    node = operation(facula.tensor([1.0, 2.0], requires_grad=True)).grad_fn
    found = {}
    for name in ("self", "other", "result", "exponent", "condition", "mat2", "weight"):
        value = getattr(node, f"_saved_{name}", None)
        if value is not None:
            found[name] = value.tolist() if hasattr(value, "tolist") else value
    assert found == {k: pytest.approx(v) if k == "result" else v for k, v in want.items()}


def test_saved_values_that_may_be_written_to():
    a = facula.tensor([1.0, 2.0], requires_grad=True)
    b = facula.tensor([3.0, 4.0])
    assert b.sum().item() == 7  # in memory, not only recorded

    def run():
        c = a.clone()
        out = (c**2 * b).sum() + Product.apply(c, b).sum()
        c[:1].mul_(10)
        b.add_(1)
        return out

    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        run().backward()
    b.sub_(1)
    allowed = facula.autograd.graph.allow_mutation_on_saved_tensors
    with allowed():
        run().backward()
        assert a.grad.tolist() == [2 * 3 + 3, 4 * 4 + 4]
        with pytest.raises(RuntimeError, match="cannot be nested"), allowed():
            pass
        c = a.clone()
        out = (c**2).sum()
        c.sin_()
        (g,) = facula.autograd.grad(out, a, create_graph=True)
        assert facula.autograd.grad(g.sum(), a)[0].tolist() == [2, 2]


class Product(facula.autograd.Function):
    @staticmethod
    def forward(ctx, a, b):
        ctx.save_for_backward(a, b)
        return a * b

    @staticmethod
    def backward(ctx, g):
        a, b = ctx.saved_tensors
        return g * b, g * a


def test_the_names_of_what_a_node_has_saved():
    a = facula.tensor([1.0, 2.0], requires_grad=True)
    for out, expected in (
        (a.exp(), ["result"]),
        (a * a.exp(), ["self", "other"]),
        (a.reshape(1, 2) @ a.exp().reshape(2, 1), ["self", "mat2"]),
        (a + 1, []),
    ):
        node = out.grad_fn
        names = [n for n in dir(node) if n.startswith("_saved_")]
        assert sorted(names) == sorted(["_saved_" + n for n in expected])
        for n in names:
            assert getattr(node, n) is not None
            assert isinstance(getattr(node, "_raw" + n), facula.autograd.SavedTensor)
    with pytest.raises(RuntimeError, match="from Python is forbidden"):
        facula.autograd.SavedTensor()


def test_a_saved_leaf_is_the_leaf():
    a = facula.tensor([1.0, 2.0], requires_grad=True)
    y = a.sin() * a
    assert y.grad_fn._saved_other is a
    with facula.no_grad():
        a.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        _ = y.grad_fn._saved_other


def test_hooks_of_one_saved_value():
    a = facula.tensor([1.0, 2.0], requires_grad=True)
    y = a * a
    y.grad_fn._raw_saved_self.register_hooks(lambda t: 2 * t, lambda t: t / 2)
    y.grad_fn._raw_saved_other.register_hooks(lambda t: 3 * t, lambda t: t)
    with pytest.raises(RuntimeError, match="have already been set"):
        y.grad_fn._raw_saved_other.register_hooks(lambda t: t, lambda t: t)
    y.sum().backward()
    assert a.grad.tolist() == [1 + 3, 2 + 6]
    y = a.exp()
    raw = y.grad_fn._raw_saved_result
    y.sum().backward()
    with pytest.raises(RuntimeError, match="after it has been freed"):
        raw.register_hooks(lambda t: t, lambda t: t)


def test_a_hook_may_not_write_to_what_is_saved():
    a = facula.tensor([1.0, 2.0], requires_grad=True)
    match = "pack hook is modifying its input in place"
    with pytest.raises(RuntimeError, match=match):
        a.exp().grad_fn._raw_saved_result.register_hooks(lambda t: t.add_(1), lambda t: t)
    hooks = facula.autograd.graph.saved_tensors_hooks(lambda t: t.add_(1), lambda t: t)
    with pytest.raises(RuntimeError, match=match), hooks:
        y = a.exp()
        assert y.requires_grad
    with pytest.raises(RuntimeError, match=match), hooks:
        Product.apply(a, a.detach())


def test_a_block_of_hooks_that_a_hook_begins_ends_with_the_pass():
    log = []
    hooks = facula.autograd.graph.saved_tensors_hooks(lambda t: log.append(1) or t, lambda t: t)
    a = facula.tensor([1.0, 2.0], requires_grad=True)
    y = a.exp()
    y.register_hook(lambda g: hooks.__enter__())
    y.sum().backward()
    a.exp().sum().backward()
    assert not log and a.grad.tolist() == (2 * a.exp()).tolist()


def test_hooks_see_a_value_with_its_history():
    """The names are PyTorch's: the node that made the value; none for a leaf and a constant."""
    seen = []

    def pack(t):
        seen.append((type(t.grad_fn).__name__, t.requires_grad, t.is_leaf))
        return t

    a = facula.tensor([1.0, 2.0, 3.0], requires_grad=True)
    with facula.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        b = a.exp()
        c = (b * a).sin() * facula.tensor(2.0)
    b.grad_fn._raw_saved_result  # a name alone calls no hook
    assert seen == [
        ("ExpBackward0", True, False),
        ("NoneType", True, True),
        ("ExpBackward0", True, False),
        ("MulBackward0", True, False),
        ("NoneType", False, True),
    ]
    (g,) = facula.autograd.grad(c.sum(), a)
    x = a.detach()
    facula.testing.assert_close(g, 2 * (x.exp() * x).cos() * (x.exp() * x + x.exp()))
    d = a.exp()
    d.grad_fn._raw_saved_result.register_hooks(pack, lambda t: t)
    assert seen[-1] == ("ExpBackward0", True, False)
