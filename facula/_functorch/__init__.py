"""PyTorch's private place of what `torch.func` is made of; libraries ask it for parts of `vmap`."""

from __future__ import annotations

import importlib
import sys

from facula._functorch import config
from facula.errors import honest

vmap = importlib.import_module("facula.func.vmap")  # the module, not the function
sys.modules[f"{__name__}.vmap"] = vmap
__all__ = ["config", "vmap"]
__getattr__ = honest(__name__)
