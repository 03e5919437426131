"""Helpers around the framework; `data` loads batches, the rest is small.

Source: https://pytorch.org/docs/stable/utils.html
"""

from __future__ import annotations

import importlib
from typing import Any

_SUBMODULES = (
    "_contextlib",
    "_pytree",
    "backcompat",
    "benchmark",
    "checkpoint",
    "collect_env",
    "cpp_extension",
    "data",
    "dlpack",
    "deterministic",
    "flop_counter",
    "hooks",
    "mobile_optimizer",
    "model_zoo",
    "module_tracker",
    "tensorboard",
    "weak",
)


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        full = f"{__name__}.{name}"
        try:
            return importlib.import_module(full)
        except ModuleNotFoundError as err:
            if err.name != full:
                raise
    if name == "swap_tensors":
        from facula.utils.swapping import swap_tensors

        return swap_tensors
    from facula.errors import missing_name

    raise missing_name(__name__, name)
