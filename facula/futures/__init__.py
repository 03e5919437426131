"""Values that are not there yet: `Future`, `collect_all`, `wait_all`.

Source: https://docs.pytorch.org/docs/stable/futures.html
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from facula.errors import honest

__all__ = ["Future", "collect_all", "wait_all"]

T = TypeVar("T")
S = TypeVar("S")


class Future(Generic[T]):
    """A result that some thread sets once, or the error that took its place."""

    def __init__(self, *, devices: list[Any] | None = None) -> None:
        if devices:
            raise ValueError(f"Future(): expected no devices on the CPU, got {devices}")
        self._changed = threading.Condition()
        self._done = False
        self._result: Any = None
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[], None]] = []

    def done(self) -> bool:
        """Whether the result or an error is there."""
        return self._done

    def wait(self) -> T:
        """The result, waited for; raises the error that took its place."""
        with self._changed:
            self._changed.wait_for(self.done)
        return self.value()

    def value(self) -> T:
        """The result, which has to be there."""
        if not self._done:
            raise RuntimeError("Future.value(): the future is not completed; wait() waits for it")
        if self._error is not None:
            raise self._error
        return self._result

    def set_result(self, result: T) -> None:
        """Complete the future, and call what waits for that, in this thread."""
        self._complete(result, None)

    def set_exception(self, result: BaseException) -> None:
        """Complete the future with an error."""
        if not isinstance(result, Exception):
            raise AssertionError(f"{result} is of type {type(result)}, not an Exception.")
        self._complete(None, result)

    def _complete(self, result: Any, error: BaseException | None) -> None:
        with self._changed:
            if self._done:
                raise RuntimeError(
                    "Attempting to mark a completed Future as complete again. Note that a Future "
                    "can only be marked completed once."
                )
            self._result, self._error, self._done = result, error, True
            callbacks, self._callbacks = self._callbacks, []
            self._changed.notify_all()
        for call in callbacks:
            call()

    def _when_done(self, call: Callable[[], None]) -> None:
        with self._changed:
            if not self._done:
                self._callbacks.append(call)
                return
        call()

    def then(self, callback: Callable[[Future[T]], S]) -> Future[S]:
        """A future of what `callback` makes of this one once it is done."""
        if not callable(callback):
            raise TypeError(f"then(): expected a function, got {type(callback).__name__}")
        made: Future[S] = Future()

        def call() -> None:
            try:
                result = callback(self)
            except Exception as error:
                why = f"{type(error).__name__}: {error}"
                made.set_exception(
                    RuntimeError(f"Got the following error when running the callback: {why}")
                )
            else:
                made.set_result(result)

        self._when_done(call)
        return made

    def add_done_callback(self, callback: Callable[[Future[T]], None]) -> None:
        """Call `callback` with this future once it is done; its errors are only warned of."""
        if not callable(callback):
            kind = type(callback).__name__
            raise TypeError(f"add_done_callback(): expected a function, got {kind}")

        def call() -> None:
            try:
                callback(self)
            except Exception as error:
                warnings.warn(
                    "Got the following error when running the callback: "
                    f"{type(error).__name__}: {error}",
                    stacklevel=2,
                )

        self._when_done(call)


def collect_all(futures: list[Future[Any]]) -> Future[list[Future[Any]]]:
    """A future of the list, done when all of its futures are; an error among them is its own."""
    made: Future[list[Future[Any]]] = Future()
    left = len(futures)
    lock = threading.Lock()

    def one_more() -> None:
        nonlocal left
        with lock:
            left -= 1
            last = left == 0
        if last:
            failed = [f._error for f in futures if f._error is not None]
            made._complete(None if failed else list(futures), failed[0] if failed else None)

    for f in futures:
        f._when_done(one_more)
    if not futures:
        made.set_result([])
    return made


def wait_all(futures: list[Future[Any]]) -> list[Any]:
    """The results of all the futures; the first error is raised."""
    return [f.wait() for f in collect_all(futures).wait()]


__getattr__ = honest(__name__)
