"""Tracing: what PyTorch's tracer writes of the same programs, and what it refuses."""

from __future__ import annotations

import math

import pytest
from fx import models
from nn.stored import agrees, raised

import facula
from facula import fx


def _codes(torch, *functions):
    return [torch.fx.symbolic_trace(f).code for f in functions]


@agrees
def test_a_module(torch):
    g = torch.fx.symbolic_trace(models.block(torch))
    return [str(g.graph), g.code]


@agrees
def test_operators(torch):
    return _codes(
        torch,
        lambda x: x // 2 % 3 << 1 >> 2 & 1 | 2 ^ 3,
        lambda x: [3 // x, 3 % x, 1 << x, 3 & x, 2**x, 4 / x, 3 | x, 5 ^ x, 8 >> x, 3 @ x, 3 - x],
        lambda x: [+x, -x, ~x, x == 1, x != 1, x < 1, x >= 2, x <= 3, abs(x)],
        lambda x: x[..., 1:, None, : x.shape[0]],
    )


@agrees
def test_calls(torch):
    F = torch.nn.functional
    return _codes(
        torch,
        lambda x: torch.zeros(2, dtype=x.dtype, device=x.device),
        lambda x: torch.where(x > 0, x, 1.0),
        lambda x: torch.einsum("ij,jk", x, x),
        lambda x: torch.einsum("ij,jk", (x, x)),
        lambda x: F.softmax(x, -1) + F.gelu(x, approximate="tanh") + F.conv2d(x, x, padding=1),
        lambda x: F.layer_norm(x, (3,)) + F.interpolate(x, scale_factor=2) + F.sigmoid(x),
        lambda x: F.batch_norm(x, None, None, training=True) + F.max_pool2d(x, 2),
        lambda x: F.cross_entropy(x, x) + F.embedding(x, x) + F.pad(x, (1, 1)),
        lambda x: F.relu(input=x),
        lambda x: torch.max(x, 1)[0] + x.foo(1).bar + x.T,
        lambda x: math.floor(1.5) + math.pi * x + math.ceil(x),
        lambda x: torch.arange(x.size(0)) + x.add_(1) + torch.linalg.norm(x).sum(),
        lambda x: torch.nn.Parameter(x),
    )[:-2] + _codes(torch, lambda x: x + torch.ones(3))


@agrees
def test_unpacking(torch):
    def two(x):
        a, b = x
        return a.shape, b

    return _codes(torch, two, lambda x, *args, **kwargs: (x, args[0], kwargs["a"]))


def _of_three(x, n=3, *, m="a"):
    return x if n == 3 else x + 1


@agrees
def test_values_of_arguments(torch):
    trace = torch.fx.symbolic_trace
    g = trace(_of_three, concrete_args={"n": 3})
    return [
        trace(_of_three, concrete_args=values).code
        for values in ({"n": 3}, {"n": None}, {"n": 2.5, "m": "a"})
    ] + [raised(g, 1, 4), g(1, 3)]


@agrees
def test_what_is_refused(torch):
    values = (
        lambda x: x if x.sum() > 0 else -x,
        lambda x: list(x),
        lambda x: not x,
        lambda x: (lambda **k: 1)(**x),
        lambda x: {x: 1},
        lambda x: range(x),
        lambda x: x.__class__,
        lambda x: next(x),
    )
    return [raised(torch.fx.symbolic_trace, f) for f in values]


@agrees
def test_modules_and_their_attributes(torch):
    class Shared(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.t = torch.ones(2)
            self.m = torch.nn.Linear(2, 2)
            self.again = self.m
            self.d = torch.nn.ParameterList([torch.nn.Parameter(torch.ones(2))])
            self.q = torch.nn.ParameterDict({"z": torch.nn.Parameter(torch.ones(2))})
            self.ml = torch.nn.ModuleList(
                [torch.nn.Linear(2, 2), torch.nn.Sequential(torch.nn.Linear(2, 2))]
            )
            self.f = torch.nn.functional.relu

        def forward(self, x):
            y = self.m(x) + self.again(x) + self.t + self.d[0] + self.q["z"] * self.m.weight.T[0]
            for m in self.ml:
                y = m(y)
            return self.f(y) + self.helper(x)

        def helper(self, x):
            return x * self.m.bias

    class Apart(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = [torch.nn.Linear(2, 2)]

        def forward(self, x):
            return self.hidden[0](x)

    class Inside(torch.fx.Tracer):
        def is_leaf_module(self, m, path):
            return isinstance(m, torch.nn.ReLU)

    class Small(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.lin, self.act = torch.nn.Linear(2, 2), torch.nn.ReLU()

        def forward(self, x):
            return self.act(self.lin(x)) + 1

    trace = torch.fx.symbolic_trace
    g = trace(Shared())
    return [
        str(g),
        list(g.state_dict()),
        raised(trace, Apart()),
        str(Inside().trace(Small())),
        str(torch.fx.Tracer(param_shapes_constant=True).trace(Shared())),
    ]


@agrees
def test_values(torch):
    m = models.network(torch).eval()
    x = torch.arange(64.0).reshape(2, 2, 4, 4).sin()
    return [m(x), torch.fx.symbolic_trace(m)(x)]


@agrees
def test_tracers_that_decide(torch):
    class Sure(torch.fx.Tracer):
        def to_bool(self, obj):
            return True

        def iter(self, obj):
            return iter([obj[0], obj[1]])

    graph = Sure().trace(lambda x: [-a for a in x] if x > 0 else 0)
    return torch.fx.GraphModule(torch.nn.Module(), graph).code


def double(x):
    return x + x


fx.wrap("double")
fx.wrap("len")


def test_wrapped_functions_are_single_calls():
    g = fx.symbolic_trace(lambda x: double(x) + len(x) + double(2))
    assert [n.target for n in g.graph.nodes if n.op == "call_function"][:2] == [double, len]
    assert g(facula.ones(3)).tolist() == [9.0] * 3
    assert double(3) == 6 and len([1]) == 1


def test_only_names_of_modules_are_wrapped():
    with pytest.raises(NotImplementedError, match="top level"):
        fx.wrap("double")
    with pytest.raises(RuntimeError, match="callable or string"):
        fx.wrap(3)


def test_a_class_of_calls():
    class Pair(metaclass=fx.ProxyableClassMeta):
        def __init__(self, a):
            self.a = a

    g = fx.symbolic_trace(lambda x: Pair(x))
    assert g(3).a == 3 and Pair(2).a == 2


def test_modules_are_as_before():
    before = facula.nn.Module.__call__, facula.nn.Module.__getattr__
    fx.symbolic_trace(models.block(facula))
    with pytest.raises(fx.proxy.TraceError):
        fx.symbolic_trace(lambda x: bool(x))
    assert before == (facula.nn.Module.__call__, facula.nn.Module.__getattr__)
    assert not fx._symbolic_trace.is_fx_tracing()


def test_containers_with_placeholders_are_refused():
    with pytest.raises(NotImplementedError, match="PH inside of a container"):
        fx.symbolic_trace(lambda d: d["a"], concrete_args={"d": {"a": fx.PH}})
