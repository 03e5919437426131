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


@pytest.mark.parametrize(("shape", "folded"), [((2, 128, 256), True), ((2, 100), False)])
def test_few_long_rows_are_summed_at_once(shape, folded, monkeypatch):
    """Partial results of theirs would be as large as the rows."""
    steps = []
    init = lower.Lowered.__init__

    def spy(self, *args):
        init(self, *args)
        steps.extend([c.core is not None for c, _ in self.steps])

    monkeypatch.setattr(lower.Lowered, "__init__", spy)

    def summed():
        torch.manual_seed(0)
        x = torch.randn(*shape)
        torch.synchronize()
        return x.sum(0), (x * 2).sum(0)

    both(summed)
    assert steps and (True in steps) == folded
