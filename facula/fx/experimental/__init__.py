"""What libraries ask of PyTorch's tracers: no tracer is at work here."""

from __future__ import annotations

from facula.errors import honest

__getattr__ = honest(__name__)
