"""Native code in memory: called, and given back."""

import ctypes
import gc
import platform
import signal
import subprocess
import sys
import threading
import weakref

import pytest

from facula.cpu import jit, runtime

ADD = "define i64 @add(i64 %x) {\n  %y = add i64 %x, N\n  ret i64 %y\n}\n"


def call(library, x):
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(library.addresses["add"])(x)


def test_libraries_do_not_disturb_each_other():
    first = jit.compile_functions(ADD.replace("N", "1"), ["add"])
    second = jit.compile_functions(ADD.replace("N", "20"), ["add"])
    assert (call(first, 5), call(second, 5)) == (6, 25)
    del first
    jit.release()
    assert call(second, 6) == 26


def test_a_garbage_collection_leaves_what_llvm_made_alone():
    """It comes by in any thread, while another may be compiling."""
    cycle = [jit.compile_functions(ADD.replace("N", "4"), ["add"])]
    cycle.append(cycle)
    made = [weakref.ref(p) for p in jit._made[cycle[0]._number]]  # nothing here keeps them
    del cycle
    gc.collect()
    assert not any(p().closed for p in made)
    jit.release()
    assert not any(p() for p in made)


def test_a_library_that_nobody_has_is_given_back():
    jit.release()
    count, size = len(jit._libraries), jit.held()
    library = jit.compile_functions(ADD.replace("N", "3"), ["add"])
    assert len(jit._libraries) == count + 1
    assert jit.held() > size
    number, parts = library._number, jit._made[library._number]
    del library
    assert (len(jit._libraries), jit.held()) == (count, size)
    assert jit._unused == [number]  # not in the middle of whatever let it go
    assert not any(p.closed for p in parts)
    jit.compile_functions(ADD.replace("N", "4"), ["add"])
    assert all(p.closed for p in parts)


def test_what_is_not_there_can_not_be_linked():
    with pytest.raises(RuntimeError, match="add"):
        jit.compile_functions(ADD.replace("add(", "other("), ["add"])
    jit.release()


def test_modules_are_compiled_by_all_threads_and_once(tmp_path, monkeypatch):
    """Side by side, each in a context of its own; found on disk afterwards."""
    monkeypatch.setenv("FACULA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(runtime, "_threads", 3)
    together = threading.Barrier(3)
    seen = set()
    write = jit._write

    def watched(*args):
        together.wait(60)
        seen.add(threading.get_ident())
        return write(*args)

    monkeypatch.setattr(jit, "_write", watched)
    modules = [(ADD.replace("N", str(100 + i)), ["add"]) for i in range(3)]
    found = jit.compile_modules(modules)
    assert [call(x, 1) for x in found] == [101, 102, 103]
    assert len(seen) == 3
    assert len(list(tmp_path.glob("objects/*"))) == 3
    again = jit.compile_modules(modules)  # would wait at the barrier
    assert [call(x, 1) for x in again] == [101, 102, 103]


def test_an_error_in_another_thread_is_raised(monkeypatch):
    monkeypatch.setenv("FACULA_CACHE_DIR", "")
    monkeypatch.setattr(runtime, "_threads", 2)
    bad = ADD.replace("N", "nothing")
    modules = [(ADD.replace("N", "7" * (i + 1)), ["add"]) for i in range(3)]
    with pytest.raises(RuntimeError, match="pars"):
        jit.compile_modules([*modules, (bad, ["add"])])
    assert not [t for t in threading.enumerate() if t.name == "facula compiler"]
    assert call(jit.compile_functions(*modules[0]), 1) == 8


@pytest.fixture
def interruptible():
    """SIGINT raises KeyboardInterrupt also where the tests were started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("interrupts", [1, 2])
def test_an_interrupt_while_modules_are_compiled(monkeypatch, interrupts, interruptible):
    """The other threads end with what they are at, and LLVM is as it was."""
    monkeypatch.setenv("FACULA_CACHE_DIR", "")
    monkeypatch.setattr(runtime, "_threads", 3)
    together = threading.Barrier(3)
    write, join = jit._write, threading.Thread.join
    left = [interrupts]

    def interrupt():
        if left[0]:
            left[0] -= 1
            signal.raise_signal(signal.SIGINT)

    def watched(*args):
        if together.n_waiting or left[0] == interrupts:
            together.wait(60)
        if threading.current_thread() is threading.main_thread():
            interrupt()
        return write(*args)

    def joined(self, *args):
        interrupt()
        return join(self, *args)

    modules = [(ADD.replace("N", str(1000 + i)), ["add"]) for i in range(20)]
    with monkeypatch.context() as m:
        m.setattr(jit, "_write", watched)
        m.setattr(threading.Thread, "join", joined)
        with pytest.raises(KeyboardInterrupt):
            jit.compile_modules(modules)
    assert left == [0]
    assert not [t for t in threading.enumerate() if t.name == "facula compiler"]
    assert [call(x, 1) for x in jit.compile_modules(modules)] == list(range(1001, 1021))


def test_where_no_more_threads_are_to_be_had_one_compiles(monkeypatch):
    monkeypatch.setenv("FACULA_CACHE_DIR", "")
    monkeypatch.setattr(runtime, "_threads", 3)

    def start(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    found = jit.compile_modules([(ADD.replace("N", str(i)), ["add"]) for i in range(200, 204)])
    assert [call(x, 1) for x in found] == [201, 202, 203, 204]


FAR = """
import ctypes
import re
from facula.cpu import jit

# 48 KB of code, and a page of constants.
terms = ["%t0 = fadd double %x, 0.123"]
for i in range(6000):
    terms.append(f"%s{i} = fadd double %t{i}, {i % 7 + 0.37}")
    terms.append(f"%t{i + 1} = fmul double %s{i}, %x")
code = "define double @f(double %x) {\\n" + "\\n".join(terms) + "\\nret double %t6000\\n}\\n"
payload = jit._object(code)
assert len(payload) > 40_000
jit.compile_functions("define i64 @g() {\\n ret i64 1\\n}\\n", ["g"])  # all of LLVM is there

libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
FLAGS = 0x2 | 0x20 | 0x4000 | 0x100000  # private, anonymous, not accounted for, at this place
TOP = (1 << 47) - 4096
with open("/proc/self/maps") as f:
    spans = [tuple(int(x, 16) for x in re.match("(.*?)-(.*?) ", line).groups()) for line in f]
gaps = [(a[1], b[0]) for a, b in zip(spans, spans[1:]) if a[1] < b[0] <= TOP]
large = max(gaps, key=lambda g: g[1] - g[0])
for low, high in gaps:
    if (low, high) == large:
        low += 1 << 30  # the heap grows there
    taken = libc.mmap(low, high - low, 0, FLAGS, -1, 0)
    assert taken == low, "could not be reserved"
# Room for the constants, and far from it room for everything.
libc.munmap(large[1] - (1 << 20), 32 << 10)
libc.munmap(large[1] - (16 << 30), 4 << 30)

library = jit.Library(payload, ["f"], 0)
print(ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(library.addresses["f"])(0.0))
"""


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or platform.machine() != "x86_64",
    reason="the address space is filled by Linux's calls, and distances of 2 GB are of x86",
)
def test_code_and_constants_lie_together_however_the_address_space_is_filled():
    """LLVM's usual linker puts them where each fits, and ends the process where they are too far
    apart for the code to reach."""
    done = subprocess.run(
        [sys.executable, "-c", FAR], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, "0.0\n"), done.stderr
