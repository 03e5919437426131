"""From LLVM IR text to addresses of native functions, through llvmlite.

llvmlite is imported here and nowhere else, at the first compilation.
"""

from __future__ import annotations

import ctypes.util
import os
import threading
import weakref
from typing import Any

import llvmlite
import llvmlite.binding as llvm

from facula.cpu import cache
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
_lock = threading.Lock()  # a set can't be read while another thread adds to it
_unused: list[Any] = []  # what is left of libraries that nobody has any more

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


def has_fma() -> bool:
    """Whether a product and a sum are one instruction, rounded once."""
    return "x86" not in TRIPLE or "+fma" in FEATURES.split(",")


def has_avx512() -> bool:
    """Whether vectors of 64 bytes are scaled and classified in one instruction."""
    return "x86" in TRIPLE and {"+avx512f", "+avx512dq"} <= set(FEATURES.split(","))


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

    __slots__ = ("__weakref__", "_parts", "addresses", "size")

    def __init__(self, payload: bytes, names: list[str], size: int) -> None:
        self._parts: tuple[Any, ...] = ()
        engine = llvm.create_lljit_compiler(_machine())
        builder = llvm.JITLibraryBuilder().add_object_img(payload).add_current_process()
        for n in names:
            builder.export_symbol(n)
        tracker = builder.link(engine, "kernels")
        self.addresses = {n: tracker[n] for n in names}
        self.size = size
        self._parts = tracker, engine
        with _lock:
            _libraries.add(self)

    def __del__(self, unused: list[Any] = _unused) -> None:
        unused.append(self._parts)


def held() -> int:
    """About how many bytes native code takes that somebody has."""
    with _lock:
        return sum([x.size for x in _libraries])


def release() -> None:
    """Give back the memory of native code that nobody has any more."""
    while _unused:
        for part in _unused.pop():
            part.close()


def compile_functions(text: str, names: list[str]) -> Library:
    """Compile a module, or find it in the cache on disk."""
    release()
    name = cache.key(VERSION, TRIPLE, CPU, FEATURES, text)
    payload = cache.load(name)
    if payload is None:
        module = llvm.parse_assembly(f'target triple = "{TRIPLE}"\n{text}')
        payload = _machine().emit_object(module)
        cache.store(name, payload)
    return Library(payload, names, OVERHEAD + len(payload) + len(text))


def assembly(text: str) -> str:
    """The machine code of a module, to read."""
    module = llvm.parse_assembly(f'target triple = "{TRIPLE}"\n{text}')
    machine = _target.create_target_machine(cpu=CPU, features=FEATURES, opt=3)
    return machine.emit_assembly(module)
