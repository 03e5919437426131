"""Nodes: types and arguments as PyTorch prints them."""

from __future__ import annotations

import operator
import typing

import pytest
from nn.stored import agrees, message

from facula import fx


@agrees
def test_types(torch):
    graph = torch.fx.Graph()
    T = torch.Tensor
    types = [int, list[int], T, int | None, typing.Any, type(None), torch.device, torch.dtype]
    types += [torch.nn.Linear, typing.Optional[int]]  # noqa: UP045
    return [graph.placeholder("a", type_expr=t).format_node() for t in types]


@agrees
def test_arguments(torch):
    graph = torch.fx.Graph()
    x = graph.placeholder("x")
    values = (torch.float32, torch.device("cpu"), torch.channels_last, float("inf"), 1j, "s", None)
    node = graph.call_function(print, (x, *values, ..., (x,), [x, 1], {"a": x}), {"sep": x})
    code = graph.python_code("self")
    return [node.format_node(), code.src]


@agrees
def test_arguments_are_not_changed_in_place(torch):
    graph = torch.fx.Graph()
    x = graph.placeholder("x")
    node = graph.call_function(torch.cat, ([x, x],), {"dim": 1})
    return [message(node.args[0].append, 1), message(node.kwargs.update, a=1), list(node.kwargs)]


@agrees
def test_what_has_effects(torch):
    graph = torch.fx.Graph()
    x = graph.placeholder("x")
    functions = [operator.iadd, operator.setitem, torch.rand, torch.dropout, torch.normal, print]
    functions += [torch._assert, torch.relu_, torch.randperm, torch.nn.functional.dropout]
    calls = [graph.call_function(f, (x,)) for f in functions]
    return [n.is_impure() for n in [x, *calls, graph.call_method("add_", (x,))]]


def test_functions_that_are_said_to_have_effects_stay():
    @fx.has_side_effect
    def effect(x):
        return x

    graph = fx.Graph()
    graph.call_function(effect, (graph.placeholder("x"),))
    graph.output(None)
    assert not graph.eliminate_dead_code() and len(graph.nodes) == 3


def test_a_user_can_keep_what_it_has():
    graph = fx.Graph()
    x = graph.placeholder("x")
    a, b = graph.call_method("relu", (x,)), graph.call_method("exp", (x,))
    y = graph.placeholder("y")
    assert x.replace_all_uses_with(y, lambda user: user is b) == [b]
    assert a.args == (x,) and b.args == (y,) and fx.map_arg((a, 3), lambda n: n.name) == ("relu", 3)
    y.meta["note"] = 1
    with pytest.raises(AssertionError, match="already has"):
        x.replace_all_uses_with(y, propagate_meta=True)
