"""Export to ONNX: not in Facula, and it says so.

Source: https://pytorch.org/docs/stable/onnx.html
"""

from __future__ import annotations

from typing import Any, NoReturn

from facula.errors import honest, refuse


def export(*args: Any, **kwargs: Any) -> NoReturn:
    """NotImplementedError: programs can't be exported to ONNX."""
    refuse("torch.onnx.export", "export to ONNX is not in Facula")


dynamo_export = export


def register_custom_op_symbolic(*args: Any, **kwargs: Any) -> None:
    """Accepted, and not used: programs can't be exported."""


def is_in_onnx_export() -> bool:
    """Whether a program is being exported: never."""
    return False


__getattr__ = honest(__name__)
