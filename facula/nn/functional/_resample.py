"""Weights of resampling filters."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def cubic_weights(t: Any, a: float) -> list[Any]:
    """Weights of the four neighbours of a point at ``t`` between the second and the third.

    Keys 1981, https://doi.org/10.1109/TASSP.1981.1163711; ``a`` is its free parameter.
    """

    def near(x: Any) -> Any:  # |x| <= 1
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Any) -> Any:  # 1 < |x| < 2
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _triangle(x: float) -> float:
    return max(0.0, 1.0 - abs(x))


def _cubic(x: float) -> float:
    x, a = abs(x), -0.5
    if x < 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    if x < 2:
        return (((x - 5) * x + 8) * x - 4) * a
    return 0.0


def _lanczos(x: float) -> float:
    if not -3.0 < x < 3.0:
        return 0.0
    if x == 0.0:
        return 1.0
    return 3.0 * math.sin(math.pi * x) * math.sin(math.pi * x / 3.0) / (math.pi * x) ** 2


_FILTERS = {"bilinear": (_triangle, 1.0), "bicubic": (_cubic, 2.0), "lanczos": (_lanczos, 3.0)}


def antialias_matrix(
    old: int, new: int, scale: float, mode: str, antialias: bool
) -> list[list[float]]:
    """Rows of filter weights; when shrinking the filter is as much wider."""
    kernel, radius = _FILTERS[mode]
    stretch = max(scale, 1.0) if antialias else 1.0
    support = radius * stretch
    rows = []
    for i in range(new):
        centre = scale * (i + 0.5)
        start = max(int(centre - support + 0.5), 0)
        stop = min(int(centre + support + 0.5), old)
        weights = [kernel((j - centre + 0.5) / stretch) for j in range(start, stop)]
        total = sum(weights) or 1.0
        row = [0.0] * old
        row[start:stop] = [w / total for w in weights]
        rows.append(row)
    return rows


def neighbours_matrix(places: Any, old: int, mode: str) -> Any:
    """Rows of weights of the two or four neighbours of places, an array of float64.

    What would lie beyond an edge counts for the pixel there.
    """
    cubic = mode == "bicubic"
    places = places if cubic else places.clip(0)
    first = np.minimum(np.floor(places), old - 1)
    t = (places - first).clip(0, 1)
    taps = cubic_weights(t, -0.75) if cubic else [1 - t, t]
    rows = np.zeros((len(places), old))
    for k, weight in enumerate(taps):
        at = (first + (k - cubic)).clip(0, old - 1).astype(np.int64)
        np.add.at(rows, (np.arange(len(places)), at), weight)
    return rows


def fixed_point(weights: Any) -> tuple[Any, int]:
    """Weights as whole numbers below 2**15, and by how many bits they are shifted."""
    bits, most = 0, max(0.0, float(weights.max()))
    while bits < 22 and int(0.5 + most * 2 ** (bits + 1)) < 2**15:
        bits += 1
    scaled = weights * 2**bits
    return np.trunc(np.where(scaled < 0, scaled - 0.5, scaled + 0.5)), bits
