"""Custom functions under vmap and the transforms of derivatives."""

from __future__ import annotations

import pytest

import facula
from facula.autograd import Function
from facula.func import grad, jacrev, jvp, vmap


class Cube(Function):
    """A function of the new style, whose forward and backward can be called on batches."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x**3

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * 3 * x**2


class Scale(Function):
    """Of the old style, with two operands and two outputs."""

    generate_vmap_rule = True

    @staticmethod
    def forward(ctx, x, w, n):
        ctx.save_for_backward(x, w)
        ctx.n = n
        return x * w * n, x.sum()

    @staticmethod
    def backward(ctx, g, h):
        x, w = ctx.saved_tensors
        return g * w * ctx.n + h, g * x * ctx.n, None


class Own(Function):
    """With a rule of its own."""

    seen: list = []

    @staticmethod
    def forward(x, y):
        return x * y

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, g):
        x, y = ctx.saved_tensors
        return g * y, g * x

    @staticmethod
    def vmap(info, in_dims, x, y):
        Own.seen.append((info.batch_size, info.randomness, in_dims))
        y = y if in_dims[1] is not None else y.unsqueeze(0)
        return Own.apply(x, y).movedim(0, -1), -1


X = facula.tensor([[1.0, -2.0, 0.5], [3.0, 0.25, -1.0]])


def test_transforms_of_derivatives():
    assert grad(lambda t: Cube.apply(t).sum())(X[0]).tolist() == (3 * X[0] ** 2).tolist()
    assert grad(grad(Cube.apply))(facula.tensor(2.0)).item() == 12
    assert jvp(Cube.apply, (X[0],), (X[1],))[1].tolist() == (3 * X[0] ** 2 * X[1]).tolist()
    assert jacrev(Cube.apply)(X[0]).tolist() == facula.diag(3 * X[0] ** 2).tolist()


def test_a_generated_rule():
    assert vmap(Cube.apply)(X).tolist() == (X**3).tolist()
    assert vmap(vmap(Cube.apply))(X).tolist() == (X**3).tolist()
    each = vmap(grad(lambda t: Cube.apply(t).sum()))(X)
    assert each.tolist() == (3 * X**2).tolist()
    each = vmap(grad(lambda t: grad(lambda s: Cube.apply(s).sum())(t).sum()))(X)
    assert each.tolist() == (6 * X).tolist()


def test_a_generated_rule_sums_over_what_is_not_mapped():
    x, w = X.clone().requires_grad_(), facula.tensor([0.5, 2.0, -1.0], requires_grad=True)
    out, total = vmap(lambda t, u: Scale.apply(t, u, 2.0), in_dims=(0, None))(x, w)
    assert out.tolist() == (X * w * 2).tolist() and total.tolist() == X.sum(1).tolist()
    (out.sum() + 10 * total.sum()).backward()
    facula.testing.assert_close(x.grad, (2 * w.detach() + 10).expand(2, 3))
    facula.testing.assert_close(w.grad, 2 * X.sum(0))


def test_a_rule_of_ones_own():
    Own.seen.clear()
    y = facula.tensor([1.0, 2.0, 3.0])
    assert vmap(Own.apply, in_dims=(0, None))(X, y).tolist() == (X * y).tolist()
    assert Own.seen == [(2, "error", (0, None))]
    assert vmap(grad(lambda t: Own.apply(t, t).sum()))(X).tolist() == (2 * X).tolist()


def test_functions_without_a_rule_are_refused_by_name():
    class Plain(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

    class Both(Own):
        generate_vmap_rule = True

    with pytest.raises(RuntimeError, match="vmap over Plain, but it does not have vmap support"):
        vmap(Plain.apply)(X)
    with pytest.raises(RuntimeError, match="vmap over Both, but it has both"):
        vmap(Both.apply)(X, X)
