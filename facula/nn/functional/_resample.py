"""Weights of resampling filters."""

from __future__ import annotations

import math
from typing import Any


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
