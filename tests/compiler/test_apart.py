"""Operations that are taken apart: what a program computes is what it was recorded as before."""

from compiler.kernels import kernels

import facula as torch
from facula.compiler.apart import RULES
from facula.ops import recurrence
from facula.ops.registry import PRIMITIVES

STEPS = 4


def test_an_lstm_computes_each_gate_once(monkeypatch):
    monkeypatch.setattr(recurrence, "MOST", 0)  # step by step
    torch.manual_seed(0)
    net = torch.nn.LSTM(8, 6, dtype=torch.float64)
    x = torch.randn(STEPS, 3, 8, dtype=torch.float64)

    def gradients():
        y, (_, c) = net(x)
        return torch.autograd.grad(y.sin().sum() + c.sum(), list(net.parameters()))

    names = [name for kernel in kernels(gradients, monkeypatch) for name in kernel]
    assert not RULES.keys() & set(names)
    assert names.count("sigmoid") == 3 * STEPS and names.count("tanh") == 2 * STEPS
    assert names.count("sigmoid_backward") == 3 * STEPS
    assert names.count("tanh_backward") == 2 * STEPS


def test_results_that_are_kept(monkeypatch):
    """States that the program's user holds, and gradients in a program of their own."""
    torch.manual_seed(0)
    cell = torch.nn.LSTMCell(4, 5)
    x = torch.randn(2, 4)

    def steps():
        h, c = cell(x)
        torch.synchronize()
        h2, c2 = cell(x, (h, c))
        loss = h2.sum() + c2.sum()
        kept = [t.detach() for t in (h, c, h2, c2)]
        return *kept, *torch.autograd.grad(loss, list(cell.parameters()))

    kernels(steps, monkeypatch)


def test_every_rule_is_for_an_operation():
    assert RULES.keys() <= PRIMITIVES.keys()
