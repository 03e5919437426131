"""Fake tensors, of which libraries ask whether one is there.

Source: https://docs.pytorch.org/docs/stable/torch.compiler_fake_tensor.html
"""

from __future__ import annotations

import contextlib
from typing import Any

from facula.errors import honest, refuse

__all__ = ["FakeTensor", "FakeTensorMode", "is_fake", "unset_fake_temporarily"]
_WHY = "fake tensors are not in Facula; device='meta' gives tensors without values"


class FakeTensor:
    """A tensor without values in a traced program: no tensor is one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        refuse("torch._subclasses.FakeTensor", _WHY)


class FakeTensorMode:
    """A block that makes them: it can't be entered."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        refuse("torch._subclasses.FakeTensorMode", _WHY)


def is_fake(x: Any) -> bool:
    """Whether it is a fake tensor: no."""
    return False


def unset_fake_temporarily() -> contextlib.AbstractContextManager[None]:
    """A block without the mode that makes them, which is never on; gives None, the mode."""
    return contextlib.nullcontext()


__getattr__ = honest(__name__)
