"""Progress of long work that nobody asked to watch: one line on a terminal's standard error.

It appears after two seconds and is taken away at the end. `FACULA_PROGRESS=0` shows nothing,
`FACULA_PROGRESS=1` shows it wherever standard error goes; else it needs a terminal there. The bar
is tqdm's where that is installed, so that it lives beside a bar of the program's own.

What works only counts (`advance`); a thread of its own draws, so that nothing waits for a terminal.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any

DELAY = 2.0  # seconds before anything is shown
EVERY = 0.5  # seconds from one drawing to the next


def wanted() -> bool:
    """Whether progress is to be shown: what the environment says, else on a terminal only."""
    asked = os.environ.get("FACULA_PROGRESS", "")
    if asked:
        return asked != "0"
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):  # no standard error, or a closed one
        return False


class Progress:
    """The progress of a `with` block: `with Progress("fetching", total=10, unit="file") as p: ...`.

    Without a total it says how long the work has taken so far.
    """

    def __init__(self, what: str, total: int | None = None, unit: str = "") -> None:
        self.what, self.total, self.unit = what, total, unit
        self.done = 0
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Progress:
        if wanted():
            self._end = threading.Event()
            self._line = _bar(self, sys.stderr)
            self._thread = threading.Thread(target=self._draw, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._thread is not None:
            self._end.set()
            self._thread.join()
            self._thread = None

    def advance(self, n: int = 1, what: str | None = None) -> None:
        """So much more is done; `what` is what comes next."""
        self.done += n
        if what is not None:
            self.what = what

    def say(self, text: str) -> None:
        """A line that stays, on standard error."""
        if self._thread is None:
            print(text, file=sys.stderr)
        else:
            self._line.say(text)

    def _draw(self) -> None:
        shown = False
        delay = DELAY
        while not self._end.wait(delay):
            self._line.draw()
            shown, delay = True, EVERY
        if shown:
            self._line.clear()


class _Line:
    """Without tqdm: a line that is written over."""

    def __init__(self, state: Progress, file: Any) -> None:
        self.state, self.file = state, file
        self.begin = time.monotonic()
        self.width = 0
        self.lock = threading.Lock()

    def text(self) -> str:
        s = self.state
        count = f"{s.done}/{s.total} {s.unit}".strip() + ", " if s.total is not None else ""
        return f"{s.what}: {count}{time.monotonic() - self.begin:.0f} s"

    def draw(self) -> None:
        with self.lock:
            self._write(self.text())

    def clear(self) -> None:
        with self.lock:
            self._write("")

    def say(self, text: str) -> None:
        with self.lock:
            self._write("")
            self.file.write(text + "\n")

    def _write(self, text: str) -> None:
        self.file.write("\r" + text.ljust(self.width) + ("" if text else "\r"))
        self.file.flush()
        self.width = len(text)


class _Tqdm:
    """With tqdm: its bar, made when it is first drawn."""

    def __init__(self, state: Progress, file: Any) -> None:
        self.state, self.file = state, file
        self.begin = time.time()
        self.bar: Any = None

    def draw(self) -> None:
        s = self.state
        if self.bar is None:
            from tqdm import tqdm

            plain = "{desc}: {elapsed}" if s.total is None else None
            self.bar = tqdm(
                desc=s.what, total=s.total, unit=s.unit, file=self.file, leave=False,
                bar_format=plain, dynamic_ncols=True,
            )  # fmt: skip
            self.bar.start_t = self.begin
        self.bar.n = s.done
        self.bar.set_description_str(s.what, refresh=False)
        self.bar.refresh()

    def clear(self) -> None:
        self.bar.close()

    def say(self, text: str) -> None:
        from tqdm import tqdm

        tqdm.write(text, file=self.file)


def _bar(state: Progress, file: Any) -> _Line | _Tqdm:
    import importlib.util

    there = "tqdm" in sys.modules or importlib.util.find_spec("tqdm") is not None
    return _Tqdm(state, file) if there else _Line(state, file)
