"""Conversions."""

from __future__ import annotations

import pytest

import facula as torch


def test_to_returns_the_tensor_itself_where_nothing_changes():
    x = torch.ones(2)
    assert x.to(torch.float32) is x
    assert x.to(torch.float32, copy=True) is not x
    assert x.to(torch.ones(1, dtype=torch.int8)).dtype is torch.int8


def test_conversion_wraps_and_cuts_as_c_does():
    assert torch.tensor([300, -1]).to(torch.uint8).tolist() == [44, 255]
    assert torch.tensor([-1.7, 2.9]).long().tolist() == [-1, 2]
    assert torch.tensor([0.1, 0.0]).bool().tolist() == [True, False]


@pytest.mark.parametrize("name", ["complex32", "qint8", "quint8", "qint32", "quint4x2", "chalf"])
def test_types_that_are_only_named(name):
    """Libraries compare with them; whatever would make a tensor of one says that there are none."""
    d = getattr(torch, name)
    assert isinstance(d, torch.dtype) and torch.zeros(2).dtype != d
    assert d.is_complex is (name in ("complex32", "chalf")) and not d.is_floating_point
    x = torch.zeros(2)
    for make in (
        lambda: torch.zeros(2, dtype=d),
        lambda: torch.tensor([1], dtype=d),
        lambda: torch.empty_like(x, dtype=d),
        lambda: x.to(d),
        lambda: x.sum(dtype=d),
        lambda: torch.promote_types(d, torch.float32),
    ):
        with pytest.raises(NotImplementedError, match=rf"torch\.{d._name}: tensors of this type"):
            make()


def test_float64_becomes_float16_by_way_of_float32(tier):
    """As in PyTorch: a number nearer to the tie than float32 sees rounds as the tie does."""
    low, high = 0.09771728515625, 0.0977783203125  # neighbours of float16; the second is even
    x = (low + high) / 2 * (1 - 1e-12)
    half = torch.float16
    for _ in range(3):
        wide = torch.tensor([x, x], dtype=torch.float64)
        written = torch.zeros(2, dtype=half)
        written[:] = wide
        for y in (
            wide.to(half),
            written,
            torch.tensor([x, x], dtype=half),
            torch.full((2,), x, dtype=half),
            torch.zeros(2, dtype=half).fill_(x),
            torch.zeros(2, dtype=half) + x,
            torch.arange(x, 1, 0.5, dtype=half)[:1],
            torch.linspace(x, 1, 2, dtype=half)[:1],
            torch.complex(wide, wide).real.to(half),
        ):
            assert y.tolist() == [high] * len(y)


def test_a_copy_is_asked_for_by_position():
    x = torch.ones(2)
    assert x.to("cpu", torch.float32, False, False) is x
    for y in (x.to("cpu", torch.float32, False, True), x.to(torch.float32, False, True)):
        y.zero_()
    assert x.tolist() == [1, 1]


def test_after_a_device_stands_a_dtype():
    x, layer = torch.ones(2), torch.nn.Linear(2, 2)
    for to in (x.to, layer.to):
        with pytest.raises(TypeError, match="invalid combination of arguments"):
            to("cpu", True)
        with pytest.raises(TypeError):
            to(other=x)
        assert to("cpu", None, True) is not None
        assert to(torch.float32, True) is not None
    with pytest.raises(RuntimeError, match="does not accept copy argument"):
        layer.to("cpu", torch.float32, False, True)
    assert x.to(tensor=x.double()).dtype is torch.float64


def test_type_as_takes_the_device_too():
    x = torch.ones(2).type_as(torch.empty(1, device="meta", dtype=torch.float64))
    assert x.is_meta and x.dtype is torch.float64
    y = torch.ones(2)
    assert y.type_as(torch.zeros(3)) is y


def test_conversion_to_a_memory_format():
    # Strides as in PyTorch 2.13.
    x = torch.arange(120.0).reshape(2, 3, 4, 5)
    last, rows = (60, 1, 15, 3), (60, 20, 5, 1)
    turned = x.contiguous(memory_format=torch.channels_last)
    assert x.to(memory_format=torch.channels_last).stride() == last
    assert torch.equal(x.to(memory_format=torch.channels_last), x)
    assert turned.to(memory_format=torch.channels_last) is turned
    assert turned.to(memory_format=torch.contiguous_format).stride() == rows
    assert turned.to(torch.float64, memory_format=torch.contiguous_format).stride() == rows
    assert x.to(torch.float64, memory_format=torch.channels_last).stride() == last
    assert x.to(memory_format=torch.channels_last, copy=True).stride() == last
    assert x.to(memory_format=torch.preserve_format) is x
    assert x.double(memory_format=torch.channels_last).stride() == last
    assert x.cpu(memory_format=torch.channels_last).stride() == last
    z = x.permute(3, 0, 1, 2)  # neither format: contiguous to PyTorch, as long as nothing is made
    assert z.to(memory_format=torch.contiguous_format) is z
    assert z.to(torch.float64, memory_format=torch.contiguous_format).stride() == (24, 12, 4, 1)
    with pytest.raises(RuntimeError, match="required rank 4"):
        torch.ones(2, 3).to(memory_format=torch.channels_last)
