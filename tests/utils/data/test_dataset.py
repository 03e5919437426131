"""Datasets and their combinations."""

from __future__ import annotations

import pytest
from utils.data import stored

import facula
from facula.utils.data import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)


class Count(IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return iter(range(self.n))


class Sized(Count):
    def __len__(self):
        return self.n


class Bulk(Dataset):
    """Says whether samples were asked for one by one or together."""

    def __len__(self):
        return 4

    def __getitem__(self, i):
        return i, "one"

    def __getitems__(self, indices):
        return [(i, "many") for i in indices]


def test_a_dataset_without_items_says_so():
    with pytest.raises(NotImplementedError, match="__getitem__"):
        Dataset()[0]
    with pytest.raises(TypeError):
        len(Dataset())
    with pytest.raises(TypeError, match="abstract"):
        IterableDataset()
    assert Dataset[int] is not None and IterableDataset[int] is not None


def test_tensor_dataset():
    x, y = facula.arange(6.0).reshape(3, 2), facula.arange(3)
    d = TensorDataset(x, y)
    assert len(d) == 3
    a, b = d[1]
    assert a.tolist() == [2.0, 3.0] and b.item() == 1
    assert [t.tolist() for t in d[1:]] == [[[2.0, 3.0], [4.0, 5.0]], [1, 2]]
    x[1, 0] = 9.0
    assert d[1][0].tolist() == [9.0, 3.0]  # rows are views
    with pytest.raises(IndexError):
        d[3]
    with pytest.raises(AssertionError, match=r"Size mismatch between tensors.*\[2, 3\]"):
        TensorDataset(facula.zeros(2), facula.zeros(3))


def test_stack_dataset():
    d = StackDataset([1, 2], ["a", "b"])
    assert d[1] == (2, "b") and len(d) == 2
    d = StackDataset(number=[1, 2], letter=["a", "b"])
    assert d[0] == {"number": 1, "letter": "a"}
    assert d.__getitems__([1, 0]) == [d[1], d[0]]
    bulk = StackDataset(Bulk(), range(4)).__getitems__([2, 0])
    assert bulk == [((2, "many"), 2), ((0, "many"), 0)]
    with pytest.raises(ValueError, match="at least one"):
        StackDataset()
    with pytest.raises(ValueError, match="both"):
        StackDataset([1], a=[1])
    with pytest.raises(ValueError, match=r"Size mismatch.*\[1, 2\]"):
        StackDataset([1], [1, 2])


def test_stack_dataset_checks_what_members_return():
    class Wrong(Bulk):
        def __getitems__(self, indices):
            return [0]

    with pytest.raises(
        ValueError, match=r"Wrong\.__getitems__ was asked for 2 samples.*returned 1"
    ):
        StackDataset(Wrong()).__getitems__([1, 2])


def test_concat_dataset():
    d = ConcatDataset([[0, 1], [], [2], (3, 4, 5)])
    assert len(d) == 6 and d.cumulative_sizes == [2, 2, 3, 6]
    assert [d[i] for i in range(6)] == list(range(6))
    assert [d[i] for i in range(-6, 0)] == list(range(6))
    with pytest.raises(ValueError, match="-7"):
        d[-7]
    with pytest.raises(IndexError):
        d[6]
    with pytest.raises(AssertionError, match="empty"):
        ConcatDataset([])
    with pytest.raises(AssertionError, match="Count"):
        ConcatDataset([Count(2)])
    with pytest.warns(DeprecationWarning, match="cumulative_sizes"):
        assert d.cummulative_sizes == [2, 2, 3, 6]


def test_addition():
    d = TensorDataset(facula.arange(2)) + TensorDataset(facula.arange(3))
    assert isinstance(d, ConcatDataset) and [t.item() for (t,) in d] == [0, 1, 0, 1, 2]
    chained = Count(2) + Count(3)
    assert isinstance(chained, ChainDataset) and list(chained) == [0, 1, 0, 1, 2]


def test_chain_dataset():
    assert list(ChainDataset([Count(2), Sized(1)])) == [0, 1, 0]
    assert len(ChainDataset([Sized(2), Sized(3)])) == 5
    with pytest.raises(TypeError):
        len(ChainDataset([Count(2)]))
    with pytest.raises(AssertionError, match="list"):
        list(ChainDataset([[1]]))


def test_subset():
    s = Subset("abcdef", [4, 0, 2])
    assert [s[0], s[-1], len(s)] == ["e", "c", 3] and s.__getitems__([1, 2]) == ["a", "c"]
    t = Subset(facula.arange(10), [4, 7])
    assert t[1].item() == 7 and t[[0, 1]].tolist() == [4, 7]
    assert Subset(Bulk(), [3, 1]).__getitems__([0]) == [(3, "many")]


@pytest.mark.parametrize("case", stored.of("random_split"), ids=stored.name)
def test_random_split_is_that_of_pytorch(case):
    n, lengths = case["options"]["n"], case["options"]["lengths"]

    def run(generator):
        return [list(s.indices) for s in random_split(range(n), lengths, generator)]

    stored.replay(case, run)


def test_random_split_of_wrong_lengths():
    with pytest.raises(ValueError, match=r"Sum of input lengths.*\[3, 3\].*10"):
        random_split(range(10), [3, 3])
    with pytest.raises(ValueError, match="Sum of input lengths"):
        random_split(range(10), [0.5, 0.6])
    with pytest.raises(ValueError, match=r"index 1 .* -0\.5"):
        random_split(range(10), [0.5, -0.5, 1.0])
    with pytest.warns(UserWarning, match="index 1 is 0"):
        assert [len(s) for s in random_split(range(1), [0.7, 0.3])] == [1, 0]
