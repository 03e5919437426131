"""Calling a module with other tensors than its own."""

from __future__ import annotations

from nn.stored import agrees, message, submodule


@agrees
def test_functional_call(torch):
    net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    x = torch.tensor([[1.0, 2.0], [3.0, 5.0]])
    weight = torch.ones(2, 2, requires_grad=True)
    mean = torch.zeros(2)
    given = {"0.weight": weight, "1.running_mean": mean}
    y = submodule(torch, "nn.utils.stateless").functional_call(net, given, (x,))
    (y * y).sum().backward()
    return [y, weight.grad, mean, net[1].running_mean, net[0].weight.grad is None]


@agrees
def test_tied_and_strict(torch):
    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a = torch.nn.Parameter(torch.ones(1))
            self.b = self.a

        def forward(self, x):
            return self.a + 10 * self.b + x

    m, call = Tied(), submodule(torch, "nn.utils.stateless").functional_call
    two, three = torch.tensor([2.0]), torch.tensor([3.0])
    return [
        call(m, {"a": two}, torch.zeros(1)),
        call(m, {"a": two}, torch.zeros(1), tie_weights=False),
        message(call, m, {"a": two, "b": three}, torch.zeros(1))[0],
        message(call, m, {"c": two}, torch.zeros(1), strict=True)[0],
        m.a,
    ]


@agrees
def test_a_block_with_other_tensors(torch):
    m = torch.nn.Linear(1, 1, bias=False)
    own, w = m.weight, torch.tensor([[3.0]], requires_grad=True)
    with submodule(torch, "nn.utils.stateless")._reparametrize_module(m, {"weight": w}):
        y = m(torch.ones(1))
    y.backward()
    return [y, w.grad, own.grad is None, m.weight is own]
