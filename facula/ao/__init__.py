"""Quantised networks: not in Facula; the names that other libraries import refuse to be used."""

from __future__ import annotations

import importlib
from typing import Any

from facula.errors import honest

_missing = honest(__name__)


def __getattr__(name: str) -> Any:
    if name == "quantization":
        return importlib.import_module(f"{__name__}.{name}")
    return _missing(name)
