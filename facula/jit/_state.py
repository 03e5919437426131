"""Whether TorchScript is on, as libraries ask: by PyTorch's environment variable."""

from __future__ import annotations

import os

from facula.errors import honest


class EnabledProxy:
    """`enabled` says it; `torch.jit` itself leaves functions as they are."""

    def __init__(self) -> None:
        self.enabled = os.environ.get("PYTORCH_JIT", "1") != "0"

    def __bool__(self) -> bool:
        return self.enabled


_enabled = EnabledProxy()
__getattr__ = honest(__name__)
