"""Indexing: positions of what is not zero, masks of whole tensors, triangles."""

import numpy as np
import pytest

import facula as torch
from facula.ops.indices import positions


@pytest.mark.parametrize(
    "shape", [(0,), (7,), (3, 4), (0, 4), (4, 0), (1, 1), (2, 3, 5), (5, 1, 2, 3)], ids=str
)
@pytest.mark.parametrize("dtype", [bool, np.float32, np.int64, np.complex64])
def test_positions(shape, dtype, rng):
    a = rng.integers(0, 2, shape).astype(dtype)
    for b in (a, a.T, a[..., ::-1]):
        got = positions(b)
        want = np.nonzero(b)
        assert len(got) == len(want)
        for x, y in zip(got, want, strict=True):
            assert x.dtype == y.dtype
            assert x.tolist() == y.tolist()


def test_what_is_no_number_is_not_zero():
    assert [x.tolist() for x in positions(np.array([[0.0, -0.0], [np.nan, 2]]))] == [[1, 1], [0, 1]]


@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 3, 4), (0, 3)], ids=str)
def test_masks_of_the_whole(shape, tier, rng):
    a = rng.standard_normal(shape)
    m = rng.random(shape) > 0.5
    x = torch.tensor(a, requires_grad=True)
    got = x[torch.tensor(m)]
    assert got.tolist() == a[m].tolist()
    assert torch.masked_select(x, torch.tensor(m)).tolist() == a[m].tolist()
    (got * 2).sum().backward()
    assert x.grad.tolist() == (m * 2.0).tolist()
    turned = torch.tensor(a).permute(*range(len(shape) - 1, -1, -1))
    assert turned[torch.tensor(m.T)].tolist() == a.T[m.T].tolist()
    x.detach()[torch.tensor(m)] = 7
    assert x.tolist() == np.where(m, 7, a).tolist()


@pytest.mark.parametrize("diagonal", [-9, -2, 0, 1, 9])
@pytest.mark.parametrize("shape", [(4, 6), (2, 5, 3), (0, 3)], ids=str)
def test_triangles(shape, diagonal, tier):
    a = np.arange(1.0, np.prod(shape) + 1).reshape(shape)
    x = torch.tensor(a, requires_grad=True)
    low, high = x.tril(diagonal), torch.triu(x, diagonal)
    assert low.tolist() == np.tril(a, diagonal).tolist()
    assert high.tolist() == np.triu(a, diagonal).tolist()
    low.sum().backward()
    assert x.grad.tolist() == np.tril(np.ones(shape), diagonal).tolist()
    assert torch.ones(3, 3, dtype=torch.bool).tril().tolist() == np.tri(3, dtype=bool).tolist()


def test_what_is_wrong_with_a_tensor_comes_before_its_index_tensors():
    leaf = torch.zeros(2, 3).requires_grad_()
    masks = torch.tensor([True, False, True])
    for index in (masks, torch.tensor([1, 7]), torch.tensor([1.0])):
        with pytest.raises(RuntimeError, match="leaf Variable"):
            leaf[index] = 0.5
        with pytest.raises(IndexError):
            leaf.detach()[index] = 0.5
    with pytest.raises(IndexError):  # plain indices come first
        leaf[5] = 0.5


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
