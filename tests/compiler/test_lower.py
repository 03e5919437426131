"""What becomes of clusters that have no kernel as they are."""

import pytest
from cpu.both import both

import facula as torch
from facula.compiler import lower
from facula.compiler.cluster import COLUMN
from facula.trace.recorder import TLS, Recorder


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """No program is known from another test."""
    monkeypatch.setattr(TLS, "r", Recorder())


def spread():
    """Gradients by two operands of which each is spread over another dimension."""
    a = torch.randn(10, 1, 5, requires_grad=True)
    b = (torch.rand(10, 5) + 0.5).requires_grad_()
    g = torch.randn(10, 10, 5)
    torch.synchronize()
    (torch.div(a, b, rounding_mode="trunc") + a / b).backward(g)
    return a.grad, b.grad, torch.div(a, b, rounding_mode="trunc")


def test_columns_whose_operands_have_no_common_step():
    """Nothing is left to the interpreter: the columns are summed by a kernel of their own."""
    both(spread)


@pytest.mark.parametrize("refused", ["sum", "neg", "div", "div_trunc", "mul"])
def test_a_cluster_that_can_not_be_written_is_interpreted(refused, monkeypatch):
    """Whatever it computes again, and whoever reads what it makes."""
    write = lower.Lowered._lower

    def partly(self, c):
        if any([n.op.name == refused for n in c.nodes]):
            raise lower.NotCompiled("as the test wants it")
        return write(self, c)

    monkeypatch.setattr(lower.Lowered, "_lower", partly)
    both(spread, allowed=("sum", "neg", "div", "div_trunc", "mul", "add", "reshape"))


def test_columns_are_divided_off_once():
    made = []
    apart = lower.Lowered._columns_apart

    def spy(self, c):
        made.append((apart(self, c), [c.level[n] for n in c.nodes]))
        return made[-1][0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lower.Lowered, "_columns_apart", spy)
        both(spread)
    assert [divided for divided, _ in made] == [True]
    assert COLUMN not in made[0][1]
