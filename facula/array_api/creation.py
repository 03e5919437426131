"""Functions of the standard that make arrays."""

from __future__ import annotations

import math
from typing import Any

import facula as torch
from facula.array_api.array import Array, lift, standard
from facula.array_api.dtypes import promote
from facula.devices import check
from facula.dtypes import get_default_dtype
from facula.tensor import Tensor


def _shape(shape: Any) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)


def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: Any = None) -> Any:
    """An array of an array, a buffer, a number or nested sequences of numbers."""
    check(device)
    if isinstance(obj, Tensor):
        same = dtype is None or obj.dtype is dtype
        if copy is False and not same:
            raise ValueError(f"asarray(): {obj.dtype} can't become {dtype} without a copy")
        if same and not copy:
            return obj if isinstance(obj, Array) else obj.as_subclass(Array)
        return lift(obj.clone() if same else obj.to(dtype))
    if copy is False and not hasattr(obj, "__dlpack__"):
        try:
            memoryview(obj)
        except TypeError:
            raise ValueError(
                f"asarray(): a {type(obj).__name__} can't become an array without a copy"
            ) from None
    if isinstance(obj, int) and obj > torch.iinfo(torch.int64).max and dtype is None:
        dtype = torch.uint64
    return lift(torch.asarray(obj, dtype=dtype, copy=copy))


def from_dlpack(x: Any, /, *, device: Any = None, copy: Any = None) -> Any:
    """An array over the memory of another library's, or a copy of it."""
    check(device)
    out = torch.from_dlpack(x)
    if out is x:
        return out.clone() if copy else out.as_subclass(Array)
    return lift(out.clone() if copy else out)


@standard
def arange(
    start: Any, /, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None
) -> Any:
    """Evenly spaced numbers from start up to stop, without it."""
    check(device)
    if stop is None:
        start, stop = 0, start
    whole = all([isinstance(x, int) for x in (start, stop, step)])
    dtype = dtype or (torch.int64 if whole else get_default_dtype())
    count = -((start - stop) // step) if whole else math.ceil((stop - start) / step)
    if count <= 0:
        return torch.empty(0, dtype=dtype)
    if whole and dtype.category < 2:
        return torch.asarray(range(start, stop, step), dtype=dtype)
    return torch.arange(start, stop, step, dtype=dtype)


@standard
def empty(shape: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """An array whose values do not matter."""
    return torch.empty(_shape(shape), dtype=dtype, device=device)


@standard
def empty_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """An array of the same shape whose values do not matter."""
    return torch.empty(x.shape, dtype=dtype or x.dtype, device=device)


@standard
def eye(
    n_rows: int, n_cols: Any = None, /, *, k: int = 0, dtype: Any = None, device: Any = None
) -> Any:
    """Ones on the k-th diagonal, zeros elsewhere."""
    check(device)
    cols = n_rows if n_cols is None else n_cols
    if not -n_rows < k < cols:
        return torch.zeros(n_rows, cols, dtype=dtype)
    there = torch.arange(n_rows).reshape(-1, 1) + k == torch.arange(cols)
    return there.to(dtype or get_default_dtype())


@standard
def full(shape: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """An array of one value."""
    check(device)
    return torch.full(_shape(shape), fill_value, dtype=dtype or promote(fill_value))


@standard
def full_like(x: Any, /, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """An array of the same shape and one value."""
    check(device)
    return torch.full(x.shape, fill_value, dtype=dtype or x.dtype)


@standard
def linspace(
    start: Any,
    stop: Any,
    /,
    num: int,
    *,
    dtype: Any = None,
    device: Any = None,
    endpoint: bool = True,
) -> Any:
    """Evenly spaced numbers between two, with the second unless `endpoint` says otherwise."""
    check(device)
    if dtype is None:
        dtype = get_default_dtype()
        if isinstance(start, complex) or isinstance(stop, complex):
            dtype = dtype.to_complex()
    if not endpoint:
        return torch.linspace(start, stop, num + 1, dtype=dtype)[:num]
    return torch.linspace(start, stop, num, dtype=dtype)


def meshgrid(*arrays: Any, indexing: str = "xy") -> Any:
    """Coordinates of all points of a grid."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid(): indexing is 'xy' or 'ij', not {indexing!r}")
    return tuple([lift(t) for t in torch.meshgrid(*arrays, indexing=indexing)]) if arrays else ()


@standard
def ones(shape: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """An array of ones."""
    return torch.ones(_shape(shape), dtype=dtype, device=device)


@standard
def ones_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """Ones in the same shape."""
    return torch.ones(x.shape, dtype=dtype or x.dtype, device=device)


@standard
def tril(x: Any, /, *, k: int = 0) -> Any:
    """The matrices with zeros above the k-th diagonal."""
    return torch.tril(x, k)


@standard
def triu(x: Any, /, *, k: int = 0) -> Any:
    """The matrices with zeros below the k-th diagonal."""
    return torch.triu(x, k)


@standard
def zeros(shape: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """An array of zeros."""
    return torch.zeros(_shape(shape), dtype=dtype, device=device)


@standard
def zeros_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """Zeros in the same shape."""
    return torch.zeros(x.shape, dtype=dtype or x.dtype, device=device)
