"""How losses are reduced, under the private names that other losses import."""

from __future__ import annotations

import warnings

from facula.nn.functional._common import check_reduction


def get_enum(reduction: str) -> int:
    """The number that stands for "none", "mean" or "sum"."""
    check_reduction(reduction)
    return {"none": 0, "sum": 2}.get(reduction, 1)


def legacy_get_string(
    size_average: bool | None, reduce: bool | None, emit_warning: bool = True
) -> str:
    """The reduction that two arguments of old programs mean."""
    meant = "none" if reduce is False else "sum" if size_average is False else "mean"
    if emit_warning:
        warnings.warn(
            "size_average and reduce args will be deprecated, please use "
            f"reduction='{meant}' instead.",
            stacklevel=2,
        )
    return meant


def legacy_get_enum(
    size_average: bool | None, reduce: bool | None, emit_warning: bool = True
) -> int:
    """The number of that reduction."""
    return get_enum(legacy_get_string(size_average, reduce, emit_warning))
