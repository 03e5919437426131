"""Samplers: PyTorch's order, from PyTorch's numbers."""

from __future__ import annotations

import pytest
from utils.data import stored

import facula
from facula.utils.data import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)


@pytest.mark.parametrize("case", stored.of("RandomSampler"), ids=stored.name)
def test_random_sampler_has_the_order_of_pytorch(case):
    options = dict(case["options"])
    n = options.pop("n")

    def run(generator):
        s = RandomSampler(range(n), **options, generator=generator)
        assert len(s) == len(case["result"][0])
        return [list(s), list(s)]

    stored.replay(case, run)


@pytest.mark.parametrize("case", stored.of("SubsetRandomSampler"), ids=stored.name)
def test_subset_random_sampler_has_the_order_of_pytorch(case):
    n = case["options"]["n"]
    stored.replay(case, lambda g: list(SubsetRandomSampler(range(5, 5 + n), g)))
    assert len(SubsetRandomSampler(range(n))) == n


@pytest.mark.parametrize("case", stored.of("WeightedRandomSampler"), ids=stored.name)
def test_weighted_random_sampler_has_the_order_of_pytorch(case):
    stored.replay(case, lambda g: list(WeightedRandomSampler(**case["options"], generator=g)))


def test_an_endless_sampler_draws_as_it_goes():
    s = iter(RandomSampler(range(5), replacement=True, num_samples=10**12))
    assert all(0 <= next(s) < 5 for _ in range(100))


def test_sequential_sampler_follows_its_source():
    source = [0, 1, 2]
    s = SequentialSampler(source)
    assert list(s) == [0, 1, 2] and len(s) == 3
    source.append(3)
    assert list(s) == [0, 1, 2, 3]


def test_random_sampler_follows_its_source():
    source = [0, 1, 2]
    s = RandomSampler(source)
    source.append(3)
    assert sorted(s) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "n, size, drop_last, expected",
    [
        (5, 2, False, [[0, 1], [2, 3], [4]]),
        (5, 2, True, [[0, 1], [2, 3]]),
        (4, 2, True, [[0, 1], [2, 3]]),
        (4, 2, False, [[0, 1], [2, 3]]),
        (1, 2, True, []),
        (0, 2, False, []),
        (3, 7, False, [[0, 1, 2]]),
    ],
)
def test_batches_of_indices(n, size, drop_last, expected):
    s = BatchSampler(SequentialSampler(range(n)), size, drop_last)
    assert list(s) == list(s) == expected and len(s) == len(expected)
    assert list(BatchSampler(iter(range(n)), size, drop_last)) == expected


def test_a_sampler_without_iter_says_so():
    with pytest.raises(NotImplementedError, match="Sampler"):
        iter(Sampler())
    with pytest.raises(TypeError):
        len(Sampler())
    assert Sampler[int] is not None


@pytest.mark.parametrize(
    "make, error, text",
    [
        (lambda: RandomSampler([]), ValueError, "num_samples=0"),
        (lambda: RandomSampler([1], num_samples=-1), ValueError, "num_samples=-1"),
        (lambda: RandomSampler([1], num_samples=2.5), ValueError, "num_samples=2.5"),
        (lambda: RandomSampler([1], replacement=1), TypeError, "replacement=1"),
        (lambda: WeightedRandomSampler([1.0], 0), ValueError, "num_samples=0"),
        (lambda: WeightedRandomSampler([1.0], True), ValueError, "num_samples=True"),
        (lambda: WeightedRandomSampler([1.0], 1, 1), ValueError, "replacement=1"),
        (lambda: WeightedRandomSampler([[1.0, 2.0]], 1), ValueError, r"shape \(1, 2\)"),
        (
            lambda: list(WeightedRandomSampler([1.0], 2, False)),
            RuntimeError,
            "n_sample|replacement",
        ),
        (
            lambda: list(WeightedRandomSampler([-1.0, 2.0], 2)),
            RuntimeError,
            "weight|probab|distribution",
        ),
        (
            lambda: list(WeightedRandomSampler([0.0, 0.0], 2)),
            RuntimeError,
            "weight|probab|distribution",
        ),
        (lambda: BatchSampler([1], 0, False), ValueError, "batch_size=0"),
        (lambda: BatchSampler([1], True, False), ValueError, "batch_size=True"),
        (lambda: BatchSampler([1], 2, 1), ValueError, "drop_last=1"),
    ],
)
def test_wrong_arguments(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_weights_may_be_a_tensor():
    weights = facula.tensor([0.0, 1.0])
    assert list(WeightedRandomSampler(weights, 4)) == [1, 1, 1, 1]
