"""What may not be written in place."""

from __future__ import annotations

import numpy as np
import pytest
from nn.stored import agrees, raised

import facula as torch


def test_expanded_memory_is_not_written():
    x = torch.zeros(1).expand(3)
    with pytest.raises(RuntimeError, match="single memory location"):
        x.add_(1)
    assert x.tolist() == [0, 0, 0]


@agrees
def test_operands_that_share_memory_with_what_is_written(torch):
    x = torch.arange(4.0)
    same = x[:]
    out = [raised(same.add_, x), raised(x[1:].add_, x[:-1]), raised(x[:1].unsqueeze(0).add_, x[:1])]
    z = torch.tensor(2.0)
    one = z[None]
    one[:] = z
    one.masked_fill_(one > 0, z)
    one.fill_(z)
    one[torch.tensor([True])] = z
    out += [one, raised(one.copy_, z), raised(lambda: one.__setitem__(None, one))]
    for op in (torch.cat, torch.stack):
        out.append(
            raised(lambda op=op: op([x[:2], x[2:]], out=x if op is torch.cat else x.view(2, 2)))
        )
    return out


@pytest.mark.filterwarnings("ignore:An output with one or more elements was resized")
def test_what_is_resized_to_fewer_elements_stays_where_it_is():
    seen = torch.zeros(3).numpy()
    x = torch.from_numpy(seen)
    torch.add(torch.ones(2), 1, out=x)
    assert seen.tolist() == [2, 2, 0]
    x.mul_(3)
    assert seen.tolist() == [6, 6, 0] and x.untyped_storage().nbytes() == 12
    torch.add(torch.zeros(3, 1), 1, out=x)
    assert seen.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("write", "want"),
    [
        (lambda x: x.__setitem__(x != 2.0, -1.0), [-1, 2, -1]),
        (lambda x: x.__setitem__(torch.tensor([0]), -1.0), [-1, -1, -1]),
        (lambda x: x.__setitem__((torch.tensor([0]), torch.tensor([1])), -1.0), [1, -1, 3]),
        (lambda x: x.index_put_((torch.tensor([1]),), torch.tensor(9.0)), [9, 9, 9]),
        (lambda x: x.masked_fill_(torch.tensor([[False] * 3, [True] * 3]), 0), [0, 0, 0]),
        (lambda x: x.masked_fill_(x != 2.0, 0), [0, 2, 0]),
        (lambda x: x.index_fill_(1, torch.tensor([2]), 0), [1, 2, 0]),
    ],
)
def test_some_writes_to_expanded_tensors_are_warned_of(write, want):
    x = torch.tensor([1.0, 2.0, 3.0])
    with pytest.warns(UserWarning, match="on expanded tensors is deprecated"):
        write(x.expand(2, 3))
    assert x.tolist() == want


def test_other_writes_to_expanded_tensors_are_refused():
    x = torch.tensor([1.0, 2.0, 3.0])
    for write in (
        lambda y: y.add_(1),
        lambda y: y.index_add_(0, torch.tensor([0]), torch.ones(1, 3)),
        lambda y: y.__setitem__((slice(None), 1), -1.0),
    ):
        with pytest.raises(RuntimeError, match="more than one element"):
            write(x.expand(2, 3))
    assert x.tolist() == [1, 2, 3]


def test_gradients_of_writes_to_expanded_tensors():
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = (x * 2).expand(2, 3)
    with pytest.warns(UserWarning, match="deprecated"):
        y.masked_fill_(torch.tensor([True, False, False]), 0.0)
    y.sum().backward()
    assert y.tolist() == [[0, 4, 6]] * 2 and x.grad.tolist() == [0, 4, 4]


def test_a_small_part_of_a_large_tensor_is_written_at_once():
    z = torch.zeros(256, 128)
    torch.synchronize()
    row, turned, where = z[3:5], z.t(), z.data_ptr()
    z[5] += 1.0
    row.add_(2)
    turned[7].mul_(3).add_(1)
    z[6].copy_(z[5] * 2)
    want = np.zeros((256, 128), np.float32)
    want[5], want[3:5] = 1, 2
    want[:, 7] = want[:, 7] * 3 + 1
    want[6] = want[5] * 2
    assert z.data_ptr() == where
    for t, w in ((z, want), (row, want[3:5]), (turned, want.T)):
        np.testing.assert_array_equal(t.numpy(), w)
    a = z[9]
    before = a * 2
    a -= 1
    assert before.sum() == 2 and z[9].tolist() == [*[-1.0] * 7, 0.0, *[-1.0] * 120]
