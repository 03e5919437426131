"""Running tables of kernel calls on all cores.

A program is an array of records, one for each kernel call. Every thread walks the array: it takes
units of its own share of a record one by one, then what is left of the others' shares, and goes on
to the next record, which begins when those that it needs are done (compiler/waiting.py). A thread
that the system has given to somebody else is waited for only where it has a unit: on a loaded
machine the caller does the work alone. Workers are native threads, started at the first parallel
program. One that has waited for long sleeps until the next call; one that comes too late to a call
finds it closed.
"""

from __future__ import annotations

import atexit
import ctypes
import operator
import os
import threading
import warnings
from collections import deque
from collections.abc import Iterable
from time import perf_counter, sleep
from typing import Any

import numpy as np

from facula import numpy_threads
from facula.cpu.walk import text
from facula.trace import flight

RECORD = 4  # 64-bit words: function, descriptor, units, calls before it that need not be done
LONG = 5e-3  # seconds: a program that takes longer is always shared
RECENT = 8  # runs of each sort that are remembered, to see whether a program is better shared
SOON, OFTEN, SELDOM = 16, 64, 1024  # runs from one trial of the other way to the next

# Who has the workers, a call or a flight, is in here. No lock: an error of a signal's handler may
# come once it is taken and before anybody knows, and nobody could tell whose it is.
_turn: dict[str, Any] = {}
_library: Any = None  # the native code of this file
_launch: Any = None
_finish: Any = None
_done: Any = None
_wake: Any = None
_pool: Pool | None = None
_threads = 0


def _functions() -> dict[str, int]:
    global _library, _launch, _finish, _done, _wake
    with flight.COMPILING:
        if _library is None:
            from facula.cpu.jit import compile_functions

            library = compile_functions(text(), ["worker", "launch", "finish", "done", "wake"])
            native = library.addresses
            p, i = ctypes.c_void_p, ctypes.c_int64
            _wake = ctypes.CFUNCTYPE(None, p)(native["wake"])
            _launch = ctypes.CFUNCTYPE(None, p, p, p, i)(native["launch"])
            _finish = ctypes.CFUNCTYPE(None, p)(native["finish"])
            _done = ctypes.CFUNCTYPE(i, p)(native["done"])
            _library = library  # last: an interrupt may come between
    addresses: dict[str, int] = _library.addresses
    return addresses


class Pool:
    """The state that the threads share, and the threads."""

    def __init__(self, workers: int) -> None:
        native = _functions()
        self.memory = np.zeros(8192 + 128 * (workers + 2), np.uint8)
        start = self.memory.ctypes.data
        self.state = (start + 127) // 128 * 128
        self.number = ctypes.c_int32.from_address(self.state)  # of the call: odd while it is open
        self.begun = ctypes.c_int64.from_address(self.state + 176)  # whether the last one began
        self.threads = ctypes.c_int64.from_address(self.state + 160)
        self.threads.value = 1
        self.counters: list[Any] = []  # the last is used; a signal's handler may come between
        self.room = 0
        self._count(1024)
        self.arguments: list[Any] = []
        self.workers = 0
        if not workers:
            return
        create = ctypes.CDLL(None).pthread_create
        create.argtypes = [ctypes.c_void_p] * 4
        self.handles = (ctypes.c_uint64 * workers)()
        _pools.append(self)
        try:
            for t in range(workers):
                args = (ctypes.c_int64 * 2)(self.state, t + 1)
                self.arguments.append(args)
                handle = ctypes.byref(self.handles, 8 * t)
                if create(handle, None, native["worker"], ctypes.addressof(args)):
                    self.handles[t] = 0
                    break
                self.workers = t + 1
            self.threads.value = self.workers + 1
            self._place()
        except BaseException:
            self.stop()
            raise

    def _count(self, words: int) -> None:
        """Make room for so many counters."""
        words = max(words, 2 * self.room)
        self.counters.append(np.zeros(words, np.int64))
        where = self.counters[-1].ctypes.data
        ctypes.c_int64.from_address(self.state + 168).value = where
        self.room = words

    def _place(self) -> None:
        """Say on which processors the workers may run, if the process has more than one."""
        if not hasattr(os, "sched_getaffinity"):
            return
        allowed = os.sched_getaffinity(0)
        if len(allowed) < 2:
            return
        self.masks = np.zeros((2, max(allowed) // 64 + 1), np.uint64)
        for cpu in allowed:
            self.masks[0, cpu // 64] |= np.uint64(1 << cpu % 64)
        places = (ctypes.c_int64 * 5).from_address(self.state + 512)
        first = self.masks.ctypes.data
        places[1:] = [first, first + self.masks[0].nbytes, ctypes.addressof(self.handles), -1]
        places[0] = self.masks[0].nbytes

    def call(self, c: Call, leave: bool = False) -> None:
        """Walk a table of records, or leave that to the workers until `_finish`."""
        if c.count * (self.workers + 2) > self.room:
            self._count(c.count * (self.workers + 2))
        self.begun.value = 0
        try:
            _launch(self.state, c.arguments, c.objects, leave)
        finally:  # the handler of a signal may raise an error where native code returns
            c.ran = self.begun.value != 0

    def stop(self) -> None:
        """End the workers and wait for them."""
        if self in _pools:
            join = ctypes.CDLL(None).pthread_join
            join.argtypes = [ctypes.c_uint64, ctypes.c_void_p]
            state = (ctypes.c_int64 * 18).from_address(self.state)
            state[17] = -1  # the number of records: below zero, it says stop
            self.number.value += 1  # open, and left open: every worker finds it
            _wake(self.state)
            for handle in self.handles:
                if handle:  # it was started
                    join(handle, None)
            self.workers = 0
            _pools.remove(self)


_pools: list[Pool] = []  # those that have workers, which use their memory until they have ended


def _pool_of_all() -> Pool:
    """The pool of as many threads as are to run a program, or as the system starts."""
    global _pool
    if _pool is None:
        wanted = get_num_threads()
        _pool = Pool(wanted - 1)
        if _pool.workers + 1 < wanted:
            warnings.warn(
                f"facula: the system starts no more threads, so {_pool.workers + 1} and not "
                f"{wanted} run a program",
                RuntimeWarning,
                stacklevel=2,
            )
    return _pool


def get_num_threads() -> int:
    """How many threads run a program."""
    global _threads
    if not _threads:
        asked = os.environ.get("FACULA_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS") or ""
        if asked.isdigit() and int(asked) > 0:
            _threads = int(asked)
        elif hasattr(os, "sched_getaffinity"):
            _threads = len(os.sched_getaffinity(0))
        else:
            _threads = os.cpu_count() or 1
    return _threads


def set_num_threads(n: int) -> None:
    """Run programs on n threads from now on."""
    global _threads, _pool
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise RuntimeError(f"set_num_threads expects an int, but got {type(n).__name__}")
    n = operator.index(n)
    if n < 1:
        raise RuntimeError("set_num_threads expects a positive integer")
    me = object()
    try:
        while not _take(me):  # another thread has them
            flight.land()
            sleep(1e-4)
        _threads = numpy_threads.most = n
        pool, _pool = _pool, None
        if pool is not None:
            pool.stop()
    finally:
        if "who" in _turn and _turn["who"] is me:
            del _turn["who"]


LISTENER: Any = None  # what is to run calls instead, and to know of interpreted steps


class Sharing:
    """Whether a program is better shared: on a machine that is busy with other things, waiting
    for a worker that does not run costs more than doing its part. Both ways give the same bits.
    """

    __slots__ = ("alone", "better", "long", "period", "runs", "together")

    def __init__(self) -> None:
        self.runs = 0
        self.alone: deque[float] = deque(maxlen=RECENT)  # the last times, in seconds
        self.together: deque[float] = deque(maxlen=RECENT)
        self.better = True  # whether sharing is
        self.long = False
        self.period = SOON

    def wanted(self) -> bool:
        """Share this run? As it was better, and for four runs of each period the other way, but
        for programs so long that no worker is waited for longer than they take."""
        self.runs = n = self.runs + 1
        if self.long:
            return True
        return self.better is not (4 <= n % self.period < 8)

    def note(self, shared: bool, seconds: float) -> None:
        """Remember how long a run took."""
        (self.together if shared else self.alone).append(seconds)
        if shared:
            self.long = seconds > LONG and min(self.together) > LONG
        if self.runs & (31 if self.period == SELDOM else 3) == 3 and self.alone:
            together, alone = _usual(self.together), _usual(self.alone)
            self.better = together <= alone
            # Should the workers be late one day, then the times of shared runs say so.
            clear = together < 0.8 * alone
            self.period = SELDOM if clear else SOON if self.runs < OFTEN else OFTEN


class Always(Sharing):
    """For calls that are made only while it pays."""

    def wanted(self) -> bool:
        return True

    def note(self, shared: bool, seconds: float) -> None:
        pass


ALWAYS = Always()


def _usual(times: Iterable[float]) -> float:
    """The mean but for the two slowest: a run that something came between says nothing."""
    few = sorted(times)
    few = few[: max(1, len(few) - 2)]
    return sum(few) / len(few)


class Call:
    """A table of kernel calls with what it works on, ready to be run again and again.

    table, count     the records, and how many they are
    pointers         where the addresses of the buffers are
    numbers          where the Python numbers are
    objects, many    arrays, as objects, whose addresses are to become the first pointers
    parallel         whether anything in it can be shared
    arguments        where these numbers are, for native code
    ran              whether it was run, for who has set it to False
    kernels          asks what each record does (see facula.compiler.timing)
    """

    __slots__ = (
        *("_memory", "arguments", "count", "kernels", "many", "numbers", "objects", "parallel"),
        *("pointers", "ran", "sharing", "table"),
    )

    def __init__(
        self,
        table: int,
        count: int,
        parallel: bool,
        pointers: int = 0,
        numbers: int = 0,
        many: int = 0,
    ) -> None:
        self.table, self.count, self.parallel = table, count, parallel
        self.pointers, self.numbers, self.many = pointers, numbers, many
        self._memory = (ctypes.c_int64 * 5)(table, count, pointers, numbers, many)
        self.arguments = ctypes.addressof(self._memory)
        self.objects = 0
        self.sharing = Sharing()
        self.kernels: Any = None
        self.ran = False

    def run(self) -> None:
        """Do all that the table says."""
        if LISTENER is None:
            self.launch()
        else:
            LISTENER.run(self)

    def single(self, k: int) -> Call:
        """One record of the table."""
        table = self.table + 8 * RECORD * k
        one = Call(table, 1, self.parallel, self.pointers, self.numbers, self.many)
        one.objects = self.objects
        return one

    def part(self, first: int, last: int, many: int, sharing: Sharing) -> Call:
        """Some records of the table. Of the first pointers so many are to be found anew."""
        table = self.table + 8 * RECORD * first
        part = Call(table, last - first, self.parallel, self.pointers, self.numbers, many)
        part.kernels = self.kernels[first:last]
        part.sharing = sharing
        return part

    def launch(self) -> None:
        """Walk the table, with all threads where that pays."""
        if self.parallel and get_num_threads() > 1:
            sharing = self.sharing
            shared = sharing.wanted()
            begin = perf_counter()
            me = object()
            try:
                # Another Python thread may have the workers: then this thread works alone.
                if shared and _take(me):
                    (_pool or _pool_of_all()).call(self)
                else:
                    (_alone.pool or _new_alone()).call(self)
            finally:
                if "who" in _turn and _turn["who"] is me:
                    del _turn["who"]
            sharing.note(shared, perf_counter() - begin)
        else:
            (_alone.pool or _new_alone()).call(self)

    def depart(self, owner: Any, arrays: Any, written: list[Any], holds: Any) -> bool:
        """Let the workers walk the table while Python goes on; whether they do."""
        if (_threads or get_num_threads()) == 1 or LISTENER is not None:
            return False
        if not self.sharing.wanted():
            return False
        begin = perf_counter()
        away = Away(owner, arrays, written, holds, self.sharing)
        try:
            if not _take(away):
                return False
            away.pool = pool = _pool or _pool_of_all()
            with flight.LOCK:
                flight.CURRENT = away
                pool.call(self, leave=True)
        except BaseException:
            if not self.ran:
                if flight.CURRENT is away:
                    flight.CURRENT = None
                if "who" in _turn and _turn["who"] is away:
                    del _turn["who"]
            raise
        away.spent = perf_counter() - begin
        return True


class Away(flight.Flight):
    """A call that was left to the workers."""

    __slots__ = ("pool", "sharing", "spent")

    def __init__(
        self,
        owner: Any,
        arrays: tuple[Any, ...],
        written: list[Any],
        holds: Any,
        sharing: Sharing,
    ) -> None:
        self.owner, self.arrays, self.written, self.holds = owner, arrays, written, holds
        self._used = None
        self.pool: Any = None
        self.sharing = sharing
        self.spent = 0.0  # seconds for which Python was kept

    def finish(self) -> None:
        """Do a share of what is left."""
        begin = perf_counter()
        if "who" not in _turn or _turn["who"] is not self:
            return  # that was done, and an error of a signal's handler came after it
        try:
            _finish(self.pool.state)
        finally:
            if not self.pool.number.value & 1:
                # Once, also where a signal's handler came to the same place.
                if "who" in _turn and _turn["who"] is self:
                    del _turn["who"]
                    self.sharing.note(True, self.spent + perf_counter() - begin)

    def done(self) -> bool:
        """Whether the last unit is done."""
        return bool(_done(self.pool.state))


def _take(who: Any) -> bool:
    """Give a call, which may wait for it, the workers, if no other has them.

    It has them while it is in `_turn`, and gives them back by statements in a row without calls
    (see trace/recorder.py).
    """
    if _turn.setdefault("who", who) is who:
        return True
    f = flight.CURRENT
    if f is None or not f.done():
        return False
    f.land()
    return _turn.setdefault("who", who) is who


class _Alone(threading.local):
    pool: Pool | None = None


_alone = _Alone()


def _new_alone() -> Pool:
    """The pool of a thread that works alone."""
    pool = _alone.pool = Pool(0)
    return pool


def _after_fork() -> None:
    """A child has none of its parent's threads."""
    global _pool
    _pool = None
    _pools.clear()
    _turn.clear()


def _stop() -> None:
    global _pool
    flight.land()
    _pool = None
    for pool in list(_pools):
        pool.stop()


atexit.register(_stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
