"""The iterator of a loader with workers: who makes which batch, and in which order they come."""

from __future__ import annotations

import itertools
from multiprocessing.util import Finalize
from typing import Any

from facula.utils.data._utils.group import WorkerGroup
from facula.utils.data._utils.worker import BATCH, ENDED, ERROR, RESUME, RESUMED, TASK
from facula.utils.data.dataloader import BaseIter, _DatasetKind

_WAITING = object()


class MultiProcessIter(BaseIter):
    """Gives tasks to the workers in turn, and their batches in the order of the tasks.

    `_tasks` holds, by its number, every task that is given out and not yet delivered, as
    ``[worker, answer]``. There are at most `prefetch_factor` of them for each active worker.
    """

    def __init__(self, loader: Any) -> None:
        super().__init__(loader)
        if not loader.prefetch_factor or loader.prefetch_factor < 1:
            raise ValueError(
                f"prefetch_factor option should be positive, but got {loader.prefetch_factor}"
            )
        context = loader.multiprocessing_context
        if context is None:
            import multiprocessing

            context = multiprocessing.get_context()
        arguments = (
            loader.dataset,
            loader._dataset_kind == _DatasetKind.Iterable,
            loader._auto_collation,
            loader.collate_fn,
            loader.drop_last,
            self._base_seed,
            loader.worker_init_fn,
        )
        self.group = WorkerGroup(context, loader.num_workers, arguments)
        # At the latest when Python exits, and never in a process forked from this one.
        self._finalizer = Finalize(self, self.group.stop, exitpriority=10)
        self._prepare(loader)

    def _prepare(self, loader: Any) -> None:
        n = loader.num_workers
        self._tasks: dict[int, list[Any]] = {}
        self._sent = 0  # tasks given out
        self._at = 0  # the number of the next task to deliver
        self._active = [True] * n
        self._turns = itertools.cycle(range(n))
        self._timeout = loader.timeout
        self._prefetch = loader.prefetch_factor
        self._hand_out()

    def restart(self, loader: Any) -> None:
        """Begin another epoch with the same workers; what they still make of the last is lost."""
        self._begin(loader)
        resumed: set[int] = set()
        for i in range(loader.num_workers):
            self.group.send(i, (RESUME,))
        while len(resumed) < loader.num_workers:
            waiting = [i for i in range(loader.num_workers) if i not in resumed]
            i, message = self.group.receive(waiting, loader.timeout)
            if message[0] == RESUMED:
                resumed.add(i)
        self._prepare(loader)

    def _hand_out(self) -> None:
        """Give out tasks until every active worker has enough to do."""
        while len(self._tasks) < self._prefetch * sum(self._active):
            try:
                index = next(self._indices)
            except StopIteration:
                return
            worker = self._choose()
            self._tasks[self._sent] = [worker, _WAITING]
            try:
                self.group.send(worker, (TASK, self._sent, index))
            except BaseException:
                self._give_up()
                raise
            self._sent += 1

    def _give_up(self) -> None:
        """After an error: where it has ended the workers, there is nothing more to come."""
        if self.group.stopped:
            self._tasks.clear()
            self._indices = iter(())

    def _choose(self) -> int:
        """The next active worker in turn; out of order, the one with the least to do."""
        turn = next(i for i in self._turns if self._active[i])
        if self._loader.in_order:
            return turn
        load = [0] * len(self._active)
        for worker, _ in self._tasks.values():
            load[worker] += 1
        active = [i for i, is_active in enumerate(self._active) if is_active]
        n = len(self._active)
        return min(active, key=lambda i: (load[i], (i - turn) % n))

    def _next(self) -> Any:
        while True:
            number = self._ready()
            if number is not None:
                kind, value = self._tasks.pop(number)[1]
                self._hand_out()
                if kind == ERROR:
                    value.reraise()
                return value
            if not self._tasks:
                if not self._loader.persistent_workers:
                    self.group.stop()
                raise StopIteration
            self._receive()

    def _ready(self) -> int | None:
        """The number of the task that can be delivered now."""
        tasks = self._tasks
        if not self._loader.in_order:
            return next((k for k, (_, answer) in tasks.items() if answer is not _WAITING), None)
        while self._at < self._sent and self._at not in tasks:
            self._at += 1  # delivered, or given to a worker whose data had come to an end
        if self._at in tasks and tasks[self._at][1] is not _WAITING:
            return self._at
        return None

    def _receive(self) -> None:
        among = [i for i, active in enumerate(self._active) if active]
        try:
            worker, message = self.group.receive(among, self._timeout)
        except BaseException:
            self._give_up()
            raise
        if message[0] == ENDED:
            self._active[worker] = False
            for number in [
                k for k, (w, answer) in self._tasks.items() if w == worker and answer is _WAITING
            ]:
                del self._tasks[number]
            if not self._loader.persistent_workers:
                self.group.dismiss(worker)
            self._hand_out()
            return
        assert message[0] in (BATCH, ERROR)
        self._tasks[message[1]][1] = message[0], message[2]
