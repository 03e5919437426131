"""Modules made of graphs: copies, pickles, submodules."""

from __future__ import annotations

import copy
import pickle

import pytest
from fx import models
from nn.stored import agrees, message, raised

import facula
from facula import fx


@agrees
def test_text(torch):
    g = torch.fx.symbolic_trace(models.block(torch))
    return [str(g), g.print_readable(print_output=False), type(g).__name__]


@agrees
def test_copies(torch):
    g = torch.fx.symbolic_trace(models.network(torch)).eval()
    c = copy.deepcopy(g)
    x = torch.arange(64.0).reshape(2, 2, 4, 4).sin()
    with torch.no_grad():
        c.conv.weight.zero_()
    return [g(x), c(x), c.code == g.code, str(c.graph), c.training, type(c).__name__]


@agrees
def test_submodules(torch):
    g = torch.fx.symbolic_trace(models.network(torch))
    out = [
        g.delete_submodule("heads.1"),
        g.delete_submodule("nope"),
        g.add_submodule("new.deep", torch.nn.ReLU()),
        g.add_submodule("conv.weight.x", torch.nn.ReLU()),
        [name for name, _ in g.named_modules()],
    ]
    g.delete_all_unused_submodules()
    return [*out, [name for name, _ in g.named_modules()]]


@agrees
def test_made_of_a_dictionary(torch):
    graph = torch.fx.Graph()
    x = graph.placeholder("x")
    y = graph.call_module("a.lin", (x,))
    graph.output(graph.call_function(torch.add, (y, graph.get_attr("a.b.t"))))
    held = {"a.lin": torch.nn.Linear(2, 2), "a.b.t": torch.ones(2), "unused": 3}
    g = torch.fx.GraphModule(held, graph)
    return [
        g(torch.ones(1, 2)),
        list(g.state_dict()),
        message(torch.fx.GraphModule, {}, graph),
        raised(torch.fx.GraphModule, None, graph),
    ]


def test_pickles():
    g = fx.symbolic_trace(models.network(facula)).eval()
    back = pickle.loads(pickle.dumps(g))
    x = facula.randn(1, 2, 4, 4)
    assert back.code == g.code and facula.equal(back(x), g(x))
    assert list(back.state_dict()) == list(g.state_dict())


def test_a_changed_graph_runs_after_recompile():
    g = fx.symbolic_trace(lambda x: facula.relu(x))
    for node in g.graph.nodes:
        if node.target is facula.relu:
            node.target = facula.neg
    assert g(facula.ones(1)).item() == 1
    g.recompile()
    assert g(facula.ones(1)).item() == -1
    g.graph = fx.symbolic_trace(lambda x: x + 2).graph
    assert g(facula.ones(1)).item() == 3
    with pytest.raises(AssertionError, match="Expected a Graph"):
        g.graph = None


def test_tracebacks_show_the_code():
    g = fx.symbolic_trace(lambda x: x.nope())
    with pytest.raises(AttributeError) as caught:
        g(facula.ones(1))
    assert "nope = x.nope();  x = None" in str(caught.getrepr(style="native"))


def test_gradients_flow_through_a_traced_module():
    m = models.network(facula).eval()
    g = fx.symbolic_trace(m)
    g(facula.ones(1, 2, 4, 4)).sum().backward()
    assert g.conv.weight is m.conv.weight and m.conv.weight.grad is not None
