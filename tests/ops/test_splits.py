"""Tensors cut into parts."""

from __future__ import annotations

import pytest

import facula as torch


@pytest.mark.parametrize(
    ("n", "at", "sizes"),
    [(7, 3, [3, 2, 2]), (2, 3, [1, 1, 0]), (5, [2, 4], [2, 2, 1]), (5, [3, 1, 9], [3, 0, 4, 0])],
)
def test_tensor_split_sizes(n, at, sizes):
    parts = torch.arange(n).tensor_split(at)
    assert [p.numel() for p in parts] == sizes
    assert [p.numel() for p in torch.arange(n).tensor_split(torch.tensor(at))] == sizes


def test_parts_are_views_and_only_unsafe_ones_may_be_written_with_a_history():
    x = torch.zeros(4)
    x.hsplit(2)[1].fill_(1)
    assert x.tolist() == [0, 0, 1, 1]
    y = torch.ones(4, requires_grad=True) * 1
    with pytest.raises(RuntimeError, match="multiple views"):
        y.split(2)[0].mul_(2)
    y.unsafe_split(2)[0].mul_(2)


@pytest.mark.parametrize("grad", [False, True])
def test_many_parts_lie_where_single_ones_do(grad):
    base = torch.arange(48.0).reshape(6, 8)
    x = base.requires_grad_()[1:].t() if grad else base[1:].t()
    parts = [*x.unbind(0), *x.unbind(-1), *x.split(3, 1), *x.chunk(5), *x.split([2, 0, 6])]
    single = [x[i] for i in range(8)] + [x[:, i] for i in range(5)]
    single += [x[:, :3], x[:, 3:], x[:2], x[2:4], x[4:6], x[6:], x[:2], x[2:2], x[2:]]
    for a, b in zip(parts, single, strict=True):
        assert (a.shape, a.stride(), a.storage_offset()) == (
            b.shape,
            b.stride(),
            b.storage_offset(),
        )
        assert a.tolist() == b.tolist() and a.requires_grad is grad and a._base is b._base
    if not grad:
        parts[3].fill_(-1)
        assert x[3].tolist() == [-1] * 5 and parts[8][3] == -1 and parts[3]._version == 1
        base.zero_()
        assert not any(p.any() for p in parts)


def test_parts_with_a_history_of_memory_that_numpy_holds():
    x = torch.ones(6, 2, requires_grad=True)
    held = x.detach().numpy()
    for parts in (x.unbind(0), x.split(2)):
        (g,) = torch.autograd.grad(parts, x, [torch.ones_like(p) for p in parts])
        assert g.equal(torch.ones(6, 2)) and held.sum() == 12


def test_a_size_that_does_not_divide_is_an_error():
    with pytest.raises(RuntimeError, match="not divisible"):
        torch.zeros(2, 5).hsplit(2)
    with pytest.raises(TypeError, match="hsplit"):
        torch.zeros(2, 5).hsplit("ab")


def test_tensors_of_one_integer_are_sizes_and_numbers():
    x, one = torch.arange(6.0).reshape(2, 3), torch.tensor(1)
    assert [t.tolist() for t in x.split(one)] == [[[0, 1, 2]], [[3, 4, 5]]]
    assert x.topk(one)[0].tolist() == [[2], [5]]
    assert x.roll(one, 1).tolist() == [[2, 0, 1], [5, 3, 4]]
    assert x.tril(one - 1).tolist() == [[0, 0, 0], [3, 4, 0]]
    with pytest.raises(TypeError):
        x.topk(torch.tensor(1.0))
