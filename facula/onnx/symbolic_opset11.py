"""ONNX's operators in version 11: none of them, programs can't be exported."""

from __future__ import annotations

from facula.errors import honest

__getattr__ = honest(__name__)
