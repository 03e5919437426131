"""Programs on the device: training loops, replay, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import facula as torch
from facula import nn
from facula.nn import functional as F


def _two_layers(where: str, steps: int) -> list[float]:
    torch.manual_seed(0)
    x, y, w1, w2 = [
        torch.randn(*s, dtype=torch.float64).to(where) for s in ((8, 20), (8, 5), (20, 10), (10, 5))
    ]
    w1.requires_grad_()
    w2.requires_grad_()
    out = []
    for _ in range(steps):
        loss = (x.mm(w1).clamp(min=0).mm(w2) - y).pow(2).sum()
        out.append(loss.item())
        loss.backward()
        with torch.no_grad():
            w1 -= 1e-4 * w1.grad
            w2 -= 1e-4 * w2.grad
            w1.grad.zero_()
            w2.grad.zero_()
    return out


def _network(where: str, optimizer: str, steps: int) -> list[float]:
    torch.manual_seed(0)
    layers = (nn.Linear(12, 16), nn.ReLU(), nn.LayerNorm(16), nn.Linear(16, 5))
    model = nn.Sequential(*layers).double().to(where)
    x = torch.randn(9, 12, dtype=torch.float64).to(where)
    y = torch.randint(0, 5, (9,)).to(where)
    o = getattr(torch.optim, optimizer)(model.parameters(), lr=0.01)
    out = []
    for _ in range(steps):
        o.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        o.step()
        out.append(loss.item())
    return out


def test_two_layers_train_as_on_the_cpu(device: Any) -> None:
    np.testing.assert_allclose(_two_layers("cuda", 20), _two_layers("cpu", 20), rtol=1e-10)


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW"])
def test_a_network_trains_as_on_the_cpu(device: Any, optimizer: str) -> None:
    got, want = _network("cuda", optimizer, 12), _network("cpu", optimizer, 12)
    np.testing.assert_allclose(got, want, rtol=1e-9)


def _recurrent(where: str, kind: str, layers: int, two: bool, lengths: Any) -> list[Any]:
    """Outputs, states and gradients in steps on sequences of other lengths each time."""
    torch.manual_seed(0)
    net = getattr(nn, kind)(3, 4, layers, bidirectional=two).double().to(where)
    found: list[Any] = []
    for longest in (5, 3):
        x = torch.randn(longest, 3, 3, dtype=torch.float64).to(where).requires_grad_()
        given: Any = x
        if lengths:
            many = [min(n, longest) for n in lengths]
            given = nn.utils.rnn.pack_padded_sequence(x, many, enforce_sorted=False)
        out, last = net(given)
        states = last if kind == "LSTM" else (last,)
        out = nn.utils.rnn.pad_packed_sequence(out)[0] if lengths else out
        loss = (out**2).sum() + sum(s.sin().sum() for s in states)
        found += [out, *states, *torch.autograd.grad(loss, [x, *net.parameters()])]
    assert all([t.device.type == where for t in found])
    return [t.detach().cpu() for t in found]


@pytest.mark.parametrize("lengths", [None, [2, 5, 1]])
@pytest.mark.parametrize("layers,two", [(1, False), (2, True)])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_recurrent_networks_are_as_on_the_cpu(
    device: Any, kind: str, layers: int, two: bool, lengths: Any
) -> None:
    got, want = [_recurrent(where, kind, layers, two, lengths) for where in ("cuda", "cpu")]
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_what_repeats_is_replayed(emulated: Any) -> None:
    _two_layers("cuda", 10)
    launches, replays = emulated.launches, emulated.replays
    _two_layers("cuda", 30)
    assert emulated.replays - replays >= 15
    assert emulated.launches - launches <= 150


def test_a_batch_times_one_matrix_is_one_product(emulated: Any) -> None:
    a, b = torch.arange(24.0).reshape(2, 3, 4), torch.arange(20.0).reshape(4, 5)
    got = (a.to("cuda") @ b.to("cuda")).cpu()
    assert torch.equal(got, a @ b)
    assert emulated.products[-1][2:] == (6, 5, 4, 1)


def test_numbers_that_change_are_seen_by_a_replay(device: Any) -> None:
    a = torch.arange(4.0).to("cuda")
    for k in range(6):
        b = a * float(k) + 1
        c = b.sum()
        assert c.item() == 6 * k + 4
        del b, c


def test_views_and_writes_in_place(device: Any) -> None:
    def run(where: str) -> list[Any]:
        a = torch.arange(12.0).reshape(3, 4).to(where)
        v = a[1]
        v += 10
        a[:, 0] = 5
        t = a.t()
        a.mul_(2)
        b = t.contiguous()
        b[2, 1:] = torch.tensor([7.0, 8.0]).to(where)
        return [x.cpu().tolist() for x in (a, v, t, b, t[1:].clone())]

    assert run("cuda") == run("cpu")


def test_both_devices_in_one_frame(device: Any) -> None:
    a, b = torch.ones(3), torch.ones(3).to("cuda")
    c, d = a * 2, b * 3
    assert d.cpu().tolist() == [3.0] * 3
    assert c.tolist() == [2.0] * 3


def test_operands_on_two_devices(device: Any) -> None:
    a, b = torch.ones(3), torch.ones(3).to("cuda")
    with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device, but "):
        a + b
    with pytest.raises(RuntimeError, match="at least two devices, cuda:0 and cpu!"):
        b.reshape(1, 3) @ a.reshape(3, 1)
    assert (b * torch.tensor(2.0)).cpu().tolist() == [2.0] * 3  # numbers are let through
    with pytest.raises(RuntimeError, match="same device"):
        a.add_(b)
    assert a.tolist() == [1.0] * 3


def test_what_has_no_kernel_says_so(device: Any) -> None:
    a = torch.ones(3, 3).to("cuda")
    with pytest.raises(NotImplementedError, match=r"'hash_tensor' of .*has no CUDA kernel"):
        torch.hash_tensor(a)
    with pytest.raises(NotImplementedError, match="no CUDA kernel"):
        a.to(torch.complex64).logcumsumexp(0)
    assert (a + 1).sum().item() == 18  # nothing is left pending


def test_an_index_out_of_range_is_reported(device: Any) -> None:
    a, i = torch.ones(3, 3).to("cuda"), torch.tensor([[0, 5, 1]]).to("cuda")
    from facula.ops.indexing import GATHER
    from facula.trace.recorder import record

    out = record(GATHER, (a, i), 1)
    with pytest.raises(RuntimeError, match="device-side assert"):
        out.cpu()
    assert a.sum().item() == 9


def test_results_without_elements(device: Any) -> None:
    a = torch.ones(0, 3).to("cuda")
    assert (a * 2).cpu().shape == (0, 3)
    assert a.sum().item() == 0
    assert (torch.ones(2, 0).to("cuda") @ a).cpu().tolist() == [[0.0] * 3] * 2


def test_a_permuted_result_keeps_its_layout(device: Any) -> None:
    a = torch.arange(24.0).reshape(2, 3, 4).to("cuda").permute(2, 0, 1)
    b = a * 2
    assert b.stride() == a.stride()
    assert torch.equal(b.cpu(), a.cpu() * 2)
