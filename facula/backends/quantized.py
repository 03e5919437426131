"""Engines for quantized tensors: there are none, as Facula has no such tensors."""

from __future__ import annotations

from facula.errors import honest

engine = "none"
supported_engines = ["none"]

__getattr__ = honest(__name__)
