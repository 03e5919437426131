"""From LLVM IR text to addresses of native functions, through llvmlite.

llvmlite is imported here and nowhere else, at the first compilation.
"""

from __future__ import annotations

import ctypes.util
import os
from typing import Any

import llvmlite.binding as llvm

llvm.initialize_native_target()
llvm.initialize_native_asmprinter()
TRIPLE = llvm.get_process_triple()
_target = llvm.Target.from_triple(TRIPLE)
CPU = os.environ.get("FACULA_CPU") or llvm.get_host_cpu_name()
FEATURES = os.environ.get("FACULA_CPU_FEATURES") or llvm.get_host_cpu_features().flatten()
_engines: list[Any] = []  # native code lives as long as the process

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


def compile_functions(text: str, names: list[str]) -> dict[str, int]:
    """Compile a module; the addresses of its functions."""
    module = llvm.parse_assembly(f'target triple = "{TRIPLE}"\n{text}')
    machine = _target.create_target_machine(
        cpu=CPU, features=FEATURES, opt=3, reloc="default", codemodel="jitdefault", jit=True
    )
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    _engines.append(engine)
    return {n: engine.get_function_address(n) for n in names}


def assembly(text: str) -> str:
    """The machine code of a module, to read."""
    module = llvm.parse_assembly(f'target triple = "{TRIPLE}"\n{text}')
    machine = _target.create_target_machine(cpu=CPU, features=FEATURES, opt=3)
    return machine.emit_assembly(module)
