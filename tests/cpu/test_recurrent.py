"""An LSTM's layer as one kernel, against the interpreter."""

import pytest
from cpu.both import both

import facula as torch


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "steps,batch,units,layers,two",
    [(7, 5, 8, 1, False), (1, 1, 32, 1, False), (5, 9, 17, 2, True), (3, 4, 67, 1, False)],
)
def test_values_and_gradients(steps, batch, units, layers, two, dtype):
    net = torch.nn.LSTM(3, units, layers, bidirectional=two, batch_first=True, dtype=dtype)
    count = layers * (2 if two else 1)

    def build():
        x = torch.randn(batch, steps, 3, dtype=dtype, requires_grad=True)
        first = [torch.randn(count, batch, units, dtype=dtype, requires_grad=True) for _ in "hc"]
        torch.synchronize()
        y, (h, c) = net(x, tuple(first))
        loss = (y * y.detach().cos()).sum() + (h * 1.3).sum() + c.sin().sum()
        return y, h, c, *torch.autograd.grad(loss, [x, *first, *net.parameters()])

    both(build, 2e-5 if dtype is torch.float32 else 1e-12)


def test_states_that_are_one_tensor_and_lie_apart():
    net = torch.nn.LSTM(3, 6)

    def build():
        x, state = torch.randn(4, 5, 3), torch.randn(6, 5, 2).permute(2, 1, 0)[:1]
        torch.synchronize()
        return net(x, (state, state))[0], net(x, (state, state * 2))[0]

    both(build, 1e-5)
