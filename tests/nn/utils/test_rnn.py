"""Packed sequences have the elements of padded ones, step by step, and lead back to them."""

import numpy as np
import pytest

import facula as torch
from facula.nn.utils import rnn


@pytest.mark.usefixtures("tier")
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("lengths", [[5, 3, 3, 1], [1, 4, 2, 4]])
def test_there_and_back(lengths, first):
    x = torch.randn(4, 6, 2) if first else torch.randn(6, 4, 2)
    x.requires_grad_()
    steps = x.detach().numpy() if not first else x.detach().numpy().transpose(1, 0, 2)
    ordered = sorted(range(4), key=lambda i: -lengths[i])
    packed = rnn.pack_padded_sequence(x, lengths, first, enforce_sorted=False)
    want = [steps[t, i] for t in range(6) for i in ordered if t < lengths[i]]
    np.testing.assert_array_equal(packed.data.detach(), want)
    sizes = [sum(n > t for n in lengths) for t in range(max(lengths))]
    assert packed.batch_sizes.tolist() == sizes
    assert packed.sorted_indices.tolist() == ordered

    padded, found = rnn.pad_packed_sequence(packed, first, 7.0, total_length=6)
    assert found.tolist() == lengths
    assert padded.is_contiguous()
    inside = np.arange(6)[:, None] < np.array(lengths)
    inside = inside.T[..., None] if first else inside[..., None]
    np.testing.assert_array_equal(padded.detach(), np.where(inside, x.detach().numpy(), 7.0))
    (padded * padded.detach()).sum().backward()
    np.testing.assert_array_equal(x.grad, np.where(inside, x.detach().numpy(), 0.0))


def test_second_derivatives():
    def f(x):
        packed = rnn.pack_padded_sequence(x, [3, 2], True)
        return rnn.pad_packed_sequence(packed, True)[0].sin()

    x = torch.randn(2, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(f, x)
    assert torch.autograd.gradgradcheck(f, x)


def test_sequences_that_are_sorted_need_no_indices():
    packed = rnn.pack_padded_sequence(torch.arange(6.0).reshape(3, 2), [3, 1])
    assert packed.sorted_indices is None
    assert packed.unsorted_indices is None
    assert packed.data.tolist() == [0, 1, 2, 4]
    padded, _ = rnn.pad_packed_sequence(packed, batch_first=True)
    assert padded.tolist() == [[0, 2, 4], [1, 0, 0]]
    assert padded.stride() == (1, 2)


def test_fewer_lengths_than_sequences():
    x = torch.arange(6.0).reshape(2, 3)
    packed = rnn.pack_padded_sequence(x, [1, 2], enforce_sorted=False)
    assert packed.data.tolist() == [1, 0, 4]
    with pytest.raises(RuntimeError, match="index 3 is out of bounds"):
        rnn.pack_padded_sequence(x, [1, 2, 2, 2], enforce_sorted=False)
    with pytest.raises(RuntimeError, match="batch_size=3"):
        rnn.pack_padded_sequence(x, [2, 1])


def test_any_order_leads_back():
    data, sizes = torch.arange(5.0), torch.tensor([3, 2])
    packed = rnn.PackedSequence(data, sizes, None, torch.tensor([2, 0, 0]))
    padded, lengths = rnn.pad_packed_sequence(packed)
    assert padded.tolist() == [[2, 0, 0], [0, 3, 3]]
    assert lengths.tolist() == [1, 2, 2]
