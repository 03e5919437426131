"""The settings of PyTorch's compiler of graphs: they can be written and read, and steer nothing."""

from __future__ import annotations

import importlib
from typing import Any

from facula.errors import honest

_missing = honest(__name__)


def __getattr__(name: str) -> Any:
    if name == "config":
        return importlib.import_module("facula._inductor.config")
    return _missing(name)
