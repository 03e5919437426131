"""Hooks of nodes, and gradients of another dtype: as PyTorch 2.13 does."""

from __future__ import annotations

import pytest

import facula as torch

# What a hook returns, given the gradients; then what comes of it before and after the node of
# w * 2, and after that of w * v, which has two: gradients of w (and of v), or the error.
RETURNED = [
    (lambda g: (g[0] * 2, *g[1:]), [12, None], [12, None], [6, 3]),
    (lambda g: g[0] * 2, TypeError, TypeError, TypeError),
    (lambda g: [g[0] * 2], TypeError, TypeError, TypeError),
    (lambda g: (), RuntimeError, RuntimeError, RuntimeError),
    (lambda g: (*g, None), RuntimeError, RuntimeError, RuntimeError),
    (lambda g: (None,) * len(g), [None, None], [None, None], [None, None]),
    (lambda g: (g[0].double(), *g[1:]), RuntimeError, RuntimeError, RuntimeError),
    (lambda g: (g[0].sum(), *g[1:]), RuntimeError, RuntimeError, RuntimeError),
    (lambda g: (3, *g[1:]), TypeError, TypeError, TypeError),
    (lambda g: None, [6, None], [6, None], [3, 3]),
]


@pytest.mark.parametrize("case", range(len(RETURNED)))
def test_what_hooks_of_nodes_return(case):
    make, *expected = RETURNED[case]
    for want, place in zip(expected, ("before", "after", "two"), strict=True):
        w, v = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
        y = w * v if place == "two" else w * 2
        if place == "before":
            y.grad_fn.register_prehook(make)
        else:
            y.grad_fn.register_hook(lambda inner, outer: make(inner))
        if isinstance(want, list):
            got = torch.autograd.grad((y * 3).sum(), [w, v], allow_unused=True)
            assert [None if g is None else g.tolist()[0] for g in got] == want
        else:
            with pytest.raises(want):
                torch.autograd.grad((y * 3).sum(), [w, v], allow_unused=True)


def test_hooks_see_a_place_for_the_number():
    w = torch.ones(2, requires_grad=True)
    y = w * 2
    seen = []
    y.grad_fn.register_hook(lambda inner, outer: seen.append((len(inner), inner[1], len(outer))))
    y.sum().backward()
    assert seen == [(2, None, 1)]


@pytest.mark.parametrize("made", ["float64", "float16", "int64"])
def test_a_function_of_the_user_may_return_gradients_of_another_dtype(made):
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return (g * 2).to(getattr(torch, made))

    w = torch.ones(2, requires_grad=True)
    for _ in range(2):
        w.grad = None
        (Double.apply(w).sum() + Double.apply(w * 3).sum()).backward()
        assert w.grad.dtype is torch.float32
        assert w.grad.tolist() == [8, 8]


def test_a_function_of_the_user_returns_no_complex_gradient_of_a_real_number():
    class Turned(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2j

    w = torch.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="complex64"):
        Turned.apply(w).sum().backward()


def test_hooks_of_the_end_of_the_graph():
    w = torch.ones(2, requires_grad=True)
    end = (w * 1).grad_fn.next_functions[0][0]
    seen = []
    w.register_hook(lambda g: g * 2)
    end.register_prehook(lambda out: seen.append(out[0].tolist()))
    handle = end.register_hook(lambda inner, out: seen.append((inner, w.grad.tolist())))
    end.metadata["name"] = "w"
    for _ in range(3):  # a pass that is known calls them, too
        w.grad = None
        (w * 3).sum().backward()
    handle.remove()
    (w * 3).sum().backward()
    assert seen == [[6, 6], ((), [6, 6])] * 3 + [[6, 6]] and end.metadata == {"name": "w"}


def test_the_order_of_hooks_where_a_gradient_is_added():
    w = torch.ones(2, requires_grad=True)
    end = (w * 1).grad_fn.next_functions[0][0]
    seen = []
    end.register_hook(lambda *_: seen.append("node"))
    w.register_post_accumulate_grad_hook(lambda w: seen.append("tensor"))
    end.register_prehook(lambda _: seen.append("before the node"))
    w.register_hook(lambda _: seen.append("gradient"))
    w.sum().backward()
    assert seen == ["gradient", "before the node", "tensor", "node"]


def test_a_hook_after_a_gradient_is_added_returns_nothing_or_the_leaf():
    w = torch.zeros(2, requires_grad=True)
    w.register_post_accumulate_grad_hook(lambda w: w.add_(w.grad, alpha=-1))
    (w * 3).sum().backward()
    assert w.tolist() == [-3, -3]
    for given, error, says in (
        (3, TypeError, "hook '<lambda>' returned 'int'"),
        (torch.ones(2), RuntimeError, "hooks should return None"),
    ):
        w = torch.zeros(2, requires_grad=True)
        w.register_post_accumulate_grad_hook(lambda w, given=given: given)
        with pytest.raises(error, match=says):
            w.sum().backward()
