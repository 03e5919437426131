"""DataLoader in one process, and what it says about its options."""

from __future__ import annotations

import pickle

import pytest
from utils.data import stored

import facula
from facula.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    TensorDataset,
)


class Count(IterableDataset):
    def __init__(self, n, says=None):
        self.n, self.says = n, says

    def __iter__(self):
        return iter(range(self.n))


class Sized(Count):
    def __len__(self):
        return self.says


@pytest.mark.parametrize("case", stored.of("DataLoader"), ids=stored.name)
def test_batches_are_those_of_pytorch(case):
    def run(generator):
        loader = DataLoader(range(10), generator=generator, **case["options"])
        return [stored.plain(loader), stored.plain(loader)]

    stored.replay(case, run)


@pytest.mark.parametrize("case", stored.of("Eager", "EagerBatches"), ids=stored.name)
def test_the_sampler_draws_before_the_loader(case):
    s = stored.Eager(10)
    options = {"sampler": s}
    if case["kind"] == "EagerBatches":
        options = {"batch_sampler": BatchSampler(s, 4, False)}
    loader = DataLoader(range(10), **options)
    stored.replay(case, lambda g: [stored.plain(loader), stored.plain(loader)])


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("case", stored.of("Shards"), ids=stored.name)
def test_iterables_are_shared_out_as_in_pytorch(case):
    options = dict(case["options"])
    data = stored.Shards(*options.pop("lengths"))
    stored.replay(case, lambda g: stored.plain(DataLoader(data, **options)))


def test_batches_of_tensors():
    x = facula.arange(10.0).reshape(5, 2)
    loader = DataLoader(TensorDataset(x, facula.arange(5)), batch_size=2)
    batches = list(loader)
    assert len(loader) == len(batches) == 3
    assert [[list(t.shape) for t in b] for b in batches] == [[[2, 2], [2]]] * 2 + [[[1, 2], [1]]]
    assert facula.cat([b[0] for b in batches]).tolist() == x.tolist()


def test_a_dataset_may_give_a_batch_at_once():
    asked = []

    class Bulk(Dataset):
        def __len__(self):
            return 5

        def __getitems__(self, indices):
            asked.append(indices)
            return [10 * i for i in indices]

    assert stored.plain(DataLoader(Bulk(), batch_size=3)) == [[0, 10, 20], [30, 40]]
    assert asked == [[0, 1, 2], [3, 4]]


@pytest.mark.parametrize(
    "n, size, drop, expected",
    [
        (5, 2, False, [[0, 1], [2, 3], [4]]),
        (5, 2, True, [[0, 1], [2, 3]]),
        (4, 2, False, [[0, 1], [2, 3]]),
        (2, None, False, [0, 1]),
        (0, 2, False, []),
    ],
)
def test_iterables(n, size, drop, expected):
    loader = DataLoader(Count(n), batch_size=size, drop_last=drop)
    assert stored.plain(loader) == stored.plain(loader) == expected
    with pytest.raises(TypeError):
        len(loader)
    assert len(DataLoader(Sized(n, n), batch_size=size, drop_last=drop)) == len(expected)


def test_an_iterable_longer_than_it_says():
    loader = DataLoader(Sized(3, 2), batch_size=1)
    assert len(stored.plain(loader)) == 3  # nobody has asked for the length yet
    assert len(loader) == 2
    with pytest.warns(UserWarning, match=r"was reported to be 2 .* 3 samples have been fetched"):
        list(loader)


def test_samples_as_they_are_and_own_batches():
    assert list(DataLoader(["a", "b"], batch_size=None)) == ["a", "b"]
    assert list(DataLoader([1, 2], batch_size=2, collate_fn=tuple)) == [(1, 2)]
    assert list(DataLoader([1, 2], batch_size=None, collate_fn=str)) == ["1", "2"]
    batches = [[0, 2], [1], []]
    got = list(DataLoader("abc", batch_sampler=batches, collate_fn="".join))
    assert got == ["ac", "b", ""]


def test_each_iterator_is_its_own():
    loader = DataLoader(range(3), batch_size=None)
    assert [(a, b) for a in loader for b in loader] == [(a, b) for a in range(3) for b in range(3)]
    it = iter(loader)
    assert iter(it) is it and len(it) == 3
    assert next(it) == 0 and len(list(it)) == 2
    with pytest.raises(StopIteration):
        next(it)
    with pytest.raises(NotImplementedError, match="pickle"):
        pickle.dumps(it)


def test_an_error_of_the_dataset_passes_through():
    class Own(Exception):
        pass

    class Bad(Dataset):
        def __len__(self):
            return 2

        def __getitem__(self, i):
            raise Own(i)

    with pytest.raises(Own, match="0"):
        next(iter(DataLoader(Bad())))


ALONE = "batch_sampler option is mutually exclusive"
WRONG = [
    ({"batch_size": 0}, ValueError, "batch_size=0"),
    ({"batch_size": 2.5}, ValueError, "batch_size=2.5"),
    ({"num_workers": -1}, ValueError, "num_workers=-1"),
    ({"timeout": -1}, ValueError, "timeout=-1"),
    ({"prefetch_factor": 2}, ValueError, "prefetch_factor=2"),
    ({"num_workers": 1, "prefetch_factor": -1}, ValueError, "prefetch_factor .* -1"),
    ({"num_workers": 1, "prefetch_factor": 0}, ValueError, "prefetch_factor .* 0"),
    ({"persistent_workers": True}, ValueError, "persistent_workers"),
    ({"sampler": [1], "shuffle": True}, ValueError, "sampler option is mutually exclusive"),
    ({"batch_sampler": [[1]], "shuffle": True}, ValueError, ALONE),
    ({"batch_sampler": [[1]], "sampler": [1]}, ValueError, ALONE),
    ({"batch_sampler": [[1]], "batch_size": 3}, ValueError, ALONE),
    ({"batch_sampler": [[1]], "drop_last": True}, ValueError, ALONE),
    ({"batch_size": None, "drop_last": True}, ValueError, "drop_last"),
    ({"multiprocessing_context": "fork"}, ValueError, "num_workers=0"),
    ({"multiprocessing_context": "bad", "num_workers": 1}, ValueError, "'bad'"),
    ({"multiprocessing_context": 3, "num_workers": 1}, TypeError, "multiprocessing_context=3"),
]


@pytest.mark.parametrize("options, error, text", WRONG, ids=lambda o: str(o)[:60])
def test_wrong_options(options, error, text):
    with pytest.raises(error, match=text):
        DataLoader(range(10), **options)


@pytest.mark.parametrize("option", [{"shuffle": True}, {"sampler": [1]}, {"batch_sampler": [[1]]}])
def test_options_that_need_indices(option):
    with pytest.raises(ValueError, match=f"IterableDataset.*{next(iter(option))}="):
        DataLoader(Count(3), **option)
    DataLoader(Count(3), shuffle=False)


def test_a_timeout_needs_workers():
    with pytest.raises(AssertionError, match="num_workers"):
        iter(DataLoader(range(3), timeout=1))


@pytest.mark.parametrize("name", ["batch_size", "sampler", "dataset", "drop_last"])
def test_what_the_iterators_rely_on_is_fixed(name):
    loader = DataLoader(range(3))
    with pytest.raises(ValueError, match=f"{name} attribute should not be set"):
        setattr(loader, name, 5)
    loader.own = 3
    assert loader.own == 3


def test_warnings():
    with pytest.warns(UserWarning, match="create 5000 worker processes"):
        DataLoader(range(3), num_workers=5000)
    with pytest.warns(UserWarning, match="pin_memory"):
        assert stored.plain(DataLoader(range(2), pin_memory=True)) == [[0], [1]]


def test_iterators_are_of_the_classes_that_libraries_ask_about():
    from facula.utils.data import dataloader

    one = iter(dataloader.DataLoader([1, 2]))
    assert isinstance(one, dataloader._BaseDataLoaderIter)
    assert isinstance(one, dataloader._SingleProcessDataLoaderIter)
    assert not isinstance(one, dataloader._MultiProcessingDataLoaderIter)
    assert issubclass(dataloader._MultiProcessingDataLoaderIter, dataloader._BaseDataLoaderIter)


def test_an_iterator_takes_a_loader_of_another_kind():
    """fastai's loaders are no DataLoader: they have what PyTorch's iterators ask of one."""
    import itertools

    from facula.utils.data import dataloader
    from facula.utils.data._utils.pin_memory import pin_memory

    class Fake:
        _dataset_kind = dataloader._DatasetKind.Iterable
        _IterableDataset_len_called = generator = None
        _auto_collation = drop_last = False
        num_workers = timeout = 0
        _index_sampler = itertools.count()
        collate_fn = staticmethod(pin_memory)

        def __init__(self):
            self.dataset = self

        def __iter__(self):
            return iter([facula.ones(2), facula.zeros(2)])

    got = list(dataloader._SingleProcessDataLoaderIter(Fake()))
    assert [t.tolist() for t in got] == [[1, 1], [0, 0]]


@pytest.mark.parametrize(("kind", "first"), [("Map", [10, 11]), ("Iterable", [10, 11])])
def test_fetchers_by_their_kind(kind, first):
    from facula.utils.data.dataloader import _DatasetKind

    number = getattr(_DatasetKind, kind)
    fetcher = _DatasetKind.create_fetcher(number, [10, 11, 12], True, list, False)
    assert fetcher.fetch([0, 1]) == first
