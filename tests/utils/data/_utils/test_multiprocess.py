"""Which worker makes which batch, and in which order the batches come."""

from __future__ import annotations

import os
import time

import pytest

import facula
from facula.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")


class Ask(Dataset):
    def __init__(self, ask, n=8):
        self.ask, self.n = ask, n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return self.ask(i)


class Shared(IterableDataset):
    """0 to n - 1, shared out between the workers."""

    def __init__(self, n):
        self.n = n

    def __iter__(self):
        w = get_worker_info()
        return iter(range(w.id, self.n, w.num_workers))


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("prefetch", [1, 2, 7])
def test_batches_come_in_order(workers, prefetch):
    def sample(i):
        time.sleep(0.02 if i % 4 == 0 else 0)
        return i

    loader = DataLoader(Ask(sample, 20), batch_size=3, num_workers=workers,
                        prefetch_factor=prefetch)  # fmt: skip
    for _ in range(2):
        assert facula.cat(list(loader)).tolist() == list(range(20))


def test_workers_take_turns():
    loader = DataLoader(Ask(lambda i: get_worker_info().id), batch_size=None, num_workers=3)
    assert list(loader) == [0, 1, 2, 0, 1, 2, 0, 1]


def test_out_of_order_nobody_waits_for_the_slow():
    def sample(i):
        if i == 0:
            time.sleep(1.0)
        return i

    loader = DataLoader(Ask(sample), batch_size=None, num_workers=2, in_order=False)
    got = list(loader)
    assert sorted(got) == list(range(8)) and got.index(0) > 2


def test_a_sampler_is_read_ahead_no_further_than_the_workers_need():
    asked = []

    def indices():
        for i in range(100):
            asked.append(i)
            yield i

    it = iter(DataLoader(Ask(int, 100), sampler=indices(), num_workers=2, prefetch_factor=3))
    assert len(asked) == 6
    next(it)
    assert len(asked) == 7


@pytest.mark.parametrize("persistent", [False, True])
def test_persistent_workers_are_the_same_processes(persistent):
    loader = DataLoader(Ask(lambda i: os.getpid()), batch_size=None, num_workers=2,
                        persistent_workers=persistent)  # fmt: skip
    first, second = set(loader), set(loader)
    assert len(first) == len(second) == 2
    assert (first == second) is persistent and bool(first & second) is persistent


@pytest.mark.parametrize("data, expected", [(Ask(int), 8), (Shared(9), 9)])
def test_persistent_workers_begin_again_after_a_loop_that_was_left(data, expected):
    loader = DataLoader(data, batch_size=None, num_workers=2, persistent_workers=True)
    for leave_after in (1, 3, 100, 2, 100):
        got = []
        for x in loader:
            got.append(x)
            if len(got) == leave_after:
                break
        assert got == list(range(min(leave_after, expected)))


def test_persistent_workers_are_replaced_after_one_has_died():
    loader = DataLoader(Ask(lambda i: os._exit(1) if i == 5 else i), batch_size=None,
                        num_workers=2, persistent_workers=True)  # fmt: skip
    for _ in range(2):
        it = iter(loader)
        assert [next(it) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(RuntimeError, match="exit code 1"):
            list(it)


def test_a_loop_may_go_on_after_an_error():
    loader = DataLoader(Ask(lambda i: 1 // (i - 2)), batch_size=None, num_workers=2)
    it, got = iter(loader), []
    while True:
        try:
            got.append(next(it))
        except ZeroDivisionError:
            got.append("error")
        except StopIteration:
            break
    assert got == [-1, -1, "error", 1, 0, 0, 0, 0]


def test_two_loops_at_once():
    loader = DataLoader(Ask(int, 4), batch_size=None, num_workers=1)
    assert list(zip(loader, loader)) == [(i, i) for i in range(4)]


def test_no_samples():
    assert list(DataLoader(Ask(int, 0), num_workers=2)) == []
    assert list(DataLoader(Shared(0), num_workers=2)) == []


def test_large_batches_and_large_indices():
    """More than a socket holds goes both ways at once."""
    n = 200_000
    data = Ask(lambda i: "x" * 100, n)
    loader = DataLoader(data, batch_size=n // 4, num_workers=1, prefetch_factor=4,
                        collate_fn=list)  # fmt: skip
    assert [len(b) for b in loader] == [n // 4] * 4


def test_an_iterable_that_fails_at_the_start():
    class Bad(IterableDataset):
        def __iter__(self):
            raise LookupError("at the start")

    with pytest.raises(LookupError, match="at the start"):
        list(DataLoader(Bad(), num_workers=1))
