"""The arrays of the standard: tensors whose operators follow its rules of promotion.

PyTorch lets a 0-d tensor give way to one with dimensions, does not mix unsigned and signed integers
above 8 bits, and refuses slices that run backwards. The standard wants the opposite in each case,
and `size` as a number. Everything else about an `Array` is as in a `Tensor`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from facula.array_api.dtypes import promote
from facula.dtypes import bool as bool_
from facula.ops import table
from facula.ops.pointwise import cast
from facula.tensor import Tensor
from facula.values import from_array

SCALARS = (bool, int, float, complex)


class Count(int):
    """The number of elements, which can be called as PyTorch's `size()` too."""

    tensor: Any

    def __call__(self, dim: int | None = None) -> Any:
        return Tensor.size(self.tensor, dim)


class Array(Tensor):
    """A tensor whose operators follow the Python array API standard.

    Source: https://data-apis.org/array-api/latest/API_specification/array_object.html
    """

    @property
    def size(self) -> Any:  # type: ignore[override]
        """The number of elements."""
        n = Count(self.numel())
        n.tensor = self
        return n

    @property
    def T(self) -> Any:
        """The transpose of a matrix."""
        if self.ndim != 2:
            raise ValueError(f"T: a two-dimensional array is needed, got shape {tuple(self.shape)}")
        return lift(self.transpose(0, 1))

    @property
    def mT(self) -> Any:
        """Each matrix of a stack, transposed."""
        if self.ndim < 2:
            raise ValueError(f"mT: at least two dimensions are needed, got {tuple(self.shape)}")
        return lift(self.transpose(-2, -1))

    def __getitem__(self, key: Any) -> Any:
        key, back = forwards(key, self)
        if isinstance(key, Tensor) and key.dtype is bool_ and 0 in key.shape:
            key = _nothing(key, self)
        got = Tensor.__getitem__(self, key)
        return lift(got.flip(back) if back else got)

    def __setitem__(self, key: Any, value: Any) -> None:
        key, back = forwards(key, self)
        if back and isinstance(value, Tensor):
            rank = Tensor.__getitem__(self, key).ndim
            value = value.flip([d - rank for d in back if rank - d <= value.ndim])
        Tensor.__setitem__(self, key, value)


table.PLAIN.add(Array)


def lift(value: Any, inputs: tuple[Any, ...] = ()) -> Any:
    """A result as arrays: tensors that were just made change their class, inputs are aliased."""
    if type(value) is Tensor:
        if any([value is x for x in inputs]):
            return value.as_subclass(Array)
        value.__class__ = Array
    elif isinstance(value, (tuple, list)):
        parts = [lift(x, inputs) for x in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value


def standard(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function of the standard: what it returns are arrays."""

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        return lift(f(*args, **kwargs), args)

    return call


def common(*values: Any) -> list[Any]:
    """Arrays and Python numbers as tensors of one dtype, by the standard's rules."""
    arrays = [x for x in values if isinstance(x, Tensor)]
    if not arrays:
        raise TypeError(f"expected at least one array, got {values}")
    d = promote(*values)
    return [
        cast(x, d) if isinstance(x, Tensor) else from_array(np.asarray(x, d.np)) for x in values
    ]


def _nothing(mask: Any, x: Any) -> Any:
    """A mask without elements, which the standard allows, as one of the array's shape."""
    for i, (n, want) in enumerate(zip(mask.shape, x.shape, strict=False)):
        if n not in (0, want):
            raise IndexError(
                f"index: dimension {i} of a mask of shape {tuple(mask.shape)} does not fit an "
                f"array of shape {tuple(x.shape)}"
            )
    return from_array(np.zeros(tuple(x.shape[: mask.ndim]), np.bool_))


def forwards(key: Any, x: Any) -> tuple[Any, list[int]]:
    """An index with its slices running forwards, and the result's dimensions to be flipped."""
    keys = key if isinstance(key, tuple) else (key,)
    if not any([isinstance(k, slice) and k.step is not None and k.step < 0 for k in keys]):
        return key, []
    if any([isinstance(k, Tensor) for k in keys]):
        raise NotImplementedError("index: slices that run backwards together with arrays")
    taken = sum([k is not None and k is not Ellipsis for k in keys])
    out: list[Any] = []
    back: list[int] = []
    source = place = 0  # the dimension indexed, and the result's
    for k in keys:
        out.append(k)
        if k is None:
            place += 1
        elif k is Ellipsis:
            source += x.ndim - taken
            place += x.ndim - taken
        elif isinstance(k, slice):
            if k.step is not None and k.step < 0:
                steps = range(*k.indices(x.shape[source]))
                ahead = steps[::-1]
                out[-1] = slice(ahead.start, ahead.stop, ahead.step) if steps else slice(0, 0)
                back.append(place)
            source += 1
            place += 1
        else:
            source += 1
    return tuple(out), back
