"""Pipes of samples one after the other; expectations are PyTorch's."""

from __future__ import annotations

import pickle

import pytest

import facula as torch
from facula.utils.data import DataLoader, IterDataPipe, functional_datapipe
from facula.utils.data.datapipes.iter import IterableWrapper, Sampler


def ten() -> IterableWrapper:
    return IterableWrapper(range(10))


def pairs() -> IterableWrapper:
    return IterableWrapper([(1, 2), (3, 4)])


CASES = [
    (lambda: ten().map(lambda x: x + 1).filter(lambda x: x > 7), [8, 9, 10]),
    (lambda: ten().batch(4), [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]),
    (lambda: ten().batch(4, drop_last=True).unbatch(), [0, 1, 2, 3, 4, 5, 6, 7]),
    (lambda: IterableWrapper([[[1], [2]], [[3]]]).unbatch(2), [1, 2, 3]),
    (lambda: IterableWrapper([[[1], [2]], [[3]]]).unbatch(unbatch_level=-1), [1, 2, 3]),
    (lambda: ten().zip(IterableWrapper("ab")), [(0, "a"), (1, "b")]),
    (lambda: IterableWrapper([1]).concat(IterableWrapper("ab")), [1, "a", "b"]),
    (lambda: ten().mux(IterableWrapper(range(20, 23))), [0, 20, 1, 21, 2, 22]),
    (lambda: ten().shuffle().set_seed(3), [3, 9, 2, 4, 7, 6, 0, 8, 1, 5]),
    (lambda: ten().shuffle().set_shuffle(False), list(range(10))),
    (lambda: ten().sharding_filter(), list(range(10))),
    (
        lambda: ten().groupby(lambda x: x % 3, group_size=2),
        [[0, 3], [1, 4], [2, 5], [6, 9], [7], [8]],
    ),
    (lambda: pairs().map(lambda x: x * 10, input_col=0), [(10, 2), (30, 4)]),
    (lambda: pairs().map(lambda x: x * 10, 0, -1), [(1, 2, 10), (3, 4, 30)]),
    (lambda: pairs().map(lambda x, y: x * y, [0, 1]), [(2,), (12,)]),
    (lambda: IterableWrapper([{"a": 1}]).map(str, "a", "b"), [{"a": 1, "b": "1"}]),
    (lambda: pairs().filter(lambda x: x > 1, input_col=0), [(3, 4)]),
    (lambda: Sampler(IterableWrapper([5, 6])), [0, 1]),
]


@pytest.mark.parametrize("make, expected", CASES)
def test_pipes(make, expected):
    pipe = make()
    assert list(pipe) == expected
    assert isinstance(pipe, torch.utils.data.IterableDataset)


def test_orders_are_those_of_pytorch():
    torch.manual_seed(0)
    assert list(ten().shuffle()) == [3, 5, 0, 1, 9, 6, 2, 7, 4, 8]
    torch.manual_seed(0)
    assert list(ten().shuffle(buffer_size=3)) == [0, 1, 3, 5, 2, 4, 6, 8, 9, 7]
    torch.manual_seed(7)
    loader = DataLoader(ten().shuffle(), batch_size=3)
    assert [x.tolist() for x in loader] == [[1, 4, 8], [5, 9, 7], [3, 6, 2], [0]]
    assert [x.tolist() for x in loader] == [[8, 1, 7], [6, 4, 2], [0, 9, 5], [3]]
    assert list(DataLoader(ten().shuffle(), shuffle=False, batch_size=None)) == list(range(10))
    torch.manual_seed(7)
    shared = DataLoader(ten().shuffle().sharding_filter(), batch_size=2, num_workers=2)
    assert [x.tolist() for x in shared] == [[1, 8], [4, 5], [9, 3], [7, 6], [2], [0]]


def test_workers_share_samples_out_in_every_epoch():
    pipe = ten().shuffle().sharding_filter()
    loader = DataLoader(pipe, batch_size=None, num_workers=2, persistent_workers=True)
    assert sorted(loader) == sorted(loader) == list(range(10))


def test_splits():
    one, two = ten().fork(2)
    assert list(one) == list(two) == list(range(10)) == list(one)
    even, odd = ten().demux(2, lambda x: x % 2)
    assert (list(even), list(odd)) == ([0, 2, 4, 6, 8], [1, 3, 5, 7, 9])
    a, b = ten().fork(2, buffer_size=2)
    ahead = iter(a)
    with pytest.raises(BufferError):
        iter(b), list(ahead)
    first, again = iter(one), iter(one)
    assert next(again) == 0
    with pytest.raises(RuntimeError, match="invalidated"):
        next(first)


def test_batches_are_collated():
    made = list(ten().batch(5).collate())
    assert [x.tolist() for x in made] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]


def test_pipes_of_programs():
    @functional_datapipe("plus_for_this_test")
    class Plus(IterDataPipe):
        def __init__(self, source, n):
            self.source, self.n = source, n

        def __iter__(self):
            for x in self.source:
                yield x + self.n

    pipe = ten().plus_for_this_test(5)
    assert list(pipe) == list(range(5, 15)) and "plus_for_this_test" in dir(pipe)
    assert [x.tolist() for x in DataLoader(pipe, batch_size=5)] == [
        [5, 6, 7, 8, 9],
        [10, 11, 12, 13, 14],
    ]
    with pytest.raises(Exception, match="already taken"):
        functional_datapipe("plus_for_this_test")(Plus)
    del IterDataPipe.functions["plus_for_this_test"]

    class Counter(IterDataPipe):
        def __iter__(self):
            return self

        def __next__(self):
            self.n += 1
            if self.n > 3:
                raise StopIteration
            return self.n

        def reset(self):
            self.n = 0

    counter = Counter()
    assert list(counter) == list(counter) == [1, 2, 3]


def test_one_iterator_at_a_time():
    pipe = ten()
    first = iter(pipe)
    assert next(first) == 0 and next(iter(pipe)) == 0
    with pytest.raises(RuntimeError, match="invalidated"):
        next(first)


def test_lengths_texts_and_pickles():
    assert len(ten().batch(3)) == 4 and len(ten().batch(3, drop_last=True)) == 3
    assert repr(ten().batch(3)) == "BatcherIterDataPipe"
    assert list(pickle.loads(pickle.dumps(ten()))) == list(range(10))
    assert list(ten() + IterableWrapper([1])) == [*range(10), 1]


ERRORS = [
    (lambda: len(ten().filter(bool)), TypeError, "no len"),
    (lambda: ten().nothing, AttributeError, "nothing"),
    (lambda: ten().batch(0), AssertionError, "larger than 0"),
    (lambda: list(ten().filter(lambda x: x)), ValueError, "Boolean output"),
    (lambda: ten().map(str, output_col=1), ValueError, "input_col"),
    (lambda: list(ten().unbatch(1)), IndexError, "exceeds"),
    (lambda: ten().zip([1]), TypeError, "IterDataPipe"),
    (lambda: list(ten().demux(2, int)[0]), ValueError, "between 0 and 1"),
    (lambda: ten().shuffle(buffer_size=0), ValueError, "buffer_size"),
]


@pytest.mark.parametrize("ask, error, text", ERRORS)
def test_errors(ask, error, text):
    with pytest.raises(error, match=text):
        ask()
