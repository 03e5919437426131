"""Functions of the user: what they may change in place, and what they keep."""

from __future__ import annotations

import pytest
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


@agrees
def test_an_input_that_is_returned_is_a_view_with_a_history_of_its_own(torch):
    """Whoever writes to it, or to what it shares its memory with, would lose that history."""

    class Given(torch.autograd.Function):
        @staticmethod
        def forward(ctx, s, v, value=None):
            if value is not None:
                s.data[:2] = value
            return s

        @staticmethod
        def backward(ctx, g):
            return g * 3, g * 5, None

    out = []
    for pending in (False, True):
        s, v = torch.ones(3), torch.ones(3, requires_grad=True)
        t, w = (s * 1, v * 1) if pending else (s, v)
        k = Given.apply(t, w)
        k.data[0] = 5.0  # not seen by autograd
        k = Given.apply(k, w, w[:2] * 2)
        out += [(k[:2] * k[1:]).exp().sum(), k, k._version, t, t.requires_grad]
        out[-5].backward()
        out.append(v.grad)
        k = Given.apply(t, w)
        part = k[1:]
        out += [raised(f) for f in (lambda: k.add_(1), lambda: part.add_(1), k.detach_)]  # noqa: B023
        out += [raised(k.__setitem__, 0, 1.0), k.requires_grad, k]
        t.add_(1)
        out += [raised(lambda: k * 2), raised(lambda: part * 2), k.detach(), t]  # noqa: B023
    return out


@agrees
def test_functions_after_each_other_within_and_between_frames(torch):
    """Functions of several results, of which some are unused, and of each other's."""
    _, cube = functions(torch)

    class Two(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.save_for_backward(x, y)
            return x * y, x + y

        @staticmethod
        def backward(ctx, g, h):
            x, y = ctx.saved_tensors
            return g * y + h, g * x + h

    out = []
    for i in range(6):
        x = torch.tensor([0.5, 1.0, 2.0], requires_grad=True)
        w = torch.tensor([1.5, -1.0, 0.5], requires_grad=True)
        a, b = Two.apply(x * w, w)
        if i % 3 == 1:
            out.append(a.sum().item())
        c = cube(cube(b * 0.5) + a.tanh())
        if i % 3 == 2:
            out.append(c.sum().item())
        d, _ = Two.apply(c, c.detach() if i % 2 else x)
        loss = (d * a).sum()
        out.append(loss.item() if i < 3 else 0)
        loss.backward(retain_graph=True)
        out += [x.grad, w.grad, c.grad_fn is not None]
        out += torch.autograd.grad(loss, (x, c), retain_graph=True)
        out += torch.autograd.grad(loss, (a, w), create_graph=True)
        out[-1].sum().backward()
        out += [x.grad, w.grad]
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
    with pytest.warns(UserWarning, match="not a leaf"):
        assert t.grad is None
    t = torch.ones(2)
    t.grad = torch.ones(2)
    Twice.apply(t)
    assert t.grad.tolist() == [1.0, 1.0]  # nothing was recorded


class Scaled(torch.autograd.Function):
    """A product and a sum, with forward derivatives alone."""

    @staticmethod
    def forward(ctx, x, k, y):
        ctx.save_for_forward(x, y)
        ctx.k = k
        return x * y * k, x + y

    @staticmethod
    def jvp(ctx, tx, tk, ty):
        assert tk is None
        x, y = ctx.saved_tensors
        return tx * y * ctx.k + x * ty * ctx.k, tx + ty


def test_a_function_with_forward_derivatives_alone():
    """The tangents are those of PyTorch."""
    x, y = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])
    tx, ty = torch.ones(2), torch.tensor([1.0, -1.0])
    forward = torch.autograd.forward_ad
    with forward.dual_level():
        d, e = forward.make_dual(x, tx), forward.make_dual(y, ty)
        both = [forward.unpack_dual(z).tangent.tolist() for z in Scaled.apply(d, 2.0, e)]
        one = [forward.unpack_dual(z).tangent.tolist() for z in Scaled.apply(d, 2.0, y)]
    assert both == [[8, 4], [2, 0]] and one == [[6, 8], [1, 1]]
    _, found = torch.func.jvp(lambda x, y: Scaled.apply(x, 2.0, y), (x, y), (tx, ty))
    assert [t.tolist() for t in found] == both
    with pytest.raises(NotImplementedError, match="either the backward or vjp method"):
        Scaled.apply(x.requires_grad_(), 2.0, y)[0].sum().backward()


def test_a_forward_derivative_that_is_not_recorded_is_refused():
    class Outside(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def jvp(ctx, t):
            return torch.from_numpy(t.detach().numpy() * 2)

    with pytest.raises(NotImplementedError, match=r"Outside\.jvp: its result is not computed"):
        torch.func.jvp(Outside.apply, (torch.ones(2),), (torch.ones(2),))


def test_vjp_is_another_name_of_backward():
    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def vjp(ctx, g):
            return g * 2

    class Both(Twice):
        @staticmethod
        def backward(ctx, g):
            return g

    x = torch.ones(2, requires_grad=True)
    Twice.apply(x).sum().backward()
    assert x.grad.tolist() == [2, 2]
    with pytest.raises(RuntimeError, match="Both: Implementing both 'backward' and 'vjp'"):
        Both.apply(x).sum().backward()


def test_a_gradient_of_a_shape_that_does_not_fit_is_refused():
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            return a * 2

        @staticmethod
        def backward(ctx, g):
            return torch.ones(5)

    with pytest.raises(RuntimeError, match=r"WrongBackward returned an invalid gradient.*\[5\]"):
        Wrong.apply(torch.ones(2, 3, requires_grad=True)).sum().backward()


def product(back):
    """A product whose backward is this."""

    class Product(torch.autograd.Function):
        forward = staticmethod(lambda ctx, a, b: a * b)
        backward = staticmethod(back)

    return Product.apply


# What `backward` gives two operands, and what is wrong with it; PyTorch's error is of this type.
WRONG_GRADIENTS = {
    "too few": (lambda ctx, g: g, r"incorrect number of gradients \(expected 2, got 1\)"),
    "too many": (lambda ctx, g: (g, g, g), r"incorrect number of gradients \(expected 2, got 3\)"),
    "none": (lambda ctx, g: None, r"incorrect number of gradients \(expected 2, got 1\)"),
    "a list": (lambda ctx, g: [g, g], r"incorrect number of gradients \(expected 2, got 1\)"),
    "a number": (lambda ctx, g: (g, 1.0), "gradient 1 of type float"),
    "a text": (lambda ctx, g: ("a", g), "gradient 0 of type str"),
}


@pytest.mark.parametrize(("back", "words"), WRONG_GRADIENTS.values(), ids=WRONG_GRADIENTS)
def test_gradients_that_are_none_are_refused(back, words):
    a, b = (torch.ones(2, requires_grad=True) for _ in range(2))
    with pytest.raises(RuntimeError, match=f"ProductBackward returned (an )?{words}"):
        product(back)(a, b).sum().backward()
    assert a.grad is None and b.grad is None


GRADIENTS = {  # and the gradients of the operands in PyTorch, as lists
    "none": (lambda ctx, g: (None, None), None, None),
    "one": (lambda ctx, g: (None, g * 3), None, [3, 3]),
    "none for what is no operand": (lambda ctx, g: (g, g, None), [1, 1], [1, 1]),
    "of another dtype": (lambda ctx, g: (g.double(), g.long()), [1, 1], [1, 1]),
}


@pytest.mark.parametrize(("back", "first", "second"), GRADIENTS.values(), ids=GRADIENTS)
def test_gradients_that_a_function_may_give(back, first, second):
    a, b = (torch.ones(2, requires_grad=True) for _ in range(2))
    product(back)(a, b).sum().backward()
    found = [x.grad if x.grad is None else (x.grad.dtype, x.grad.tolist()) for x in (a, b)]
    assert found == [w if w is None else (torch.float32, w) for w in (first, second)]


@pytest.mark.parametrize("several", [False, True])
def test_what_is_differentiable_once(several):
    back = torch.autograd.function.once_differentiable(
        lambda ctx, g: (g * 2, g * 3) if several else g * 2
    )
    apply = product(back) if several else single(back)
    xs = [torch.ones(2, requires_grad=True) for _ in range(2 if several else 1)]
    w = torch.ones(2, requires_grad=True)
    for g, factor in zip(torch.autograd.grad(apply(*xs).sum(), xs), (2, 3), strict=False):
        assert g.tolist() == [factor] * 2 and not g.requires_grad
    with torch.enable_grad():
        found = torch.autograd.grad(apply(*xs), xs, torch.ones(2) * w, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice a function"):
        found[0].sum().backward()
    # Where what arrives has no history, there is nothing to differentiate.
    found = torch.autograd.grad(apply(*xs).sum(), xs, create_graph=True)
    assert not any(g.requires_grad for g in found)


def single(back):
    """Twice its operand, with this backward."""

    class Single(torch.autograd.Function):
        forward = staticmethod(lambda ctx, a: a * 2)
        backward = staticmethod(back)

    return Single.apply


def test_a_gradient_that_was_expanded_is_summed():
    class Wide(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            return a.expand(2, 3) * 1

        @staticmethod
        def backward(ctx, g):
            return g

    a = torch.ones(3, requires_grad=True)
    Wide.apply(a).sum().backward()
    assert a.grad.tolist() == [2, 2, 2]


def test_only_tensors_are_saved():
    class Saves(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            ctx.save_for_backward(a, 3)
            return a * 2

    with pytest.raises(TypeError, match="argument 1 is of type int"):
        Saves.apply(torch.ones(2, requires_grad=True))


def test_the_nodes_of_several_outputs_have_the_name_of_the_function():
    class Both(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, g, h):
            return 2 * g + 3 * h

    outs = Both.apply(torch.ones(2, requires_grad=True))
    assert [o.grad_fn.name() for o in outs] == ["BothBackward", "BothBackward"]
    assert "grad_fn=<BothBackward>" in repr(outs[1])


def test_the_outputs_of_a_function_have_one_node():
    class Two(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, a, b):
            return a * 2 + b * 3

    x = torch.ones(2, requires_grad=True)
    a, b = Two.apply(x)
    node = a.grad_fn
    assert node is b.grad_fn and (a.output_nr, b.output_nr) == (0, 1)
    assert node.next_functions[0][0].variable is x and node.saved_tensors[0] is x
    assert (a + b).grad_fn.next_functions == ((node, 0), (node, 1))
    seen = []
    node.register_prehook(lambda out: (out[0] * 10, out[1]))
    node.register_hook(lambda inner, out: seen.append((inner[0].tolist(), len(out), out[1])))
    a.sum().backward(retain_graph=True)
    assert x.grad.tolist() == [20, 20] and seen == [([20, 20], 2, None)]
    (a + b).sum().backward()
    assert x.grad.tolist() == [43, 43] and seen[1][2].tolist() == [1, 1]
    with pytest.raises(RuntimeError, match=r"Two\.apply"):
        Two()(x)


@pytest.mark.parametrize("given, named", [((), {}), ((3,), {}), ((), {"n": 3})])
def test_setup_context_finds_arguments_that_were_left_out(given, named):
    class Power(torch.autograd.Function):
        @staticmethod
        def forward(x, n=3):
            return x**n

        @staticmethod
        def setup_context(ctx, inputs, output):
            x, ctx.n = inputs
            ctx.save_for_backward(x)

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * ctx.n * x ** (ctx.n - 1), None

    x = torch.tensor([2.0, 1.0], requires_grad=True)
    y = Power.apply(x, *given, **named)
    assert y.tolist() == [8, 1] and torch.autograd.grad(y.sum(), x)[0].tolist() == [12, 3]


def test_the_tangent_of_a_function_is_that_of_its_jvp():
    class Both(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.save_for_backward(x, y)
            ctx.save_for_forward(x, y)
            return x * y

        @staticmethod
        def backward(ctx, g):
            raise ZeroDivisionError

        @staticmethod
        def jvp(ctx, tx, ty):
            x, y = ctx.saved_tensors
            return tx.mul_(y).add_(x * ty) * 10  # PyTorch too takes what it is told

    class Outside(torch.autograd.Function):  # what is not recorded has no transpose
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

        @staticmethod
        def jvp(ctx, t):
            return t.detach() * 2

    x, y, t = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]), torch.tensor([1.0, -1.0])
    assert torch.func.jvp(Both.apply, (x, y), (t, t))[1].tolist() == [40, -60]
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, t)
        out = torch.autograd.forward_ad.unpack_dual(Both.apply(dual, y))
    assert out.primal.tolist() == [3, 8] and out.tangent.tolist() == [30, -40]
    assert torch.func.jvp(Outside.apply, (x,), (t,))[1].tolist() == [2, -2]


def test_the_old_name_of_saved_tensors():
    class Old(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            with pytest.warns(DeprecationWarning, match="saved_variables"):
                (x,) = ctx.saved_variables
            return g * 2 * x

    x = torch.tensor([1.0, 2.0], requires_grad=True)
    Old.apply(x).sum().backward()
    assert x.grad.tolist() == [2, 4]


def test_only_inputs_are_marked_as_written_to():
    class Sum(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a, b):
            out = (3 * a).add_(b)
            ctx.mark_dirty(out)
            return out

        @staticmethod
        def backward(ctx, g):
            return 3 * g, g

    a, b = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    with pytest.warns(UserWarning, match="mark_dirty.. received a tensor that was not an input"):
        Sum.apply(a, b).sum().backward()
    assert a.grad.tolist() == [3.0, 3.0] and b.grad.tolist() == [1.0, 1.0]
