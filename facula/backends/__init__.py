"""What PyTorch asks of the libraries below it, answered for Facula, which uses none of them.

Switches are remembered, so that a program reads what it wrote; none of them changes a result,
because every operation computes in the precision of its dtype and gives the same bits in each run.

Source: https://pytorch.org/docs/stable/backends.html
"""

from __future__ import annotations

import contextlib
import importlib
from typing import Any

from facula.errors import honest

_SUBMODULES = (
    "cpu",
    "cuda",
    "cudnn",
    "cusparselt",
    "mha",
    "mkl",
    "mkldnn",
    "mps",
    "nnpack",
    "openmp",
    "opt_einsum",
    "quantized",
)
__all__ = list(_SUBMODULES)
_missing = honest(__name__)


def __allow_nonbracketed_mutation() -> contextlib.AbstractContextManager[None]:
    """A block in which switches may be assigned to: they always may."""
    return contextlib.nullcontext()


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    return _missing(name)
