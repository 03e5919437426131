"""What libraries ask of PyTorch's compiled part of `nn`."""

from __future__ import annotations

from typing import Any

from facula.errors import honest


def _parse_to(*args: Any, **kwargs: Any) -> tuple[Any, Any, bool, Any]:
    """The device, dtype, non_blocking and memory_format that a call of `to` asks for."""
    from facula.nn.modules.module import _parse_to

    return _parse_to(args, kwargs)


__getattr__ = honest(__name__)
