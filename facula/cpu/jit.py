"""From LLVM IR text to addresses of native functions, through llvmlite.

llvmlite is imported here and nowhere else, at the first compilation.
"""

from __future__ import annotations

import ctypes.util
import os
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
_jit: Any = None
_libraries: list[Any] = []  # native code lives as long as the process
_serial = 0

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


def compile_functions(text: str, names: list[str]) -> dict[str, int]:
    """Compile a module, or find it in the cache on disk; the addresses of its functions."""
    global _jit, _serial
    name = cache.key(VERSION, TRIPLE, CPU, FEATURES, text)
    if _jit is None:
        _jit = llvm.create_lljit_compiler(_machine())
    payload = cache.load(name)
    if payload is None:
        module = llvm.parse_assembly(f'target triple = "{TRIPLE}"\n{text}')
        payload = _machine().emit_object(module)
        cache.store(name, payload)
    _serial += 1
    builder = llvm.JITLibraryBuilder().add_object_img(payload).add_current_process()
    for n in names:
        builder.export_symbol(n)
    library = builder.link(_jit, f"m{_serial}")
    _libraries.append(library)
    return {n: library[n] for n in names}


def assembly(text: str) -> str:
    """The machine code of a module, to read."""
    module = llvm.parse_assembly(f'target triple = "{TRIPLE}"\n{text}')
    machine = _target.create_target_machine(cpu=CPU, features=FEATURES, opt=3)
    return machine.emit_assembly(module)
