"""Packed sequences go through a recurrent network as each of them does alone."""

import numpy as np
import pytest

import facula as torch
from facula.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from facula.trace.recorder import TLS

LENGTHS = [2, 5, 1, 5]


@pytest.mark.usefixtures("tier")
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("layers,two", [(1, False), (2, False), (1, True), (2, True)])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_packed_is_each_alone(kind, layers, two, first):
    torch.manual_seed(1)
    net = getattr(torch.nn, kind)(3, 4, layers, bidirectional=two, dtype=torch.float64)
    x = torch.randn(5, 4, 3, dtype=torch.float64, requires_grad=True)
    shape = layers * (2 if two else 1), 4, 4
    states = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for _ in "hc"]
    if kind != "LSTM":
        states.pop()
    given = [x, *(states if first else []), *net.parameters()]

    def of(x, states):
        if not first:
            return net(x)
        return net(x, tuple(states) if kind == "LSTM" else states[0])

    out, last = of(pack_padded_sequence(x, LENGTHS, enforce_sorted=False), states)
    out, _ = pad_packed_sequence(out)
    last = last if kind == "LSTM" else (last,)
    alone = [of(x[:n, i : i + 1], [s[:, i : i + 1] for s in states]) for i, n in enumerate(LENGTHS)]
    losses = [(out**3).sum() + sum(s.sin().sum() for s in last), 0.0]
    for i, (y, state) in enumerate(alone):
        np.testing.assert_allclose(out[: LENGTHS[i], i].detach(), y[:, 0].detach(), rtol=1e-12)
        state = state if kind == "LSTM" else (state,)
        for a, b in zip(last, state, strict=True):
            np.testing.assert_allclose(a[:, i].detach(), b[:, 0].detach(), rtol=1e-12)
        losses[1] += (y**3).sum() + sum(s.sin().sum() for s in state)
    grads = [torch.autograd.grad(loss, given, retain_graph=True) for loss in losses]
    for a, b in zip(*grads, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_lengths_are_no_part_of_the_program(kind):
    net = getattr(torch.nn, kind)(3, 4, bidirectional=True)
    seen = []
    for lengths in ([4, 2, 3], [4, 4, 1], [1, 4, 4]):
        data, *rest = pack_padded_sequence(torch.randn(4, 3, 3), lengths, enforce_sorted=False)
        torch.synchronize()
        net(torch.nn.utils.rnn.PackedSequence(data, *rest))
        seen.append(TLS.r.cur)
        torch.synchronize()
    assert len(set(seen)) == 1


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_second_derivatives_of_packed(kind):
    net = getattr(torch.nn, kind)(2, 2, bidirectional=True, dtype=torch.float64)

    def f(x):
        return net(pack_padded_sequence(x, [3, 2]))[0].data

    x = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(f, x)
    assert torch.autograd.gradgradcheck(f, x)


def test_sizes_that_do_not_fit_the_data():
    packed = torch.nn.utils.rnn.PackedSequence(torch.randn(5, 3), torch.tensor([3, 3]))
    with pytest.raises(RuntimeError):
        torch.nn.LSTM(3, 4)(packed)


@pytest.mark.usefixtures("tier")
def test_what_grows_after_the_end_of_a_sequence_does_no_harm():
    net = torch.nn.RNN(1, 1, nonlinearity="relu", bidirectional=True)
    with torch.no_grad():
        for name, p in net.named_parameters():
            p.fill_({"weight_hh": 1e15, "weight_ih": 1.0}.get(name[:9], 0.0))
    x = torch.ones(6, 2, 1)
    x[:, 0] = -1  # whose states are 0
    _, last = net(pack_padded_sequence(x, [6, 1]))
    _, alone = net(x[:1, 1:])
    np.testing.assert_array_equal(last[:, 1].detach(), alone[:, 0].detach())
    given = [net.weight_hh_l0, net.bias_hh_l0, net.bias_hh_l0_reverse]
    for g in torch.autograd.grad(last[:, 1].sum(), given):
        assert g.isfinite().all()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "kind,two", [("LSTM", False), ("GRU", False), ("RNN", False), ("GRU", True)]
)
def test_names_of_graph_nodes(kind, two, packed):
    net = getattr(torch.nn, kind)(3, 4, bidirectional=two)
    x = torch.randn(4, 2, 3)
    out, last = net(pack_padded_sequence(x, [4, 2]) if packed else x)
    want = "Cat" if packed or two else "MkldnnRnnLayer" if kind == "LSTM" else "Stack"
    out = out.data if packed else out
    assert out.grad_fn.name() == want + "Backward0"
    for state in last if kind == "LSTM" else (last,):
        assert state.grad_fn.name() == "StackBackward0"
    if want != "MkldnnRnnLayer":  # which keeps its result
        with torch.no_grad():
            out.zero_()
        out.sum().backward()
