"""The old name of `torch.ao.quantization`."""

from __future__ import annotations

from typing import Any

from facula.ao import quantization as _new


def __getattr__(name: str) -> Any:
    return getattr(_new, name)


def __dir__() -> list[str]:
    return dir(_new)
