"""Graphs for TensorBoard: nodes, their scopes and what they take."""

from __future__ import annotations

import pytest

import facula
from facula import nn
from facula.utils.tensorboard import SummaryWriter
from facula.utils.tensorboard.graph import graph
from tests.utils.tensorboard.test_writer import fields


def nodes(data):
    """Each node of a graph: name, operation, inputs."""
    found = []
    for field, value in fields(data):
        if field == 1:
            parts = fields(value)
            name, kind = (dict(parts)[i].decode() for i in (1, 2))
            found.append((name, kind, [v.decode() for f, v in parts if f == 3]))
    return found


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 4), nn.Dropout(), nn.ReLU())
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return {"out": self.body(x).exp(), "best": self.body(x).argmax(1)}


def test_operations_lie_in_the_scopes_of_their_modules():
    net, x = Net(), facula.ones(2, 3)
    state = facula.get_rng_state()
    found = nodes(graph(net, x))
    assert sorted(found) == [
        ("Net/Exp", "Exp", ["Net/Sequential[body]/ReLU[2]/Relu"]),
        ("Net/Sequential[body]/Linear[0]/Addmm", "Addmm",
         ["Net/body/0/bias", "input/0", "Net/Sequential[body]/Linear[0]/T"]),
        ("Net/Sequential[body]/Linear[0]/T", "T", ["Net/body/0/weight"]),
        ("Net/Sequential[body]/ReLU[2]/Relu", "Relu", ["Net/Sequential[body]/Linear[0]/Addmm"]),
        ("Net/body/0/bias", "Parameter", []),
        ("Net/body/0/weight", "Parameter", []),
        ("input/0", "Parameter", []),
        ("output/0", "IO Node", ["Net/Exp"]),
    ]  # fmt: skip
    # The model is as it was: run once, in evaluation mode, without gradients left behind.
    assert net.calls == 1 and net.training and net.body[1].training
    assert not net.body[0]._forward_hooks and net.body[0].weight.grad is None
    assert x.grad is None and not x.requires_grad
    assert facula.equal(facula.get_rng_state(), state)


def test_inputs_may_be_several_or_named():
    class Sum(nn.Module):
        def forward(self, a, b):
            return a + b

    for inputs in ((facula.ones(2), facula.ones(2)), {"b": facula.ones(2), "a": facula.ones(2)}):
        with facula.no_grad():
            names = [name for name, _, _ in nodes(graph(Sum(), inputs))]
        assert sorted(names) == ["Sum/Add", "input/0", "input/1", "output/0"]


def test_a_model_that_fails_is_left_as_it_was(tmp_path):
    net = Net()
    with SummaryWriter(tmp_path) as w:
        with pytest.raises(RuntimeError):
            w.add_graph(net, facula.ones(2, 5))
        w.add_graph(net, facula.ones(2, 3))
    assert net.training and not net._forward_hooks
    assert b"Linear[0]" in next(tmp_path.iterdir()).read_bytes()
