"""From LLVM IR text to addresses of native functions, through llvmlite.

llvmlite is imported here, at the first compilation, and where programs ask for the processor.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import itertools
import os
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import llvmlite
import llvmlite.binding as llvm
from llvmlite.binding import ffi

from facula.cpu import cache
from facula.trace.flight import COMPILING
from facula.version import __version__

llvm.initialize_native_target()
llvm.initialize_native_asmprinter()
TRIPLE = llvm.get_process_triple()
_target = llvm.Target.from_triple(TRIPLE)
CPU = os.environ.get("FACULA_CPU") or llvm.get_host_cpu_name()
FEATURES = os.environ.get("FACULA_CPU_FEATURES") or llvm.get_host_cpu_features().flatten()
VERSION = f"{__version__} {llvmlite.__version__} {'.'.join(map(str, llvm.llvm_version_info))}"
OVERHEAD = 64 << 10  # bytes that a module takes besides its code: pages, tables of symbols
_libraries: weakref.WeakSet[Library] = weakref.WeakSet()
# What LLVM made for each library, by its number. It is out of reach of the garbage collector, which
# would close it in whatever thread and order it comes by.
_made: dict[int, tuple[Any, ...]] = {}
_unused: list[int] = []  # the numbers of libraries that nobody has any more
_numbers = itertools.count()

for _name in ("m", "c"):
    _path = ctypes.util.find_library(_name)
    if _path:
        llvm.load_library_permanently(_path)


def vector_width() -> int:
    """Lanes of float32 in the widest vector that is worth using."""
    if "+avx512f" in FEATURES:
        return 16
    if "+avx2" in FEATURES:
        return 8
    return 4


@lru_cache(1)
def has_fma() -> bool:
    """Whether a product and a sum are one instruction, rounded once."""
    return "x86" not in TRIPLE or "+fma" in FEATURES.split(",")


@lru_cache(1)
def has_avx512() -> bool:
    """Whether vectors of 64 bytes are scaled and classified in one instruction."""
    return "x86" in TRIPLE and {"+avx512f", "+avx512dq"} <= set(FEATURES.split(","))


# Options of LLVM while it writes kernels. Their loops are finished: reducing them again takes a
# third of the time, and what comes out runs as fast without. LLVM has its options once for a
# process, and another user of llvmlite may want the usual ones.
_OPTIONS = ("-disable-lsr",) if "x86" in TRIPLE else ()


@contextmanager
def _options() -> Iterator[None]:
    """LLVM's options as they are for kernels, inside."""
    with COMPILING:
        for o in _OPTIONS:
            llvm.set_option("facula", o)
        try:
            yield
        finally:
            for o in _OPTIONS:
                llvm.set_option("facula", o + "=false")


def _machine() -> Any:
    return _target.create_target_machine(
        cpu=CPU, features=FEATURES, opt=3, reloc="pic", codemodel="small", jit=True
    )


class Library:
    """The functions of one module: native code that is there as long as this object is.

    Each has an engine of its own, since LLVM forgets a library only with its engine. It is taken
    down before the next library is made and not when this object goes, because that may be in the
    middle of anything, and llvmlite may be at work in another thread.
    """

    __slots__ = ("__weakref__", "_number", "addresses", "size")

    def __init__(self, payload: bytes, names: list[str], size: int) -> None:
        self._number = next(_numbers)
        # By the linker that lays a module out in one piece: the other one puts code and constants
        # where it finds room, and aborts where that is more than 2 GB apart.
        engine = llvm.create_lljit_compiler(_machine(), use_jit_link=sys.platform != "win32")
        builder = llvm.JITLibraryBuilder().add_object_img(payload).add_current_process()
        for n in names:
            builder.export_symbol(n)
        tracker = builder.link(engine, "kernels")
        self.addresses = {n: tracker[n] for n in names}
        self.size = size
        _made[self._number] = tracker, engine
        _libraries.add(self)

    def __del__(self, unused: list[int] = _unused) -> None:
        unused.append(getattr(self, "_number", -1))  # a signal may have come before it had one


def held() -> int:
    """About how many bytes native code takes that somebody has."""
    with COMPILING:
        return sum([x.size for x in _libraries])


def release() -> None:
    """Give back the memory of native code that nobody has any more."""
    while _unused:
        for part in _made.pop(_unused.pop(), ()):
            part.close()


def compile_functions(text: str, names: list[str]) -> Library:
    """Compile a module, or find it in the cache on disk."""
    return compile_modules([(text, names)])[0]


def compile_modules(modules: list[tuple[str, list[str]]]) -> list[Library]:
    """Compile modules side by side, with as many threads as programs have; or find them on disk."""
    with COMPILING:
        release()
        keys = [cache.key(VERSION, TRIPLE, CPU, FEATURES, text) for text, _ in modules]
        payloads = [cache.load(k) for k in keys]
        missing = [i for i, payload in enumerate(payloads) if payload is None]
        made = dict(zip(missing, _objects([modules[i][0] for i in missing])))
        libraries = []
        for i, (text, names) in enumerate(modules):
            payload = payloads[i]
            if payload is None:
                payload = made[i]
                cache.store(keys[i], payload)
            libraries.append(Library(payload, names, OVERHEAD + len(payload) + len(text)))
        return libraries


def _objects(texts: list[str]) -> list[bytes]:
    """The machine code of modules, written by all threads. Where one fails, or an interrupt comes,
    the others end with what they are at."""
    from facula.cpu.runtime import get_num_threads

    if not texts:
        return []
    found: dict[int, bytes] = {}
    todo = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # the longest is taken first
    errors: list[BaseException] = []

    def work() -> None:
        try:
            while not errors:
                try:
                    i = todo.pop()
                except IndexError:
                    return
                found[i] = _object(texts[i])
        except BaseException as error:
            errors.append(error)

    others = [
        threading.Thread(target=work, name="facula compiler")
        for _ in range(min(get_num_threads(), len(texts)) - 1)
    ]
    with _options():
        try:
            for t in others:
                t.start()
        except RuntimeError:  # there are no more threads to be had
            pass
        except BaseException as error:
            errors.append(error)
        work()
        for t in others:
            while t.is_alive():
                try:
                    t.join()
                except BaseException as error:  # another interrupt: LLVM is not to be left alone
                    errors.append(error)
    if errors:
        raise errors[0]
    return [found[i] for i in range(len(texts))]


def _object(text: str) -> bytes:
    """The machine code of a module. What takes long is done outside of llvmlite's lock, which is
    there because its objects may share a context: this one's has one of its own."""
    context = llvm.create_context()
    try:
        module = llvm.parse_assembly(f'target triple = "{TRIPLE}"\n{text}', context)
        with module, ffi.OutputString() as error:
            buffer = _write(_machine(), module, 1, error)
            if not buffer:
                raise RuntimeError(str(error))
        try:
            return ctypes.string_at(
                ffi.lib.LLVMPY_GetBufferStart(buffer), ffi.lib.LLVMPY_GetBufferSize(buffer)
            )
        finally:
            ffi.lib.LLVMPY_DisposeMemoryBuffer(buffer)
    finally:
        context.close()


_write = ffi.lib.LLVMPY_TargetMachineEmitToMemory
_write = getattr(_write, "_cfn", _write)  # without the lock


def assembly(text: str) -> str:
    """The machine code of a module, to read."""
    module = llvm.parse_assembly(f'target triple = "{TRIPLE}"\n{text}')
    machine = _target.create_target_machine(cpu=CPU, features=FEATURES, opt=3)
    with _options():
        return machine.emit_assembly(module)
