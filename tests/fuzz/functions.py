"""Functions that users write, which programs call."""

from __future__ import annotations


def functions(torch) -> dict:
    """The functions by their names."""

    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * 3 * x * x

    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x.mul_(2)

        @staticmethod
        def backward(ctx, g):
            return g * 2

    class Pair(torch.autograd.Function):
        """Two results, one of which has no derivative."""

        @staticmethod
        def forward(ctx, x):
            y, z = x * 2, x > 0
            ctx.mark_non_differentiable(z)
            ctx.save_for_backward(z)
            return y, z

        @staticmethod
        def backward(ctx, g, _):
            (z,) = ctx.saved_tensors
            return g * z

    class Same(torch.autograd.Function):
        """Its operand is its result."""

        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 3

    class Seen(torch.autograd.Function):
        """A view of its operand."""

        @staticmethod
        def forward(ctx, x):
            return x.view(x.shape)

        @staticmethod
        def backward(ctx, g):
            return g + 1

    class Scaled(torch.autograd.Function):
        """Made in two parts; asks which gradients are needed."""

        @staticmethod
        def forward(x, y, s):
            return x * y * s

        @staticmethod
        def setup_context(ctx, inputs, output):
            x, y, ctx.s = inputs
            ctx.save_for_backward(x, y)

        @staticmethod
        def backward(ctx, g):
            x, y = ctx.saved_tensors
            return (
                g * y * ctx.s if ctx.needs_input_grad[0] else None,
                g * x * ctx.s if ctx.needs_input_grad[1] else None,
                None,
            )

    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.sin()

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * x.cos()

    class Apart(torch.autograd.Function):
        """Two results of which one may not be used; what is saved is a result."""

        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            y, z = x.exp(), x * 2
            ctx.save_for_backward(y)
            return y, z

        @staticmethod
        def backward(ctx, g, h):
            (y,) = ctx.saved_tensors
            if g is None:
                return None if h is None else h * 2
            return g * y if h is None else g * y + h * 2

    class Outer(torch.autograd.Function):
        """Differentiates inside."""

        @staticmethod
        def forward(ctx, x):
            with torch.enable_grad():
                z = x.detach().requires_grad_()
                ctx.y = (z * z.sin()).sum()
                ctx.z = z
            return x * 1

        @staticmethod
        def backward(ctx, g):
            (d,) = torch.autograd.grad(ctx.y, [ctx.z], retain_graph=True)
            return g * d

    class Dirty2(torch.autograd.Function):
        """Writes to the first operand and gives it, and another."""

        @staticmethod
        def forward(ctx, x, y):
            ctx.mark_dirty(x)
            ctx.save_for_backward(y)
            return x.mul_(y), y * 2

        @staticmethod
        def backward(ctx, g, h):
            (y,) = ctx.saved_tensors
            return g * y, h * 2

    class Sub(torch.Tensor):
        pass

    def closure(optimiser, loss):
        def run():
            optimiser.zero_grad()
            x = loss()
            x.backward()
            return x

        return run

    return {
        "cube": Cube.apply,
        "double_": Double.apply,
        "pair": Pair.apply,
        "same": Same.apply,
        "seen": Seen.apply,
        "scaled": Scaled.apply,
        "once": Once.apply,
        "apart": lambda x: Apart.apply(x)[0],
        "apart2": lambda x: sum(Apart.apply(x)),
        "outer": Outer.apply,
        "dirty2": Dirty2.apply,
        "Sub": Sub,
        "closure": closure,
    }
