"""The processor."""

from __future__ import annotations

from facula.errors import honest
from facula.trace.flight import COMPILING


def get_cpu_capability() -> str:
    """The widest vectors that the processor has: 'AVX512', 'AVX2', or 'DEFAULT'."""
    with COMPILING:
        import llvmlite.binding as llvm

        features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        return "AVX512"
    return "AVX2" if features.get("avx2") else "DEFAULT"


__getattr__ = honest(__name__)
