"""Running tables of kernel calls on all cores.

A program is an array of records, one for each kernel call. Every thread walks the array: it takes
units of its own share of a record one by one, then what is left of the others' shares, and goes on
to the next record when all units are done. A thread that the system has given to somebody else is
therefore not waited for: on a loaded machine the caller does the work alone. Workers are native
threads, started at the first parallel program. One that has waited for long sleeps until the next
call; one that comes too late to a call finds it closed.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import platform
import sys
import threading
from time import perf_counter
from typing import Any

import numpy as np

from facula.trace import flight

RECORD = 4  # 64-bit words: function, descriptor, units, nothing
LONG = 5e-3  # seconds: a program that takes longer is always shared
RECENT = 8  # runs of each sort that are remembered, to see whether a program is better shared
SPIN = 60_000  # looks at the call number before a worker goes to sleep: about 100 us

# The state, by byte offset: 0 call number, odd while the call is open, 128 table, 136 records,
# 144 P, 152 S, 160 threads, 168 counters, 256 workers inside the call, 384 workers asleep.
# For each record the counters hold, for each thread, how many of its units were taken, and then
# how many units of the record are done.
_WALK = r"""
declare i32 @sched_yield()
PAUSE_DECL
define internal void @walk(ptr %st, i64 %tid, i64 %n) {
entry:
  %tp = getelementptr i8, ptr %st, i64 128
  %table = load ptr, ptr %tp
  %cp = getelementptr i8, ptr %st, i64 136
  %count = load i64, ptr %cp
  %pp = getelementptr i8, ptr %st, i64 144
  %P = load ptr, ptr %pp
  %sp = getelementptr i8, ptr %st, i64 152
  %S = load ptr, ptr %sp
  %kp = getelementptr i8, ptr %st, i64 168
  %counters = load ptr, ptr %kp
  %n1 = add i64 %n, 1
  %line = mul i64 %n1, 8
  %n8 = mul i64 %n, 8
  %any = icmp sgt i64 %count, 0
  br i1 %any, label %each, label %out
each:
  %i = phi i64 [0, %entry], [%i1, %next]
  %o = mul i64 %i, 32
  %r = getelementptr i8, ptr %table, i64 %o
  %fn = load ptr, ptr %r
  %r1 = getelementptr i8, ptr %r, i64 8
  %D = load ptr, ptr %r1
  %r2 = getelementptr i8, ptr %r, i64 16
  %units = load i64, ptr %r2
  %co = mul i64 %i, %line
  %c = getelementptr i8, ptr %counters, i64 %co
  %dp = getelementptr i8, ptr %c, i64 %n8
  br label %share
share:
  %j = phi i64 [0, %each], [%j1, %shared]
  %mine = phi i64 [0, %each], [%mine1, %shared]
  %who0 = add i64 %tid, %j
  %who = urem i64 %who0, %n
  %who1 = add i64 %who, 1
  %a = mul i64 %units, %who
  %lo = udiv i64 %a, %n
  %b = mul i64 %units, %who1
  %hi = udiv i64 %b, %n
  %wo = mul i64 %who, 8
  %w = getelementptr i8, ptr %c, i64 %wo
  br label %take
take:
  %mine1 = phi i64 [%mine, %share], [%mine2, %run]
  %k = atomicrmw add ptr %w, i64 1 monotonic
  %u = add i64 %lo, %k
  %has = icmp slt i64 %u, %hi
  br i1 %has, label %run, label %shared
run:
  %u1 = add i64 %u, 1
  call void %fn(ptr %P, ptr %S, ptr %D, i64 %u, i64 %u1)
  %mine2 = add i64 %mine1, 1
  br label %take
shared:
  %j1 = add i64 %j, 1
  %more = icmp slt i64 %j1, %n
  br i1 %more, label %share, label %report
report:
  %did = atomicrmw add ptr %dp, i64 %mine1 acq_rel
  br label %spin
spin:
  %turns = phi i64 [0, %report], [%turns1, %back]
  %v = load atomic i64, ptr %dp acquire, align 8
  %here = icmp sge i64 %v, %units
  br i1 %here, label %next, label %pause
pause:
  PAUSE
  %turns1 = add i64 %turns, 1
  %low = and i64 %turns1, 1023
  %tired = icmp eq i64 %low, 0
  br i1 %tired, label %giveway, label %back
giveway:
  %y = call i32 @sched_yield()
  br label %back
back:
  br label %spin
next:
  %i1 = add i64 %i, 1
  %end = icmp sge i64 %i1, %count
  br i1 %end, label %out, label %each
out:
  ret void
}
"""
_POOL = r"""
SLEEP_DECL
define void @worker(ptr %a) {
entry:
  %st = load ptr, ptr %a
  %p1 = getelementptr i8, ptr %a, i64 8
  %tid = load i64, ptr %p1
  %ip = getelementptr i8, ptr %st, i64 256
  %sl = getelementptr i8, ptr %st, i64 384
  br label %idle
idle:
  %seen = phi i32 [0, %entry], [%g, %finish]
  br label %look
look:
  %turns = phi i64 [0, %idle], [%turns1, %pause], [0, %asleep]
  %g = load atomic i32, ptr %st acquire, align 4
  %new = icmp ne i32 %g, %seen
  %odd = and i32 %g, 1
  %open = icmp eq i32 %odd, 1
  %go = and i1 %new, %open
  br i1 %go, label %enter, label %pause
pause:
  PAUSE
  %turns1 = add i64 %turns, 1
  %long = icmp sgt i64 %turns1, SPIN
  br i1 %long, label %asleep, label %look
asleep:
  %s1 = atomicrmw add ptr %sl, i32 1 seq_cst
  WAIT
  %s2 = atomicrmw sub ptr %sl, i32 1 seq_cst
  br label %look
enter:
  %in = atomicrmw add ptr %ip, i32 1 seq_cst
  %g2 = load atomic i32, ptr %st seq_cst, align 4
  %still = icmp eq i32 %g2, %g
  br i1 %still, label %inside, label %leave
inside:
  %cp = getelementptr i8, ptr %st, i64 136
  %count = load i64, ptr %cp
  %stop = icmp slt i64 %count, 0
  br i1 %stop, label %out, label %work
work:
  %np = getelementptr i8, ptr %st, i64 160
  %n = load i64, ptr %np
  call void @walk(ptr %st, i64 %tid, i64 %n)
  br label %leave
leave:
  %d = atomicrmw sub ptr %ip, i32 1 seq_cst
  br label %finish
finish:
  br label %idle
out:
  %d2 = atomicrmw sub ptr %ip, i32 1 seq_cst
  ret void
}
define void @wake(ptr %st) {
entry:
  WAKE
  ret void
}
define i64 @done(ptr %st) {
entry:
  %tp = getelementptr i8, ptr %st, i64 128
  %table = load ptr, ptr %tp
  %cp = getelementptr i8, ptr %st, i64 136
  %count = load i64, ptr %cp
  %last = sub i64 %count, 1
  %o = mul i64 %last, 32
  %o2 = add i64 %o, 16
  %up = getelementptr i8, ptr %table, i64 %o2
  %units = load i64, ptr %up
  %np = getelementptr i8, ptr %st, i64 160
  %n = load i64, ptr %np
  %n1 = add i64 %n, 1
  %row = mul i64 %last, %n1
  %at = add i64 %row, %n
  %kp = getelementptr i8, ptr %st, i64 168
  %counters = load ptr, ptr %kp
  %dp = getelementptr i64, ptr %counters, i64 %at
  %v = load atomic i64, ptr %dp acquire, align 8
  %here = icmp sge i64 %v, %units
  %r = zext i1 %here to i64
  ret i64 %r
}
define void @finish(ptr %st) {
entry:
  %g = load atomic i32, ptr %st seq_cst, align 4
  %odd = and i32 %g, 1
  %open = icmp eq i32 %odd, 1
  br i1 %open, label %look, label %out
look:
  %all = call i64 @done(ptr %st)
  %left = icmp eq i64 %all, 0
  br i1 %left, label %help, label %close
help:
  %np = getelementptr i8, ptr %st, i64 160
  %n = load i64, ptr %np
  call void @walk(ptr %st, i64 0, i64 %n)
  br label %close
close:
  %g3 = atomicrmw add ptr %st, i32 1 seq_cst
  %ip = getelementptr i8, ptr %st, i64 256
  br label %wait
wait:
  %turns = phi i64 [0, %close], [%turns1, %again2]
  %d = load atomic i32, ptr %ip seq_cst, align 4
  %missing = icmp sgt i32 %d, 0
  br i1 %missing, label %again, label %out
again:
  PAUSE
  %turns1 = add i64 %turns, 1
  %low = and i64 %turns1, 1023
  %tired = icmp eq i64 %low, 0
  br i1 %tired, label %giveway, label %again2
giveway:
  %y = call i32 @sched_yield()
  br label %again2
again2:
  br label %wait
out:
  ret void
}
define void @launch(ptr %st, ptr %table, i64 %count, ptr %P, ptr %S, i64 %n, ptr %counters,
                    ptr %objects, i64 %many, i64 %leave) {
entry:
  %some = icmp sgt i64 %many, 0
  br i1 %some, label %address, label %begin
address:
  %o = phi i64 [0, %entry], [%o1, %address]
  %op = getelementptr ptr, ptr %objects, i64 %o
  %object = load ptr, ptr %op
  %dp = getelementptr i8, ptr %object, i64 DATA_OFFSET
  %data = load ptr, ptr %dp
  %target = getelementptr ptr, ptr %P, i64 %o
  store ptr %data, ptr %target
  %o1 = add i64 %o, 1
  %om = icmp slt i64 %o1, %many
  br i1 %om, label %address, label %begin
begin:
  %tp = getelementptr i8, ptr %st, i64 128
  store ptr %table, ptr %tp
  %cp = getelementptr i8, ptr %st, i64 136
  store i64 %count, ptr %cp
  %pp = getelementptr i8, ptr %st, i64 144
  store ptr %P, ptr %pp
  %sp = getelementptr i8, ptr %st, i64 152
  store ptr %S, ptr %sp
  %np = getelementptr i8, ptr %st, i64 160
  store i64 %n, ptr %np
  %kp = getelementptr i8, ptr %st, i64 168
  store ptr %counters, ptr %kp
  %n1 = add i64 %n, 1
  %words = mul i64 %n1, %count
  %sl = getelementptr i8, ptr %st, i64 384
  %any0 = icmp sgt i64 %words, 0
  br i1 %any0, label %zero, label %open
zero:
  %z = phi i64 [0, %begin], [%z1, %zero]
  %zo = mul i64 %z, 8
  %zp = getelementptr i8, ptr %counters, i64 %zo
  store atomic i64 0, ptr %zp monotonic, align 8
  %z1 = add i64 %z, 1
  %zm = icmp slt i64 %z1, %words
  br i1 %zm, label %zero, label %open
open:
  %alone = icmp eq i64 %n, 1
  br i1 %alone, label %own, label %call
call:
  %g = atomicrmw add ptr %st, i32 1 seq_cst
  %s = load atomic i32, ptr %sl seq_cst, align 4
  %any = icmp ne i32 %s, 0
  br i1 %any, label %wake, label %awake
wake:
  WAKE
  br label %awake
awake:
  %later = icmp ne i64 %leave, 0
  br i1 %later, label %out, label %help
help:
  call void @finish(ptr %st)
  br label %out
own:
  call void @walk(ptr %st, i64 0, i64 1)
  br label %out
out:
  ret void
}
"""


def _data_offset() -> int:
    """Where an array object keeps the address of its elements: NumPy's binary interface puts it
    behind the object's header, whose size depends on how Python was built."""
    a = np.zeros(1)
    for offset in range(object.__basicsize__, 64, 8):
        if ctypes.c_int64.from_address(id(a) + offset).value == a.ctypes.data:
            return offset
    raise RuntimeError("facula: this NumPy keeps its arrays in a way that is not known")


def _text() -> str:
    """The runtime for this machine: how it pauses and how it sleeps."""
    machine = platform.machine().lower()
    if machine in ("x86_64", "amd64"):
        pause_decl, pause, futex = (
            "declare void @llvm.x86.sse2.pause()",
            "call void @llvm.x86.sse2.pause()",
            202,
        )
    else:
        pause_decl, pause, futex = "", 'call void asm sideeffect "yield", ""()', 98
        if machine not in ("aarch64", "arm64"):
            pause = "fence acquire"
    if sys.platform.startswith("linux"):
        sleep_decl = "declare i64 @syscall(i64, ...)"
        call = "call i64 (i64, ...) @syscall"
        wait = f"%r = {call}(i64 {futex}, ptr %st, i32 128, i32 %g, ptr null, ptr null, i32 0)"
        wake = (
            f"%r = {call}(i64 {futex}, ptr %st, i32 129, i32 2147483647, ptr null, ptr null, i32 0)"
        )
    else:
        sleep_decl = "declare i32 @usleep(i32)"
        wait = "%r = call i32 @usleep(i32 50)"
        wake = "%r = add i32 0, 0"
    text = _WALK + _POOL
    for name, value in (
        ("PAUSE_DECL", pause_decl),
        ("SLEEP_DECL", sleep_decl),
        ("PAUSE", pause),
        ("WAIT", wait),
        ("WAKE", wake),
        ("SPIN", str(SPIN)),
        ("DATA_OFFSET", str(_data_offset())),
    ):
        text = text.replace(name, value)
    return text


_lock = threading.Lock()
_busy = threading.Lock()
_library: Any = None  # the native code of this file
_launch: Any = None
_finish: Any = None
_done: Any = None
_wake: Any = None
_pool: Pool | None = None
_threads = 0


def _functions() -> dict[str, int]:
    global _library, _launch, _finish, _done, _wake
    with _lock:
        if _library is None:
            from facula.cpu.jit import compile_functions

            _library = compile_functions(_text(), ["worker", "launch", "finish", "done", "wake"])
            native = _library.addresses
            p, i = ctypes.c_void_p, ctypes.c_int64
            _wake = ctypes.CFUNCTYPE(None, p)(native["wake"])
            _launch = ctypes.CFUNCTYPE(None, p, p, i, p, p, i, p, p, i, i)(native["launch"])
            _finish = ctypes.CFUNCTYPE(None, p)(native["finish"])
            _done = ctypes.CFUNCTYPE(i, p)(native["done"])
    addresses: dict[str, int] = _library.addresses
    return addresses


class Pool:
    """The state that the threads share, and the threads."""

    def __init__(self, workers: int) -> None:
        native = _functions()
        self.memory = np.zeros(8192 + 128 * (workers + 2), np.uint8)
        start = self.memory.ctypes.data
        self.state = (start + 127) // 128 * 128
        self.counters = np.zeros(1024, np.int64)
        self.where = self.counters.ctypes.data
        self.workers = workers
        self.arguments = []
        if not workers:
            return
        create = ctypes.CDLL(None).pthread_create
        create.argtypes = [ctypes.c_void_p] * 4
        for t in range(1, workers + 1):
            args = (ctypes.c_int64 * 2)(self.state, t)
            handle = ctypes.c_uint64()
            if create(ctypes.byref(handle), None, native["worker"], ctypes.addressof(args)):
                raise RuntimeError("facula: a worker thread could not be started")
            self.arguments.append((args, handle))

    def call(self, c: Call, leave: bool = False) -> None:
        """Walk a table of records, or leave that to the workers until `_finish`."""
        n = self.workers + 1
        if c.count * (n + 1) > len(self.counters):
            self.counters = np.zeros(c.count * (n + 1), np.int64)
            self.where = self.counters.ctypes.data
        _launch(
            self.state,
            c.table,
            c.count,
            c.pointers,
            c.numbers,
            n,
            self.where,
            c.objects,
            c.many,
            leave,
        )

    def stop(self) -> None:
        """End the workers and wait for them."""
        if self.workers:
            join = ctypes.CDLL(None).pthread_join
            join.argtypes = [ctypes.c_uint64, ctypes.c_void_p]
            state = (ctypes.c_int64 * 18).from_address(self.state)
            state[17] = -1  # the number of records: below zero, it says stop
            call = ctypes.c_int32.from_address(self.state)
            call.value += 1  # open, and left open: every worker finds it
            _wake(self.state)
            for _, handle in self.arguments:
                join(handle.value, None)
            self.workers = 0


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
    if type(n) is not int:
        raise TypeError(f"set_num_threads expects an int, but got {type(n).__name__}")
    if n < 1:
        raise RuntimeError("set_num_threads expects a positive integer")
    flight.land()
    with _busy:
        _threads = n
        if _pool is not None:
            _pool.stop()
            _pool = None


LISTENER: Any = None  # what is to run calls instead, and to know of interpreted steps


class Sharing:
    """Whether a program is better shared: on a machine that is busy with other things, waiting
    for a worker that does not run costs more than doing its part. Both ways give the same bits.
    """

    __slots__ = ("alone", "better", "long", "runs", "together")

    def __init__(self) -> None:
        self.runs = 0
        self.alone: list[float] = []  # the last times, in seconds
        self.together: list[float] = []
        self.better = True  # whether sharing is
        self.long = False

    def wanted(self) -> bool:
        """Share this run? Both ways by turns at first, and then the other way now and then, but
        for programs so long that no worker is waited for longer than they take."""
        self.runs = n = self.runs + 1
        if self.long:
            return True
        if n < 24:
            return n & 4 == 0
        return self.better if n & 63 > 3 else not self.better

    def note(self, shared: bool, seconds: float) -> None:
        """Remember how long a run took."""
        times = self.together if shared else self.alone
        times.append(seconds)
        if len(times) > RECENT:
            del times[0]
        if shared:
            self.long = min(times) > LONG
        if self.runs & 3 == 3 and self.alone:
            self.better = _usual(self.together) <= _usual(self.alone)


def _usual(times: list[float]) -> float:
    """The mean of the lower three quarters: a run that something came between says nothing."""
    few = sorted(times)[: max(1, len(times) * 3 // 4)]
    return sum(few) / len(few)


class Call:
    """A table of kernel calls with what it works on, ready to be run again and again.

    table, count     the records, and how many they are
    pointers         where the addresses of the buffers are
    numbers          where the Python numbers are
    objects, many    arrays, as objects, whose addresses are to become the first pointers
    parallel         whether anything in it can be shared
    kernels          asks what each record does (see facula.compiler.timing)
    """

    __slots__ = (
        "count",
        "kernels",
        "many",
        "numbers",
        "objects",
        "parallel",
        "pointers",
        "sharing",
        "table",
    )

    def __init__(self, table: int, count: int, parallel: bool) -> None:
        self.table = table
        self.count = count
        self.parallel = parallel
        self.sharing = Sharing()
        self.pointers = self.numbers = self.objects = self.many = 0
        self.kernels: Any = None

    def run(self) -> None:
        """Do all that the table says."""
        if LISTENER is None:
            self.launch()
        else:
            LISTENER.run(self)

    def single(self, k: int) -> Call:
        """One record of the table."""
        one = Call(self.table + 8 * RECORD * k, 1, self.parallel)
        one.pointers, one.numbers = self.pointers, self.numbers
        one.objects, one.many = self.objects, self.many
        return one

    def launch(self) -> None:
        """Walk the table, with all threads where that pays."""
        global _pool
        if self.parallel and get_num_threads() > 1:
            sharing = self.sharing
            shared = sharing.wanted()
            begin = perf_counter()
            # Another Python thread may have the workers: then this thread works alone.
            if shared and _free():
                try:
                    if _pool is None:
                        _pool = Pool(get_num_threads() - 1)
                    _pool.call(self)
                finally:
                    _busy.release()
            else:
                self._run_alone()
            sharing.note(shared, perf_counter() - begin)
        else:
            self._run_alone()

    def depart(self, owner: Any, arrays: Any, written: list[Any], holds: Any) -> bool:
        """Let the workers walk the table while Python goes on; whether they do."""
        global _pool
        if LISTENER is not None or get_num_threads() == 1:
            return False
        sharing = self.sharing
        if not sharing.wanted() or not _free():
            return False
        begin = perf_counter()
        if _pool is None:
            _pool = Pool(get_num_threads() - 1)
        with flight.LOCK:
            away = flight.CURRENT = Away(owner, arrays, written, holds, _pool, sharing)
            _pool.call(self, leave=True)
        away.spent = perf_counter() - begin
        return True

    def _run_alone(self) -> None:
        pool = _alone.pool
        if pool is None:
            pool = _alone.pool = Pool(0)
        pool.call(self)


class Away(flight.Flight):
    """A call that was left to the workers."""

    __slots__ = ("busy", "pool", "sharing", "spent")

    def __init__(
        self,
        owner: Any,
        arrays: tuple[Any, ...],
        written: list[Any],
        holds: Any,
        pool: Pool,
        sharing: Sharing,
    ) -> None:
        super().__init__(owner, arrays, written, holds)
        self.pool, self.sharing = pool, sharing
        self.spent = 0.0  # seconds for which Python was kept
        self.busy = True

    def finish(self) -> None:
        """Do a share of what is left."""
        begin = perf_counter()
        try:
            _finish(self.pool.state)
        finally:
            if self.busy:  # once, also where a signal handler came between
                self.busy = False
                _busy.release()
                self.sharing.note(True, self.spent + perf_counter() - begin)

    def done(self) -> bool:
        """Whether the last unit is done."""
        return bool(_done(self.pool.state))


def _free() -> bool:
    """Take the workers, if no call has them."""
    if _busy.acquire(blocking=False):
        return True
    f = flight.CURRENT
    if f is None or not f.done():
        return False
    f.land()
    return _busy.acquire(blocking=False)


class _Alone(threading.local):
    pool: Pool | None = None


_alone = _Alone()


def _before_fork() -> None:
    """A child is not to see half of what a program writes."""
    flight.LOCK.acquire()
    flight.land()


def _after_fork() -> None:
    """A child has none of its parent's threads."""
    global _pool, _busy, _lock
    flight.LOCK.release()
    _pool = None
    _busy = threading.Lock()
    _lock = threading.Lock()


def _stop() -> None:
    global _pool
    flight.land()
    if _pool is not None:
        _pool.stop()
        _pool = None


atexit.register(_stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=flight.LOCK.release,
        after_in_child=_after_fork,
    )
