"""Elements written one by one, and writes by masks and indices in the memory written."""

from __future__ import annotations

import numpy as np
import pytest
from nn.stored import agrees, raised

import facula as torch


def test_elements_written_one_by_one():
    """What is filled so is written at once after a while, and nobody can tell."""
    for dtype, value in [(torch.float32, 2.5), (torch.float64, float("nan")), (torch.int64, 7)]:
        x = torch.zeros(40, 3, dtype=dtype)
        want = np.zeros((40, 3), x.numpy().dtype)
        for i in range(40):
            x[i, 1], want[i, 1] = value, value
            x[np.int64(i), -1], want[i, -1] = 1, 1
        assert np.array_equal(x.numpy(), want, equal_nan=True)
        assert x._version == 80
    y = torch.zeros(60)
    rows = []
    for i in range(60):
        y[i] = y.max() + 1
        rows.append(y + 0)  # recorded before the next write
    for i, row in enumerate(rows):
        assert (row[i + 1 :] == 0).all()
        assert row[: i + 1].tolist() == list(range(1, i + 2))


def test_one_element_keeps_the_rules():
    def filled():
        t = torch.zeros(4)
        for i in range(40):
            t[i % 4] = 1.0
        return t

    t = filled()
    view = t[1:]
    t[2] = 5.0
    assert view.tolist() == [1.0, 5.0, 1.0]
    t = filled()
    w = torch.ones(4, requires_grad=True)
    loss = (w * t).sum()
    t[0] = 9.0
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
    t = filled()
    t[1] = w[0] * 2
    assert t.requires_grad
    for index in (4, -5):
        t = filled()
        with pytest.raises(IndexError):
            t[index] = 1.0
    t = filled()
    with pytest.raises(RuntimeError):
        t[0] = torch.ones(2)
    t = filled().long()
    t[0] = 2.7
    t[1] = True
    assert t.tolist() == [2, 1, 1, 1]
    t = filled()
    a = t.numpy()
    t[0] = 3.0
    assert a[0] == 3.0
    t = torch.full((4,), 2.0)
    u = torch.full((4,), 2.0)
    torch.synchronize()
    for i in range(20):
        t[i % 4] = float(i)
    assert u.tolist() == [2.0] * 4


def test_elements_of_a_constant_written_through_views():
    """What is made to be filled (`zeros`) has memory at its first element: nobody can tell."""
    x = torch.zeros(3, 1, 4)
    row = x[1]
    before = x + 1  # recorded, so it keeps what it read
    for i in range(3):
        x[i][0][i] = i + 1.0
    row[0, 3] = 9.0
    assert before.tolist() == torch.ones(3, 1, 4).tolist()
    assert x[:, 0].tolist() == [[1, 0, 0, 0], [0, 2, 0, 9], [0, 0, 3, 0]]
    assert row.tolist() == [[0, 2, 0, 9]] and row._version == x._version == 4
    x[1] += 1  # recorded again
    x[1][0][0] = 7.0
    assert x[1].tolist() == [[7, 3, 1, 10]] and row.tolist() == x[1].tolist()


def test_a_constant_that_was_read_keeps_the_rules():
    w = torch.ones(4, requires_grad=True)
    t = torch.zeros(4)
    loss = (w * t).sum()
    t[0] = 9.0
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
    t = torch.zeros(4, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf"):
        t[0] = 1.0
    t = torch.zeros(2)
    t.detach()[0] = 1.0
    t.data[1] = 2.0
    assert t.tolist() == [1.0, 2.0]
    t = torch.zeros(1)
    t.expand(3)[1] = 5.0
    assert t.tolist() == [5.0]
    t, u = torch.full((2,), 4.0), torch.full((2,), 4.0)
    t[1] = 0.0
    assert u.tolist() == [4.0, 4.0] and t.tolist() == [4.0, 0.0]
    t = torch.zeros(3)
    a = t[1:]
    n = a.numpy()
    t[1] = 6.0
    a[1] = 8.0
    assert n.tolist() == [6.0, 8.0] and t.tolist() == [0.0, 6.0, 8.0]
    y = torch.zeros(2)
    y[0] = w.sum()
    y[1] = 3.0
    y.sum().backward()
    assert w.grad.tolist() == [1.0] * 4 and y.tolist() == [4.0, 3.0]


@pytest.mark.parametrize("layout", ["row by row", "turned", "a view"])
@pytest.mark.parametrize("value", [2.5, True, -3, "a tensor"])
def test_a_mask_takes_a_number(layout, value, tier):
    for k in range(3):
        base = np.arange(60.0, dtype=np.float32).reshape(5, 12) - 20 - k
        x = torch.tensor(base)
        other = {"row by row": x, "turned": x.t(), "a view": x[1:4, ::2]}[layout]
        a = {"row by row": base, "turned": base.T, "a view": base[1:4, ::2]}[layout]
        number = torch.tensor(7 + k) if value == "a tensor" else value
        other[other > 5] = number
        a[a > 5] = 7 + k if value == "a tensor" else value
        other[other[:, 0] < -15] = number  # whole rows
        a[a[:, 0] < -15] = 7 + k if value == "a tensor" else value
        assert x.tolist() == base.tolist()
        assert other.tolist() == a.tolist() and other.stride() == tuple(s // 4 for s in a.strides)


def test_what_is_written_where_a_mask_is_true_keeps_its_history():
    x = torch.arange(4.0).requires_grad_()
    y, n = x * 2, torch.tensor(5.0, requires_grad=True)
    y[y > 3] = n
    y[y == 0] = 1.0
    assert y.grad_fn.name() == "IndexPutBackward0"
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 2.0, 0.0, 0.0] and n.grad.item() == 2.0
    with pytest.raises(RuntimeError, match="leaf Variable"):
        x[x > 1] = 0.0


def test_nothing_is_assigned_to_itself_where_the_index_makes_a_view():
    """Whether two tensors are one is asked before whether they have elements."""
    x = torch.zeros(0, 2)
    at = torch.tensor([0, 1])
    for index in ((slice(None), at), (slice(9), at), (slice(0, None), at)):
        with pytest.raises(RuntimeError, match="some elements of the input tensor"):
            x[index] = x
    for index in ((slice(1, None), at), (slice(-1), at), (slice(None, None, 2), at)):
        x[index] = x
    x[:, at] = x[:]


def test_parts_written_one_after_the_other():
    """Rows, blocks and columns, from numbers, rows and what is computed; as NumPy writes them."""
    row = torch.arange(6.0)
    for fill in (torch.zeros, torch.ones, torch.randn):
        out = fill(40, 6)
        want = out.clone().numpy().copy()
        for i in range(40):
            out[i] = row
            out[i, 1:4:2] = i
            out[-1 - i, :2] = row[:2] * i
            out[i:, 5] = i
            want[i] = row.numpy()
            want[i, 1:4:2] = i
            want[-1 - i, :2] = row.numpy()[:2] * i
            want[i:, 5] = i
        np.testing.assert_array_equal(out.numpy(), want)


def test_a_part_written_from_another_part_of_the_same_memory():
    out = torch.arange(12.0).reshape(4, 3).clone()
    for _ in range(20):
        out[0] = out[2]
        out[1:3, 0] = out[2:4, 1]
    want = np.arange(12.0).reshape(4, 3)
    for _ in range(20):
        want[0] = want[2]
        want[1:3, 0] = want[2:4, 1]
    np.testing.assert_array_equal(out.numpy(), want)


def test_parts_with_a_history_keep_it():
    w = torch.ones(3, requires_grad=True)
    out = torch.zeros(30, 3)
    for i in range(30):
        out[i] = w * i if i % 2 else torch.ones(3)
    out.sum().backward()
    assert w.grad.tolist() == [225.0] * 3
    with pytest.raises(RuntimeError):
        out[0, :2] = torch.ones(3)
    with pytest.raises(IndexError):
        out[30] = 1.0


def test_a_view_that_is_left_sees_each_of_many_writes():
    out = torch.zeros(3000, 2)
    kept = out[7]
    loose = [out[i : i + 2] for i in range(5)]
    for i in range(3000):
        out[i] = torch.full((2,), float(i)).exp().log() if i % 50 else float(i)
    torch.testing.assert_close(kept, torch.tensor([7.0, 7.0]))
    torch.testing.assert_close(loose[3], torch.tensor([[3.0, 3.0], [4.0, 4.0]]))


def test_adding_to_a_part_in_place_writes_it_once():
    x = torch.arange(6.0).reshape(2, 3)
    for _ in range(3):
        before = x._version
        x[1] += 1
        x[0, 2] *= 2
        x[:, None] -= 1
        assert x._version == before + 6  # of each the operation and the assignment, as in PyTorch
    assert x.tolist() == [[-3, -2, 2 * (2 * (2 * 2 - 1) - 1) - 1], [3, 4, 5]]


def test_a_part_that_is_another_view_is_written():
    x = torch.arange(4.0)
    x[1] = x[2]
    assert x.tolist() == [0, 2, 2, 3]
    w = torch.ones(3, requires_grad=True)
    y = w * 1
    y[0] += 2
    y.sum().backward()
    assert w.grad.tolist() == [1, 1, 1] and y.tolist() == [3, 1, 1]


@pytest.mark.parametrize("dtype", ["int64", "uint64", "uint8", "bool", "complex64"])
@pytest.mark.parametrize("value", [2**63, 2**70, -(2**63) - 1])
def test_numbers_of_more_than_64_bits_are_refused(dtype, value):
    x = torch.zeros(2, dtype=getattr(torch, dtype))
    with pytest.raises(ValueError, match="Overflow when unpacking long long"):
        x[0] = value
    assert not x.any()


@agrees
def test_masks_and_indices_in_the_memory_written(torch):
    """They are refused where they share a part of it; a mask that is all of it is not."""
    calls = (
        lambda b, i: b.masked_fill_(b, False),
        lambda b, i: b.masked_fill_(b[0], False),
        lambda b, i: b[:2].masked_fill_(mask=b[1:], value=False),
        lambda b, i: b.__setitem__(b, False),
        lambda b, i: b.__setitem__(b, torch.tensor([False] * 6)),
        lambda b, i: b[:2].__setitem__(b[1:], False),
        lambda b, i: b.__setitem__((0, b[0]), False),
        lambda b, i: b.__setitem__((0, b[0]), torch.tensor([False, False])),
        lambda b, i: b[:2].index_put_((b[1:],), torch.tensor(False)),
        lambda b, i: b.index_put_((b,), torch.tensor([False] * 6)),
        lambda b, i: i[0].index_fill_(0, i[0], 7),
        lambda b, i: i.index_fill_(dim=0, index=i[0, :2], value=7),
        lambda b, i: i[1:].index_fill_(0, i[0, :2], 7),
        lambda b, i: i.index_put_((i[0, :2],), torch.tensor(7)),
        lambda b, i: i.index_put_((i[0, :2],), torch.tensor(7), accumulate=True),
        lambda b, i: i.__setitem__(i[0, :2], 5),
        lambda b, i: i.__setitem__((slice(1, 2), i[0]), 5),
        lambda b, i: i.__setitem__((0, i[1] - 4), 5),
    )
    out = []
    for call in calls:
        b = torch.tensor([[1, 0, 1, 0], [0, 1, 0, 1], [1, 1, 0, 0]], dtype=torch.bool)
        i = torch.arange(12).reshape(3, 4)
        out.append([raised(call, b, i), b, i])
    return out


VALUES = (
    np.float64(2.5), np.float32(2.5), np.float16(1.5), np.int8(3), np.int64(3), np.uint64(3),
    np.bool_(True), np.complex64(2), np.complex128(2), np.complex128(2 + 1j), 2 + 0j, 1 + 2j,
    np.array(2.0), np.array([2.0]), np.ones(3), np.array(3), [1, 2, 3], [], (1, 2, 3), "a", None,
    2**70, 2**63, -(2**63), -(2**63) - 1, range(3), np.str_("a"), np.longdouble(2), True, float,
)  # fmt: skip


@agrees
def test_which_values_may_be_assigned(torch):
    """Numbers of Python's own classes and NumPy's integers, nothing else that is no tensor."""
    indices = (0, slice(None), torch.tensor([True, False, True]), False)
    out = []
    for index in indices:
        for value in VALUES:
            for name in ("float64", "int64", "bool"):
                x = torch.zeros(3, dtype=getattr(torch, name))
                out.append(f"{raised(x.__setitem__, index, value)} {x.tolist()}")
    return out


@agrees
def test_a_lone_flag_is_a_dimension(torch):
    """Of a tensor's copies into it, which may convert; among other indices it is an index."""
    out = []
    shapes = ((), (3,), (1, 3), (2,), (2, 3), (0,), (1, 1, 1, 3))
    for index in (True, False, (True,), (True, 0), (True, slice(None)), torch.tensor(True)):
        for shape in shapes:
            x = torch.zeros(3, dtype=torch.float64)
            for value in (torch.ones(shape), torch.ones(shape, dtype=torch.float64)):
                out.append([raised(x.__setitem__, index, value), x.tolist()])
    return out
