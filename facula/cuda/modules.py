"""Kernels by their texts: compiled together where several are new, each at most once a process."""

from __future__ import annotations

from typing import Any

from facula.cuda import driver, nvrtc
from facula.cuda.functions import prelude
from facula.cuda.lanes import PRELUDE

_kernels: dict[str, int] = {}


def module(texts: list[str]) -> tuple[str, list[str]]:
    """One module of several kernels, and their names in it."""
    names = [f"k{i}" for i in range(len(texts))]
    parts = [t.replace(" NAME(", f" {n}(", 1) for t, n in zip(texts, names, strict=True)]
    return PRELUDE + prelude(texts) + "\n".join(parts), names


def load(texts: list[str]) -> dict[str, int]:
    """The kernels of these texts."""
    fresh = [t for t in dict.fromkeys(texts) if t not in _kernels]
    if fresh:
        device: Any = driver.get()
        text, names = module(fresh)
        arch = f"sm_{device.attribute('major')}{device.attribute('minor')}"
        cubin = nvrtc.compiled(text, arch, device.version())
        found = device.load(cubin, names)
        for t, n in zip(fresh, names, strict=True):
            _kernels[t] = found[n]
    return _kernels


__all__ = ["load", "module"]
