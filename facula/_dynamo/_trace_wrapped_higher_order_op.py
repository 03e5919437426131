"""A mode that lets PyTorch's tracer index with tensors: of no effect, Python runs as it is."""

from __future__ import annotations

import contextlib

from facula.errors import honest


class TransformGetItemToIndex(contextlib.nullcontext[None]):
    """Accepted as a context manager, with no effect."""


__getattr__ = honest(__name__)
