"""Graphs that are built and changed by hand, against PyTorch's."""

from __future__ import annotations

import copy
import operator

import pytest
from fx import models
from nn.stored import agrees, message, raised

import facula
from facula import fx


@agrees
def test_names(torch):
    graph = torch.fx.Graph()
    names = "layer.Conv2d a-b 1x print x_1 x x_1 x None foo__bar __getitem__ BigName relu_ _x "
    names += "*args x_0 torch class"
    return [graph.call_method(name, ()).name for name in names.split()]


@agrees
def test_building(torch):
    graph = torch.fx.Graph()
    x = graph.placeholder("x", type_expr=torch.Tensor, default_value=3)
    y = graph.placeholder("args", type_expr=int)
    a = graph.call_function(operator.iadd, (x, y))
    b = graph.call_function(getattr, (x, "foo bar"))
    c = graph.call_function(setattr, (x, "f", 1))
    graph.call_method("foo.bar", (x,), {"k": slice(None, a, 3)})
    graph.create_node("call_function", torch.neg, (x,), name="if")
    graph.call_module("layers.0.lin", (x,))
    graph.get_attr("a.0.b")
    graph.output((a, b, {"q": c}), type_expr=dict)
    graph.lint()
    return [str(graph), graph.python_code("self").src, len(graph.nodes)]


@agrees
def test_errors(torch):
    graph = torch.fx.Graph()
    x = graph.placeholder("x")
    y = graph.call_function(torch.neg, (x,))
    other = torch.fx.Graph().placeholder("z")
    late = graph.call_function(torch.exp, (x,))
    out = [
        message(graph.create_node, "foo", "x"),
        raised(graph.create_node, "call_function", "x"),
        raised(graph.create_node, "call_method", torch.add),
        message(graph.erase_node, x),
        raised(graph.inserting_before, other),
        raised(x.append, other),
        raised(graph.output_node),
    ]
    y.args = (late,)
    return [*out, message(graph.lint)]


@agrees
def test_changing(torch):
    g = torch.fx.symbolic_trace(lambda x, y: torch.add(x, y) * 2)
    graph = g.graph
    old = graph.find_nodes(op="call_function", target=torch.add)[0]
    with graph.inserting_after(old):
        new = graph.call_function(torch.sub, old.args, {"alpha": 3})
    changed = old.replace_all_uses_with(new)
    graph.erase_node(old)
    g.recompile()
    out = [str(graph), g.code, str(changed), g(torch.ones(1), torch.ones(1))]
    with graph.inserting_before(new):
        a = graph.call_function(torch.neg, (new.args[0],))
        b = graph.call_function(torch.exp, (a,))
    with graph.inserting_after(new):
        c = graph.call_method("sum", (new,))
        d = graph.call_method("mean", (new,))
    new.update_arg(0, b)
    new.update_kwarg("alpha", 5)
    new.insert_arg(1, 7)
    out += [str(graph)]
    new.args = (b, d)
    out += [str([a.users, b.users, d.users, new.all_input_nodes, new.users, new.next, new.prev])]
    c.prepend(a)
    out += [str(graph), str(list(reversed(graph.nodes))), str(graph.output_node().args)]
    return out


@agrees
def test_copies(torch):
    graph, known = torch.fx.Graph(), {}
    source = torch.fx.symbolic_trace(lambda x, y: x + y * 2).graph
    graph.output(graph.graph_copy(source, known))
    return [str(graph), str(list(known.items())), str(copy.deepcopy(graph))]


@agrees
def test_what_is_not_used(torch):
    F = torch.nn.functional

    def program(x, y):
        x.add_(1)
        F.relu(x, inplace=True)
        F.dropout(x)
        torch.rand_like(x)
        torch.bernoulli(x)
        x.uniform_()
        x.backward()
        torch._assert(x, "s")
        return x + 1

    graph = torch.fx.symbolic_trace(program).graph
    return [str(graph), graph.eliminate_dead_code(), str(graph), graph.eliminate_dead_code()]


def test_tables(capsys):
    fx.symbolic_trace(lambda x: x.relu()).graph.print_tabular()
    assert capsys.readouterr().out == (
        "opcode       name    target    args     kwargs\n"
        "-----------  ------  --------  -------  --------\n"
        "placeholder  x       x         ()       {}\n"
        "call_method  relu    relu      (x,)     {}\n"
        "output       output  output    (relu,)  {}\n"
    )


def test_other_code_may_be_written():
    class Named(fx.CodeGen):
        def gen_fn_def(self, free_vars, maybe_return_annotation):
            return f"def forward(self, {', '.join(free_vars)}, *, scale):"

        def generate_output(self, output_args, repr_fn=repr):
            return f"return {repr_fn(output_args)} * scale"

    g = fx.symbolic_trace(lambda x: x + 1)
    g.graph.set_codegen(Named())
    g.recompile()
    assert g(facula.ones(1), scale=3).item() == 6


def test_paths_that_lead_to_nothing():
    g = fx.symbolic_trace(models.network(facula))
    with pytest.raises(AttributeError, match="no attribute `nope`"):
        g.graph.call_module("nope")
    with pytest.warns(UserWarning, match="no underlying reference"):
        node = g.graph.get_attr("nope")
    with pytest.raises(RuntimeError, match="nonexistent attribute nope"):
        g.graph.lint()
    g.graph.erase_node(node)
    g.graph.lint()
