"""Kernels by their texts: compiled where they are new, some together and modules side by side."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from facula.cpu.runtime import get_num_threads
from facula.cuda import driver, nvrtc
from facula.cuda.functions import prelude
from facula.cuda.lanes import PRELUDE

EACH = 6  # kernels of a module: one takes NVRTC 25 ms, and 17 ms for each kernel
_kernels: dict[str, int] = {}


def module(texts: list[str]) -> tuple[str, list[str]]:
    """One module of several kernels, and their names in it."""
    names = [f"k{i}" for i in range(len(texts))]
    parts = [t.replace(" NAME(", f" {n}(", 1) for t, n in zip(texts, names, strict=True)]
    return PRELUDE + prelude(texts) + "\n".join(parts), names


def load(texts: list[str]) -> dict[str, int]:
    """The kernels of these texts. Modules are compiled side by side: NVRTC needs no lock."""
    fresh = [t for t in dict.fromkeys(texts) if t not in _kernels]
    if not fresh:
        return _kernels
    device: Any = driver.get()
    arch, newest = f"sm_{device.attribute('major')}{device.attribute('minor')}", device.version()
    parts = [fresh[i : i + EACH] for i in range(0, len(fresh), EACH)]
    made = [module(p) for p in parts]

    def compiled(text: str) -> bytes:
        return nvrtc.compiled(text, arch, newest)

    with ThreadPoolExecutor(min(len(parts), get_num_threads())) as pool:
        cubins = list(pool.map(compiled, [text for text, _ in made]))
    for part, (_, names), cubin in zip(parts, made, cubins, strict=True):
        found = device.load(cubin, names)
        for t, n in zip(part, names, strict=True):
            _kernels[t] = found[n]
    return _kernels


__all__ = ["load", "module"]
