"""Inside a worker: what it is told, its numbers, its errors."""

from __future__ import annotations

import random

import numpy as np
import pytest

import facula
from facula.utils.data import DataLoader, Dataset, get_worker_info
from facula.utils.data._utils.worker import Failure, WorkerInfo

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")


class Ask(Dataset):
    """Samples are what a question gives in the process where it is asked."""

    def __init__(self, ask, n=2):
        self.ask, self.n = ask, n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return self.ask(i)


class TwoArguments(Exception):
    def __init__(self, a, b):
        super().__init__(a, b)


def ask(question, **options):
    return list(DataLoader(Ask(question), batch_size=None, num_workers=2, **options))


def test_numbers_of_the_workers_are_those_of_pytorch():
    """After manual_seed(0) the base seed is 900450186894289455; the rest follows from it."""
    facula.manual_seed(0)

    def numbers(i):
        info = get_worker_info()
        drawn = facula.randint(1000, ()).item(), np.random.randint(2**31)
        return info.id, info.num_workers, info.seed, facula.initial_seed(), *drawn

    base = 900450186894289455
    assert [list(x) for x in ask(numbers)] == [
        [0, 2, base, base, 906, 1448108554],
        [1, 2, base + 1, base + 1, 724, 731306218],
    ]


def test_pythons_numbers_differ_between_workers_and_repeat():
    found = []
    for _ in range(2):
        facula.manual_seed(3)
        found.append(ask(lambda i: random.random()))
    assert found[0] == found[1] and len(set(found[0])) == 2


def test_the_main_process_is_no_worker():
    assert get_worker_info() is None
    assert ask(lambda i: get_worker_info().dataset.n) == [2, 2]
    assert get_worker_info() is None
    info = WorkerInfo(0, 1, 5, [])
    assert repr(info) == "WorkerInfo(id=0, num_workers=1, seed=5, dataset=[])"
    with pytest.raises(RuntimeError, match="WorkerInfo"):
        info.id = 3


def test_worker_init_fn_runs_first():
    def init(worker_id):
        get_worker_info().dataset.ask = lambda i: (worker_id, i)

    assert [list(x) for x in ask(None, worker_init_fn=init)] == [[0, 0], [1, 1]]


def test_an_error_of_worker_init_fn_arrives():
    def init(worker_id):
        raise ZeroDivisionError("in init")

    with pytest.raises(ZeroDivisionError, match=r"(?s)worker process 0.*in init"):
        ask(None, worker_init_fn=init)


@pytest.mark.parametrize(
    "error, text",
    [
        (ValueError("told"), "ValueError: told"),
        (KeyError("told"), "KeyError: 'told'"),
        (FileNotFoundError(2, "told"), "told"),
        (NotImplementedError(), "NotImplementedError"),
        (RuntimeError("told"), "told"),
    ],
)
def test_errors_arrive_with_their_type_and_the_traceback(error, text):
    def fail(i):
        raise error

    with pytest.raises(type(error)) as caught:
        ask(fail)
    assert type(caught.value) is type(error)
    told = str(caught.value)
    assert told.startswith(f"Caught {type(error).__name__} in DataLoader worker process 0.\n")
    assert "Original Traceback (most recent call last):\n" in told
    assert "in fail\n    raise error\n" in told and text in told


def test_errors_made_of_several_parts_arrive_as_they_were():
    def fail(i):
        raise UnicodeDecodeError("utf-8", b"x", 0, 1, "told")

    with pytest.raises(UnicodeDecodeError, match="told") as caught:
        ask(fail)
    assert "in fail\n" in caught.value.__notes__[0] and caught.value.object == b"x"


def test_a_chain_of_errors_is_told():
    def fail(i):
        try:
            1 / 0
        except ZeroDivisionError as e:
            raise ValueError("second") from e

    with pytest.raises(ValueError, match=r"(?s)ZeroDivisionError.*direct cause.*second"):
        ask(fail)


def test_an_error_whose_type_cannot_travel():
    class Local(Exception):
        pass

    def fail(i):
        raise Local("told")

    with pytest.raises(RuntimeError, match=r"(?s)Caught Local .*told"):
        ask(fail)


def test_failure_of_a_type_that_pickles_wrongly():
    failure = Failure(TwoArguments(1, 2), "here")
    with pytest.raises(TwoArguments) as caught:
        failure.reraise()
    assert caught.value.args == (1, 2) and "Caught TwoArguments here." in caught.value.__notes__[0]


def test_a_batch_that_cannot_be_pickled_is_an_error():
    with pytest.raises((AttributeError, TypeError), match="worker process 0"):
        ask(lambda i: lambda: i)


def test_a_result_of_autograd_is_an_error():
    with pytest.raises(RuntimeError, match="detach"):
        ask(lambda i: facula.ones(2, requires_grad=True) * 2)
