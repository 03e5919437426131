"""Functions of the user: what they may change in place, and what they keep."""

from __future__ import annotations

from nn.stored import agrees, raised

import facula as torch


def functions(torch):
    """Doubles its operand in place; the cube, which keeps its operand."""

    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x.mul_(2)

        @staticmethod
        def backward(ctx, g):
            return g * 2

    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * 3 * x * x

    return Double.apply, Cube.apply


@agrees
def test_a_base_and_its_views_see_what_a_function_did_in_place(torch):
    double, _ = functions(torch)
    out = []
    for whole in (True, False):
        x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
        y = x * 1
        v = y[:2]
        double(y if whole else v)
        out += [y, v, y._version]
        (y.sum() + (v * v).sum()).backward()
        out.append(x.grad)
    z = torch.ones(2)
    part = z[:1]
    double(part)
    return [*out, z, z._version, part._version]


@agrees
def test_what_may_not_be_changed_in_place(torch):
    double, _ = functions(torch)
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * 1
    with torch.no_grad():
        bare = y[:1]
    return [
        *[raised(double, t) for t in (x, x[:1], y.unbind()[0], bare, torch.ones(1).expand(2))],
        x,
        x._version,
        y,
    ]


@agrees
def test_what_a_function_keeps_is_freed_and_checked(torch):
    _, cube = functions(torch)
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = cube(x)
    y.sum().backward(retain_graph=True)
    y.backward(torch.ones(2))
    out = [x.grad, raised(y.sum().backward)]
    z = x * 1
    y = cube(z)
    z.add_(1)
    out.append(raised(y.sum().backward))
    with torch.no_grad():
        out.append(cube(x).requires_grad)
    return out


def test_a_tensor_that_a_function_changed_has_no_gradient_yet():
    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x.mul_(2)

        @staticmethod
        def backward(ctx, g):
            return g * 2

    t = torch.ones(2).requires_grad_() * 2
    t.grad = torch.ones(2)
    Twice.apply(t)
    assert t.grad is None
    t = torch.ones(2)
    t.grad = torch.ones(2)
    Twice.apply(t)
    assert t.grad.tolist() == [1.0, 1.0]  # nothing was recorded
