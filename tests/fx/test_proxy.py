"""Stand-ins outside of a tracer, and what they leave behind."""

from __future__ import annotations

import gc

import pytest
from nn.stored import agrees, raised

import facula
from facula import fx
from facula.ops import table


@agrees
def test_stand_ins_write_to_their_graph(torch):
    F = torch.nn.functional
    p = torch.fx.Proxy(torch.fx.Graph().placeholder("q"))
    made = [p + 1, torch.cat([p, p]), F.relu(p), p.foo.bar, p.x(1, k=2), p[0], F.linear(p, p)]
    return [str(made), str((p @ p).node.graph), raised(len, p), raised(int, p), raised(iter, p)]


def test_operations_ask_for_stand_ins_only_while_there_are_any():
    gc.collect()
    before = list(table.OVERRIDES)
    p = fx.Proxy(fx.Graph().placeholder("x"))
    assert fx.Proxy in table.OVERRIDES and type(facula.add(facula.ones(1), p)) is fx.Proxy
    attribute = p.shape
    assert attribute.node.target is getattr and type(attribute) in table.OVERRIDES
    del p, attribute
    gc.collect()
    assert before == table.OVERRIDES


def test_two_tracers_in_one_call():
    a, b = (fx.Proxy(fx.Graph().placeholder("x")) for _ in range(2))
    with pytest.raises(RuntimeError, match="2 tracers"):
        facula.add(a, b)


def test_methods_of_tensors_with_stand_ins():
    p = fx.Proxy(fx.Graph().placeholder("i"))
    assert facula.ones(3)[p].node.op == "call_method"
    with pytest.raises(TypeError, match="item assignment"):
        p[0] = 1
