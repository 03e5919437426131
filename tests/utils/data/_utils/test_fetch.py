"""Taking batches out of a dataset: rows of tensors at once, all else sample by sample."""

from __future__ import annotations

import pytest

import facula as torch
from facula.utils.data import Subset, TensorDataset, default_collate
from facula.utils.data._utils.fetch import MapFetcher, rows

X = torch.arange(12.0).reshape(6, 2)
Y = torch.arange(6)


class Doubled(TensorDataset):
    def __getitem__(self, index):
        return tuple([2 * t for t in super().__getitem__(index)])


PLAIN = TensorDataset(X, Y)
DATASETS = {
    "plain": PLAIN,
    "subset": Subset(PLAIN, [5, 3, 1, 0]),
    "subset of a subset": Subset(Subset(PLAIN, torch.tensor([5, 3, 1, 0]).tolist()), [2, 1, 3, 0]),
    "subset by tensors": Subset(PLAIN, torch.tensor([5, 3, 1, 0])),
    "own samples": Doubled(X, Y),
    "subset of own samples": Subset(Doubled(X, Y), [5, 3, 1, 0]),
}


@pytest.mark.parametrize("name", DATASETS)
@pytest.mark.parametrize("index", [[0, 3, 1], [2], [-1, 0, 0]])
def test_a_batch_is_its_samples_collated(name, index):
    dataset = DATASETS[name]
    got = MapFetcher(dataset, True, default_collate).fetch(index)
    expected = default_collate([dataset[i] for i in index])
    assert type(got) is type(expected)
    assert [t.tolist() for t in got] == [t.tolist() for t in expected]
    assert [t.dtype for t in got] == [t.dtype for t in expected]


def test_which_datasets_are_taken_at_once():
    taken = {name for name, d in DATASETS.items() if rows(d, [0, 1]) is not None}
    assert taken == {"plain", "subset", "subset of a subset"}
    assert rows([(X[0], Y[0])], [0]) is None
    assert rows(TensorDataset(torch.nn.Parameter(X), Y), [0]) is None


def test_gradients_reach_the_tensors():
    x = X.clone().requires_grad_()
    (batch,) = MapFetcher(TensorDataset(x), True, default_collate).fetch([4, 1, 4])
    batch.sum().backward()
    assert x.grad.sum(1).tolist() == [0.0, 2.0, 0.0, 0.0, 4.0, 0.0]


def test_a_batch_is_a_copy_and_a_missing_row_an_error():
    x = X.clone()
    (batch,) = MapFetcher(TensorDataset(x), True, default_collate).fetch([1, 2])
    x.zero_()
    assert batch.tolist() == [[2.0, 3.0], [4.0, 5.0]]
    with pytest.raises(IndexError, match="6"):
        MapFetcher(PLAIN, True, default_collate).fetch([0, 6])


def test_a_function_of_the_user_gets_the_samples():
    seen = []
    MapFetcher(PLAIN, True, seen.append).fetch([0, 2])
    assert [[t.tolist() for t in sample] for sample in seen[0]] == [
        [[0.0, 1.0], 0],
        [[4.0, 5.0], 2],
    ]
