"""Pipes of samples by index; expectations are PyTorch's."""

from __future__ import annotations

import pytest

from facula.utils.data import DataLoader, MapDataPipe
from facula.utils.data.datapipes.map import SequenceWrapper


def five() -> SequenceWrapper:
    return SequenceWrapper(list(range(5)))


CASES = [
    (lambda: five().map(lambda x: x * 2), [0, 2, 4, 6, 8]),
    (lambda: five().batch(2), [[0, 1], [2, 3], [4]]),
    (lambda: five().batch(2, drop_last=True), [[0, 1], [2, 3]]),
    (lambda: five().zip(five().map(str)), [(0, "0"), (1, "1"), (2, "2"), (3, "3"), (4, "4")]),
    (lambda: five().concat(SequenceWrapper([7])), [0, 1, 2, 3, 4, 7]),
]


@pytest.mark.parametrize("make, expected", CASES)
def test_pipes(make, expected):
    pipe = make()
    assert [pipe[i] for i in range(len(pipe))] == expected and isinstance(pipe, MapDataPipe)
    with pytest.raises(IndexError):
        pipe[len(expected)]


def test_orders():
    assert sorted(five().shuffle()) == list(range(5))
    assert list(five().shuffle().set_seed(3)) == list(five().shuffle().set_seed(3))
    assert list(five().shuffle().set_shuffle(False)) == list(range(5))
    assert [x.tolist() for x in DataLoader(five(), batch_size=2)] == [[0, 1], [2, 3], [4]]


def test_errors():
    for ask, error in (
        (lambda: five().batch(0), AssertionError),
        (lambda: five().zip([1]), TypeError),
        (lambda: five().nothing, AttributeError),
    ):
        with pytest.raises(error):
            ask()
