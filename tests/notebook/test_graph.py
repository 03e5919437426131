"""Autograd graphs: as lists, and as drawings where Graphviz is."""

from __future__ import annotations

import shutil
import stat
import sys

import pytest

import facula as torch
from facula.notebook import graph
from facula.trace.recorder import TLS


def make():
    w = torch.ones(3, 4, requires_grad=True)
    b = torch.ones(4, requires_grad=True)
    loss = ((torch.ones(2, 3) @ w + b) ** 2).sum()
    return loss, {"w": w, "b": b}


def rows(text: str) -> list[list[str]]:
    return [[c.strip() for c in line.split("  ") if c] for line in text.splitlines()[1:]]


def test_the_list():
    loss, params = make()
    found = [
        row[:-1] if "test_graph" in row[-1] else row for row in rows(repr(graph(loss, params)))
    ]
    assert found == [
        ["#0", "SumBackward0", "[]", "#1"],
        ["#1", "PowBackward0", "[2, 4]", "#2"],
        ["#2", "AddBackward0", "[2, 4]", "#3, #4"],
        ["#3", "MmBackward0", "[2, 4]", "#5"],
        ["#4", "b", "[4]"],
        ["#5", "w", "[3, 4]"],
    ]
    assert "test_graph.py:" in repr(graph(loss, params))


def test_leaves_without_names():
    assert ["#4", "leaf", "[4]"] in rows(repr(graph(make()[0])))


def test_nothing_is_computed():
    loss, params = make()
    before = TLS.r.frame
    repr(graph(loss, params))
    graph(loss, params).dot()
    assert TLS.r.frame == before


def test_values_that_are_used_twice_stand_once():
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    found = rows(repr(graph((y + y.exp()).sum(), {"x": x})))
    assert [row[1] for row in found].count("MulBackward0") == 1
    assert [row[1] for row in found].count("x") == 1


def test_graphs_that_have_been_used_and_functions_of_the_users_own():
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

    x = torch.ones(2, requires_grad=True)
    loss = Double.apply(x).sum()
    loss.backward()
    assert [row[1] for row in rows(repr(graph(loss)))] == ["SumBackward0", "DoubleBackward", "leaf"]


def test_large_graphs_are_cut():
    x = torch.ones(1, requires_grad=True)
    y = x
    for _ in range(300):
        y = y * y
    g = graph(y, most=10)
    assert len(g.vertices) == 10 and g.left_out == 2
    assert "and more (2 edges)" in repr(g) and "and more (2 edges)" in g.dot()
    assert len(graph(y).vertices) == 200


def test_what_has_no_graph_says_why():
    with pytest.raises(ValueError, match="it requires no grad"):
        graph(torch.ones(1))
    with pytest.raises(ValueError, match="it is a leaf"):
        graph(torch.ones(1, requires_grad=True))
    with pytest.raises(TypeError, match=r"expected a torch.Tensor, got str"):
        graph("x")


def test_the_language_of_graphviz():
    loss, params = make()
    text = graph(loss, {'a "name"\\N' + "x" * 100: params["w"], "b": params["b"]}).dot()
    assert text.startswith("digraph {") and text.endswith("}")
    assert 'label="a \\"name\\"\\\\N' in text and "x" * 61 not in text
    assert 'n4 [label="b\\n[4]", style=filled' in text
    assert "  n4 -> n2;" in text and text.count("->") == 5


def test_without_graphviz_a_notebook_shows_the_list(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    loss, params = make()
    g = graph(loss, {"<w>": params["w"]})
    assert g.svg() is None
    assert "<table>" in g._repr_html_() and "MmBackward0" in g._repr_html_()
    assert "&lt;w&gt;" in g._repr_html_() and "<w>" not in g._repr_html_()


@pytest.fixture
def dot(tmp_path, monkeypatch):
    """A program in the place of `dot`: it reads the graph and does what it is told."""

    def make_dot(body: str) -> None:
        program = tmp_path / "dot"
        program.write_text(f"#!{sys.executable}\nimport sys\ntext = sys.stdin.read()\n{body}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(shutil, "which", lambda name: str(program))

    return make_dot


def test_graphviz_draws(dot):
    dot("print('<?xml?><svg>', sys.argv[1], text.count('->'), '</svg>')")
    loss, params = make()
    assert graph(loss, params).svg() == "<svg> -Tsvg 5 </svg>\n"
    assert "<svg> -Tsvg 5 </svg>" in graph(loss, params)._repr_html_()


@pytest.mark.parametrize("body", ["sys.exit(1)", "print('nothing')", "import time; time.sleep(60)"])
def test_when_graphviz_fails_the_list_is_shown(dot, body, monkeypatch):
    module = sys.modules[graph.__module__]
    monkeypatch.setattr(module, "DOT_SECONDS", 0.5 if "sleep" in body else 60.0)
    dot(body)
    assert "<table>" in graph(make()[0])._repr_html_()
