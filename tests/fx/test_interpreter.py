"""Running graphs node by node, against PyTorch."""

from __future__ import annotations

from fx import models
from nn.stored import agrees, message


def _product(torch):
    def product(x, y=2):
        return torch.neg(x) * y

    return torch.fx.symbolic_trace(product)


@agrees
def test_running(torch):
    called = []

    class Told(torch.fx.Interpreter):
        def call_function(self, target, args, kwargs):
            called.append(target.__name__)
            return super().call_function(target, args, kwargs)

    g = _product(torch)
    x = torch.arange(3.0)
    node = list(g.graph.nodes)[2]
    return [
        Told(g).run(x),
        Told(g).run(x, 3),
        Told(g, garbage_collect_values=False).run(x, 3, initial_env={node: 5}),
        called,
        message(Told(g).run)[1].partition("\nOriginal")[0],
    ]


@agrees
def test_modules(torch):
    m = models.network(torch).eval()
    x = torch.arange(64.0).reshape(2, 2, 4, 4).sin()
    return torch.fx.Interpreter(torch.fx.symbolic_trace(m)).run(x)


@agrees
def test_rewriting(torch):
    class Rewritten(torch.fx.Transformer):
        def call_function(self, target, args, kwargs):
            other = torch.abs if target is torch.neg else target
            return super().call_function(other, args, kwargs)

        def call_module(self, target, args, kwargs):
            return args[0] if target == "drop" else super().call_module(target, args, kwargs)

    small = Rewritten(_product(torch)).transform()
    large = Rewritten(torch.fx.symbolic_trace(models.network(torch))).transform()
    return [small.code, str(small.graph), large.code, small(torch.tensor([-2.0]))]
