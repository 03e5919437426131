"""A worker process: takes indices, sends batches.

The loader and a worker are joined by one socket. Tasks and answers are tuples whose first element
says what they are:

    loader -> worker    (TASK, number, index)   (RESUME,)   (STOP,)
    worker -> loader    (BATCH, number, batch)  (ERROR, number, Failure)  (ENDED, number)
                        (RESUMED,)

A thread of the worker takes the tasks off the socket, so that the loader never waits for a busy
worker to listen. The end of the socket is the end of the worker.
"""

from __future__ import annotations

import _thread
import pickle
import queue
import random
import threading
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np

import facula
from facula import random as facula_random
from facula.trace import recorder
from facula.utils.data._utils import messages
from facula.utils.data._utils.fetch import make_fetcher
from facula.utils.data.datapipes.datapipe import IterDataPipe, set_seed, share_out

TASK, RESUME, STOP, BATCH, ENDED, ERROR, RESUMED = range(7)


class WorkerInfo:
    """What a worker may ask about itself: see `get_worker_info`.

    `id` (from 0), `num_workers`, `seed` (its own), `dataset` (its own copy).
    """

    __slots__ = ("dataset", "id", "num_workers", "seed")

    id: int
    num_workers: int
    seed: int
    dataset: Any

    def __init__(self, id: int, num_workers: int, seed: int, dataset: Any) -> None:
        for name, value in zip(
            ("id", "num_workers", "seed", "dataset"), (id, num_workers, seed, dataset)
        ):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        raise RuntimeError(f"Cannot assign attributes to {type(self).__name__} objects")

    def __repr__(self) -> str:
        fields = ", ".join(f"{n}={getattr(self, n)}" for n in ("id", "num_workers", "seed"))
        return f"WorkerInfo({fields}, dataset={self.dataset})"


_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """In a worker process of a loader, what it is; None in the main process.

    Source: https://pytorch.org/docs/stable/data.html#torch.utils.data.get_worker_info
    """
    return _info


class Failure:
    """An exception on its way to the process of the loader."""

    def __init__(self, error: BaseException, where: str) -> None:
        self.name = type(error).__name__
        self.text = (
            f"Caught {self.name} {where}.\nOriginal {''.join(traceback.format_exception(error))}"
        )
        # Types and values that don't survive pickling are known by their text alone.
        self.type = _picklable(type(error))
        self.error = _picklable(error)

    def reraise(self) -> None:
        """Raise the same exception, with the worker's traceback in its text.

        A type that can't be made from a text alone is raised as it was, with the traceback as a
        note. Where the type can't be had in this process, it is a RuntimeError.
        """
        kind = _unpickled(self.type)
        if kind is KeyError:
            raise KeyError(_Verbatim(self.text))
        if kind is not None:
            try:
                error = kind(self.text)
            except Exception:
                error = None
            if type(error) is kind and self.text in str(error):
                raise error
            error = _unpickled(self.error)
            if type(error) is kind:
                error.add_note(self.text)
                raise error
        raise RuntimeError(self.text)


class _Verbatim(str):
    """A text that prints its line breaks: a KeyError shows the repr of its key."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _picklable(value: Any) -> bytes | None:
    try:
        pickled = pickle.dumps(value)
        pickle.loads(pickled)
    except Exception:
        return None
    return pickled


def _unpickled(pickled: bytes | None) -> Any:
    try:
        return None if pickled is None else pickle.loads(pickled)
    except Exception:
        return None


def _seed(base_seed: int, worker_id: int) -> None:
    """Seed Python, Facula and NumPy, each worker differently."""
    random.seed(base_seed + worker_id)
    facula_random.manual_seed(base_seed + worker_id)
    np.random.seed(_generate_state(base_seed, worker_id))  # noqa: NPY002 - for data sets that draw from the old global generator


def _generate_state(base_seed: int, worker_id: int) -> list[int]:
    """What NumPy's generator of a worker starts from."""
    entropy = [worker_id, base_seed & 0xFFFFFFFF, base_seed >> 32, 0]
    return np.random.SeedSequence(entropy).generate_state(4).tolist()


def _start_afresh() -> None:
    """Drop what a fork has copied: the thread's recorder, and a lock that another thread held."""
    recorder.TLS.r = recorder.Recorder()
    facula_random.default_generator._lock = _thread.allocate_lock()


def _listen(connection: Any, tasks: queue.SimpleQueue[Any]) -> None:
    """Put what arrives into the queue, until the other end is gone."""
    while True:
        try:
            message = messages.loads(*messages.receive(connection))
        except (EOFError, OSError):
            message = (STOP,)
        except Exception as error:  # an index that can't be unpickled here
            message = (ERROR, error)
        tasks.put(message)
        if message[0] == STOP:
            return


def work(
    connection: Any,
    foreign: list[Any],
    dataset: Any,
    iterable: bool,
    batched: bool,
    collate_fn: Callable[[Any], Any],
    drop_last: bool,
    base_seed: int,
    init_fn: Callable[[int], Any] | None,
    worker_id: int,
    num_workers: int,
) -> None:
    """The main function of a worker. `foreign`: connections of the loader that a fork copied."""
    global _info
    for c in foreign:
        c.close()
    try:
        _start_afresh()
        _seed(base_seed, worker_id)
        facula.set_num_threads(1)
        _info = WorkerInfo(worker_id, num_workers, base_seed + worker_id, dataset)
        tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=_listen, args=(connection, tasks), daemon=True).start()
        _serve(connection, tasks, (dataset, iterable, batched, collate_fn, drop_last), init_fn)
    except KeyboardInterrupt:
        pass  # the main process raises it too
    except (BrokenPipeError, ConnectionResetError):
        pass  # the loader is gone
    finally:
        connection.close()


def _serve(connection: Any, tasks: queue.SimpleQueue[Any], parts: Any, init_fn: Any) -> None:
    assert _info is not None
    where = f"in DataLoader worker process {_info.id}"
    unprepared: Failure | None = None
    pipe = isinstance(parts[0], IterDataPipe)
    epoch = 0
    try:
        if pipe:
            share_out(parts[0], _info.num_workers, _info.id)
        if init_fn is not None:
            init_fn(_info.id)
    except Exception as error:
        unprepared = Failure(error, where)
    fetcher, broken = _begin(unprepared, parts, where)
    ended = False
    while True:
        task = tasks.get()
        kind = task[0]
        if kind == STOP:
            return
        if kind == RESUME:
            answer: Any = (RESUMED,)
            epoch += 1
            if pipe:  # in the same order in all workers
                set_seed(parts[0], _info.seed - _info.id + epoch)
            fetcher, broken = _begin(unprepared, parts, where)
            ended = False
        elif kind == ERROR:
            raise task[1]
        elif ended:
            continue  # the stream is over; the loader does not wait for this one
        elif broken is not None:
            answer = (ERROR, task[1], broken)
        else:
            answer, ended = _fetch(fetcher, task[1], task[2], parts[1], where)
        try:
            pickled, buffers = messages.dumps(answer)
        except Exception as error:
            pickled, buffers = messages.dumps((ERROR, task[1], Failure(error, where)))
        del answer
        messages.send(connection, pickled, buffers)
        del buffers


def _begin(unprepared: Failure | None, parts: Any, where: str) -> tuple[Any, Failure | None]:
    """A fetcher for one epoch, or why there is none."""
    if unprepared is not None:
        return None, unprepared
    try:
        return make_fetcher(*parts), None
    except Exception as error:
        return None, Failure(error, where)


def _fetch(fetcher: Any, number: int, index: Any, iterable: bool, where: str) -> tuple[Any, bool]:
    """The answer to a task, and whether an iterable dataset has come to its end."""
    try:
        return (BATCH, number, fetcher.fetch(index)), False
    except Exception as error:
        if iterable and isinstance(error, StopIteration):
            return (ENDED, number), True
        return (ERROR, number, Failure(error, where)), False
