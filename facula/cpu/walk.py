"""The native code of the runtime: threads that walk a table of kernel calls; see `runtime.py`."""

from __future__ import annotations

import ctypes
import platform
import sys

import numpy as np

SPIN = 60_000  # looks at the call number before a worker goes to sleep: about 100 us
# The state, by byte offset: 0 call number, odd while the call is open, 128 table, 136 records,
# 144 P, 152 S, 160 threads, 168 counters, 176 not 0 once a call began, 256 workers inside the
# call, 384 workers asleep, 512 processors (bytes of their mask, 0: not known), 520 their mask, 528
# a second one to change, 536 handles of the workers, 544 the caller's processor, from which they
# are kept off.
# The arguments of a call: 0 table, 8 records, 16 P, 24 S, 32 how many of P are found in objects.
# A record: 0 function, 8 descriptor, 16 units, 24 how many records before it need not be done.
# For each record the counters hold, for each thread, how many of its units were taken, and then
# how many units of the record are done.
_WALK = r"""
declare i32 @sched_yield()
PAUSE_DECL
define internal i64 @rest(i64 %turns) {
entry:
  PAUSE
  %turns1 = add i64 %turns, 1
  %low = and i64 %turns1, 1023
  %tired = icmp eq i64 %low, 0
  br i1 %tired, label %giveway, label %back
giveway:
  %y = call i32 @sched_yield()
  br label %back
back:
  ret i64 %turns1
}
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
  br label %each
each:
  %i = phi i64 [0, %entry], [%i1, %next]
  %known = phi i64 [0, %entry], [%known1, %next]
  %o = mul i64 %i, 32
  %r = getelementptr i8, ptr %table, i64 %o
  %some = icmp slt i64 %i, %count
  br i1 %some, label %follow, label %check
follow:
  %r3 = getelementptr i8, ptr %r, i64 24
  %free = load i64, ptr %r3
  %before = sub i64 %i, %free
  br label %check
check:
  %needed = phi i64 [%count, %each], [%before, %follow], [%needed, %here]
  %known1 = phi i64 [%known, %each], [%known, %follow], [%known2, %here]
  %wait = icmp slt i64 %known1, %needed
  br i1 %wait, label %ask, label %ready
ask:
  %do = mul i64 %known1, 32
  %dr = getelementptr i8, ptr %table, i64 %do
  %du = getelementptr i8, ptr %dr, i64 16
  %all = load i64, ptr %du
  %dc0 = mul i64 %known1, %line
  %dc1 = getelementptr i8, ptr %counters, i64 %dc0
  %dc = getelementptr i8, ptr %dc1, i64 %n8
  br label %spin
spin:
  %turns = phi i64 [0, %ask], [%turns1, %pause]
  %v = load atomic i64, ptr %dc acquire, align 8
  %full = icmp sge i64 %v, %all
  br i1 %full, label %here, label %pause
pause:
  %turns1 = call i64 @rest(i64 %turns)
  br label %spin
here:
  %known2 = add i64 %known1, 1
  br label %check
ready:
  br i1 %some, label %begin, label %out
begin:
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
  %j = phi i64 [0, %begin], [%j1, %shared]
  %mine = phi i64 [0, %begin], [%mine1, %shared]
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
  %idle = icmp eq i64 %mine1, 0
  br i1 %idle, label %next, label %tell
tell:
  %did = atomicrmw add ptr %dp, i64 %mine1 acq_rel
  br label %next
next:
  %i1 = add i64 %i, 1
  br label %each
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
  %np = getelementptr i8, ptr %st, i64 160
  %n = load i64, ptr %np
  %n1 = add i64 %n, 1
  %kp = getelementptr i8, ptr %st, i64 168
  %counters = load ptr, ptr %kp
  br label %each
each:
  %i = phi i64 [%count, %entry], [%last, %look]
  %some = icmp sgt i64 %i, 0
  br i1 %some, label %look, label %all
look:
  %last = sub i64 %i, 1
  %o = mul i64 %last, 32
  %o2 = add i64 %o, 16
  %up = getelementptr i8, ptr %table, i64 %o2
  %units = load i64, ptr %up
  %row = mul i64 %last, %n1
  %at = add i64 %row, %n
  %dp = getelementptr i64, ptr %counters, i64 %at
  %v = load atomic i64, ptr %dp acquire, align 8
  %here = icmp sge i64 %v, %units
  br i1 %here, label %each, label %left
left:
  ret i64 0
all:
  ret i64 1
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
  %turns = phi i64 [0, %close], [%turns1, %again]
  %d = load atomic i32, ptr %ip seq_cst, align 4
  %missing = icmp sgt i32 %d, 0
  br i1 %missing, label %again, label %out
again:
  %turns1 = call i64 @rest(i64 %turns)
  br label %wait
out:
  ret void
}
define void @launch(ptr %st, ptr %args, ptr %objects, i64 %leave) {
entry:
  %table = load ptr, ptr %args
  %ca = getelementptr i8, ptr %args, i64 8
  %count = load i64, ptr %ca
  %pa = getelementptr i8, ptr %args, i64 16
  %P = load ptr, ptr %pa
  %sa = getelementptr i8, ptr %args, i64 24
  %S = load ptr, ptr %sa
  %ma = getelementptr i8, ptr %args, i64 32
  %many = load i64, ptr %ma
  %np = getelementptr i8, ptr %st, i64 160
  %n = load i64, ptr %np
  %kp = getelementptr i8, ptr %st, i64 168
  %counters = load ptr, ptr %kp
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
  %bp = getelementptr i8, ptr %st, i64 176
  store i64 1, ptr %bp
  %tp = getelementptr i8, ptr %st, i64 128
  store ptr %table, ptr %tp
  %cp = getelementptr i8, ptr %st, i64 136
  store i64 %count, ptr %cp
  %pp = getelementptr i8, ptr %st, i64 144
  store ptr %P, ptr %pp
  %sp = getelementptr i8, ptr %st, i64 152
  store ptr %S, ptr %sp
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
  KEEP_OFF
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
# Linux may wake a thread on the processor of the one that wakes it, and for many milliseconds may
# leave both there while another processor idles. So the workers keep off the caller's.
_PLACES = r"""
declare i32 @sched_getcpu()
declare i32 @pthread_setaffinity_np(i64, i64, ptr)
define internal void @keep_off(ptr %st, i64 %n) {
entry:
  %bp = getelementptr i8, ptr %st, i64 512
  %bytes = load i64, ptr %bp
  %known = icmp sgt i64 %bytes, 0
  br i1 %known, label %ask, label %out
ask:
  %cpu32 = call i32 @sched_getcpu()
  %cpu = sext i32 %cpu32 to i64
  %ap = getelementptr i8, ptr %st, i64 544
  %avoided = load i64, ptr %ap
  %moved = icmp ne i64 %cpu, %avoided
  %bits = mul i64 %bytes, 8
  %within = icmp ult i64 %cpu, %bits
  %go = and i1 %moved, %within
  br i1 %go, label %change, label %out
change:
  store i64 %cpu, ptr %ap
  %mp = getelementptr i8, ptr %st, i64 520
  %mask = load ptr, ptr %mp
  %op = getelementptr i8, ptr %st, i64 528
  %others = load ptr, ptr %op
  call void @llvm.memcpy.p0.p0.i64(ptr %others, ptr %mask, i64 %bytes, i1 false)
  %at = lshr i64 %cpu, 3
  %byte = getelementptr i8, ptr %others, i64 %at
  %low = and i64 %cpu, 7
  %low8 = trunc i64 %low to i8
  %bit = shl i8 1, %low8
  %rest = xor i8 %bit, -1
  %old = load i8, ptr %byte
  %new = and i8 %old, %rest
  store i8 %new, ptr %byte
  %hp = getelementptr i8, ptr %st, i64 536
  %handles = load ptr, ptr %hp
  %workers = sub i64 %n, 1
  br label %each
each:
  %i = phi i64 [0, %change], [%i1, %each]
  %h = getelementptr i64, ptr %handles, i64 %i
  %handle = load i64, ptr %h
  %r = call i32 @pthread_setaffinity_np(i64 %handle, i64 %bytes, ptr %others)
  %i1 = add i64 %i, 1
  %more = icmp slt i64 %i1, %workers
  br i1 %more, label %each, label %out
out:
  ret void
}
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
"""


def _data_offset() -> int:
    """Where an array object keeps the address of its elements: NumPy's binary interface puts it
    behind the object's header, whose size depends on how Python was built."""
    a = np.zeros(1)
    for offset in range(object.__basicsize__, 64, 8):
        if ctypes.c_int64.from_address(id(a) + offset).value == a.ctypes.data:
            return offset
    raise RuntimeError("facula: this NumPy keeps its arrays in a way that is not known")


def text() -> str:
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
    placed = sys.platform.startswith("linux")
    code = _WALK + (_PLACES if placed else "") + _POOL
    for name, value in (
        ("PAUSE_DECL", pause_decl),
        ("SLEEP_DECL", sleep_decl),
        ("PAUSE", pause),
        ("WAIT", wait),
        ("WAKE", wake),
        ("SPIN", str(SPIN)),
        ("KEEP_OFF", "call void @keep_off(ptr %st, i64 %n)" if placed else ""),
        ("DATA_OFFSET", str(_data_offset())),
    ):
        code = code.replace(name, value)
    return code
