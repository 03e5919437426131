"""Convolutions by cuDNN: what it is asked for, when it is not asked, and in replayed graphs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import facula as torch
from facula.nn import functional as F

CASES = {
    "1d": (F.conv1d, (2, 4, 9), (6, 2, 3), {"stride": 2, "padding": 1, "groups": 2}),
    "2d": (F.conv2d, (2, 3, 7, 6), (4, 3, 3, 2), {"padding": (1, 0), "dilation": (2, 1)}),
    "depthwise": (F.conv2d, (1, 4, 6, 6), (4, 1, 3, 3), {"groups": 4, "padding": 1}),
    "3d": (F.conv3d, (1, 2, 4, 5, 4), (3, 2, 2, 2, 2), {"stride": (1, 2, 1)}),
    "t1d": (F.conv_transpose1d, (2, 3, 5), (3, 2, 3), {"stride": 2, "output_padding": 1}),
    "t2d": (F.conv_transpose2d, (2, 4, 4, 4), (4, 1, 3, 3), {"stride": 2, "groups": 2}),
    "t3d": (F.conv_transpose3d, (1, 2, 3, 3, 3), (2, 2, 2, 2, 2), {"stride": 2, "dilation": 2}),
}


def _results(where: str, name: str, kind: Any) -> list[Any]:
    f, size, weights, settings = CASES[name]
    torch.manual_seed(0)
    x, w = [torch.randn(s, dtype=kind).to(where).requires_grad_() for s in (size, weights)]
    y = f(x, w, **settings)
    g = torch.randn(y.shape, dtype=kind).to(where)
    (y * g).sum().backward()
    return [t.detach().cpu().numpy() for t in (y, x.grad, w.grad)]


@pytest.mark.parametrize("name", CASES)
def test_results_and_gradients_are_those_of_the_cpu(device: Any, name: str) -> None:
    got, want = _results("cuda", name, torch.float64), _results("cpu", name, torch.float64)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_the_library_is_what_convolves(emulated: Any) -> None:
    before = len(emulated.dnn.calls)
    _results("cuda", "2d", torch.float64)
    assert sorted(emulated.dnn.calls[before:]) == ["BackwardData", "BackwardFilter", "Forward"]


def test_without_it_there_are_kernels(emulated: Any) -> None:
    want = _results("cuda", "2d", torch.float64)
    before = len(emulated.dnn.calls)
    with torch.backends.cudnn.flags(enabled=False):
        got = _results("cuda", "2d", torch.float64)
    assert len(emulated.dnn.calls) == before
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_algorithms_with_chance_in_them_are_refused(emulated: Any) -> None:
    emulated.dnn.refuse, before = True, len(emulated.dnn.calls)
    try:
        a = torch.ones(1, 1, 5, 5).to("cuda")
        assert F.conv2d(a, a[:, :, :4, :2]).cpu().tolist() == [[[[8.0] * 4] * 2]]
    finally:
        emulated.dnn.refuse = False
    assert len(emulated.dnn.calls) == before


def test_a_strided_operand_is_copied_first(device: Any) -> None:
    a = torch.arange(64.0).reshape(1, 1, 8, 8)
    w = torch.arange(9.0).reshape(1, 1, 3, 3)
    got = F.conv2d(a.to("cuda")[:, :, ::2, 1:], w.to("cuda").transpose(2, 3))
    want = F.conv2d(a[:, :, ::2, 1:], w.transpose(2, 3))
    np.testing.assert_allclose(got.cpu().numpy(), want.numpy(), rtol=2e-3)


def test_a_loop_of_convolutions_is_replayed(emulated: Any) -> None:
    model = torch.nn.Conv2d(2, 3, 3).to("cuda")
    x = torch.ones(1, 2, 5, 5).to("cuda")
    o = torch.optim.SGD(model.parameters(), lr=0.1)
    replays, losses = emulated.replays, []
    for _ in range(12):
        o.zero_grad()
        loss = model(x).pow(2).sum()
        loss.backward()
        o.step()
        losses.append(loss.item())
    assert emulated.replays - replays >= 5
    assert losses[-1] != losses[-2] or losses[-1] == 0


def test_switches_tell_the_truth(device: Any) -> None:
    c = torch.backends.cudnn
    assert c.is_acceptable(torch.ones(1).to("cuda")) == c.is_available()
    assert not c.is_acceptable(torch.ones(1))
    with c.flags(enabled=False):
        assert not c.is_acceptable(torch.ones(1).to("cuda"))


def test_there_is_no_cudnn_without_a_device() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    assert not torch.backends.cudnn.is_available()
    assert torch.backends.cudnn.version() is None
