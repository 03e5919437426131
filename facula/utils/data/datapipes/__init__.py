"""Pipes of data: datasets that are chained by methods, `pipe.map(f).shuffle().batch(8)`.

PyTorch keeps them for programs that have them; datasets and loaders are the way to go.

Source: https://docs.pytorch.org/docs/2.2/data.html
"""

from __future__ import annotations

from facula.errors import honest
from facula.utils.data.datapipes import datapipe, iter, map

__all__ = ["datapipe", "iter", "map"]

__getattr__ = honest(__name__)
