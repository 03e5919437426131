"""The worker processes of one loader iterator: starting, talking to and stopping them."""

from __future__ import annotations

import signal
import time
import warnings
from multiprocessing import connection as mp_connection
from typing import Any

from facula.trace import recorder
from facula.utils.data._utils import messages
from facula.utils.data._utils.worker import STOP, work

PATIENCE = 5.0  # seconds that busy workers get to finish before they are terminated


class WorkerGroup:
    """Worker processes 0 to n - 1 and the sockets to them.

    `arguments` are those of `worker.work` between the connections and the worker's number.
    Nothing in a group refers to the iterator that owns it, so that `stop` can be its finalizer.
    """

    def __init__(self, context: Any, n: int, arguments: tuple[Any, ...]) -> None:
        self.processes: list[Any] = []
        self.connections: list[Any] = []
        self.stopped = False
        # A fork copies this thread's recorder; with nothing pending, no tensor depends on it.
        recorder.flush()
        try:
            for i in range(n):
                self._start(context, i, n, arguments)
        except BaseException:
            self.stop()
            raise

    def _start(self, context: Any, i: int, n: int, arguments: tuple[Any, ...]) -> None:
        ours, theirs = context.Pipe(duplex=True)
        try:
            # A forked worker has copies of our ends. While it held them, neither its own death nor
            # ours would end the conversations that they belong to.
            forks = context.get_start_method() == "fork"
            foreign = [*self.connections, ours] if forks else []
            process = context.Process(
                target=work, args=(theirs, foreign, *arguments, i, n), daemon=True
            )
            with warnings.catch_warnings():
                # Workers touch no lock that a thread of this process may hold (see worker.py).
                warnings.filterwarnings("ignore", r".*fork\(\) may lead to deadlocks", Warning)
                process.start()
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self.processes.append(process)
        self.connections.append(ours)

    def send(self, i: int, message: Any) -> None:
        """Send a message to worker i; RuntimeError if it has died."""
        try:
            messages.send(self.connections[i], *messages.dumps(message))
        except (BrokenPipeError, ConnectionResetError):
            self._report_death(i)

    def receive(self, among: list[int], timeout: float) -> tuple[int, Any]:
        """The next message of one of these workers: its number, and the message.

        RuntimeError if one has died, or after `timeout` seconds (0: never).
        """
        by_connection = {self.connections[i]: i for i in among}
        by_sentinel = {self.processes[i].sentinel: i for i in among}
        ready = mp_connection.wait([*by_connection, *by_sentinel], timeout or None)
        if not ready:
            raise RuntimeError(f"DataLoader timed out after {timeout} seconds")
        for source in ready:
            if source in by_connection:
                i = by_connection[source]  # type: ignore[index]
                break
        else:
            i = by_sentinel[ready[0]]  # type: ignore[index]
            if not self.connections[i].poll():  # it may have spoken since
                self._report_death(i)
        try:
            received = messages.receive(self.connections[i])
        except (EOFError, OSError):
            self._report_death(i)
        try:
            return i, messages.loads(*received)
        except BaseException:
            self.stop()
            raise

    def _report_death(self, i: int) -> None:
        process = self.processes[i]
        process.join(PATIENCE)
        pid, code = process.pid, process.exitcode
        self.stop()
        if code is not None and code < 0:
            try:
                name = signal.Signals(-code).name
            except ValueError:
                name = str(-code)
            raise RuntimeError(f"DataLoader worker {i} (pid {pid}) is killed by signal: {name}")
        raise RuntimeError(
            f"DataLoader worker {i} (pid {pid}) exited unexpectedly with exit code {code}. "
            "What it may have printed stands above; with num_workers=0 the error comes with its "
            "traceback"
        )

    def dismiss(self, i: int) -> None:
        """Tell worker i to end; its process is waited for by `stop`."""
        try:
            messages.send(self.connections[i], *messages.dumps((STOP,)))
        except (OSError, ValueError):
            pass  # it has died, or the connection is closed

    def stop(self) -> None:
        """End all workers: those that are busy get a moment to finish, then are terminated."""
        if self.stopped:
            return
        self.stopped = True
        for i, connection in enumerate(self.connections):
            self.dismiss(i)
            connection.close()  # wakes a worker that waits for us to take its batch
        deadline = time.monotonic() + PATIENCE
        for process in self.processes:
            process.join(max(0.0, deadline - time.monotonic()))
        for end in ("terminate", "kill"):
            for process in self.processes:
                if process.is_alive():
                    getattr(process, end)()
                    process.join(PATIENCE)
        for process in self.processes:
            if not process.is_alive():
                process.close()
