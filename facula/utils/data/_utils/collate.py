"""Making one batch out of several samples.

Source: https://pytorch.org/docs/stable/data.html#torch.utils.data.default_collate
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

import facula
from facula import Tensor

__all__ = ["collate", "default_collate", "default_collate_fn_map", "default_convert"]

np_str_obj_array_pattern = re.compile(r"[SaUO]")  # by which libraries know arrays of text
default_collate_err_msg_format = (
    "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"
)


def _is_namedtuple(value: object) -> bool:
    return isinstance(value, tuple) and hasattr(value, "_fields")


def _like(original: Any, values: Any) -> Any:
    """A container of `original`'s type with other values; a plain one if the type refuses."""
    mapping = isinstance(original, Mapping)
    try:
        if isinstance(original, MutableMapping):
            clone = copy.copy(original)  # keeps what the constructor would want to be told
            clone.update(values)
            return clone
        if isinstance(original, MutableSequence):
            row = copy.copy(original)
            for i, value in enumerate(values):
                row[i] = value
            return row
        if isinstance(original, range):
            return list(values)
        return type(original)(values)  # type: ignore[call-arg]
    except TypeError:
        return dict(values) if mapping else list(values)


def default_convert(data: Any) -> Any:
    """The data with its NumPy arrays and scalars as tensors, inside containers as well.

    This is what a loader does with samples when it makes no batches. Other types stay as they
    are, and so do arrays of text.
    """
    if isinstance(data, Tensor):
        return data
    if isinstance(data, (np.ndarray, np.generic)):
        if data.dtype.kind in "SUO":
            return data
        return facula.as_tensor(data)  # type: ignore[attr-defined]
    if isinstance(data, Mapping):
        return _like(data, {key: default_convert(value) for key, value in data.items()})
    if _is_namedtuple(data):
        return type(data)(*[default_convert(value) for value in data])
    if isinstance(data, tuple):
        return [default_convert(value) for value in data]
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _like(data, [default_convert(value) for value in data])
    return data


Collators = dict[Any, Callable[..., Any]]


def collate(batch: Any, *, collate_fn_map: Collators | None = None) -> Any:
    """One batch of the samples in `batch`, by the type of the first.

    `collate_fn_map` says what to do with which types (or tuples of types): functions of the
    samples, which get the map as `collate_fn_map`. Mappings and sequences that it does not name
    are taken apart. Raises TypeError for a type that is neither, RuntimeError for sequences of
    different lengths.
    """
    first = batch[0]
    kind = type(first)
    if collate_fn_map is not None:
        function = collate_fn_map.get(kind)
        if function is None:
            for types, candidate in collate_fn_map.items():
                if isinstance(first, types):
                    function = candidate
                    break
        if function is not None:
            return function(batch, collate_fn_map=collate_fn_map)

    def column(values: Any) -> Any:
        return collate(values, collate_fn_map=collate_fn_map)

    if isinstance(first, Mapping):
        return _like(first, {key: column([sample[key] for sample in batch]) for key in first})
    if _is_namedtuple(first):
        return kind(*[column(values) for values in zip(*batch)])
    if isinstance(first, Sequence):
        length = len(first)
        for i, sample in enumerate(batch):
            if len(sample) != length:
                raise RuntimeError(
                    "each element in list of batch should be of equal size, but sample 0 has "
                    f"{length} elements and sample {i} has {len(sample)}"
                )
        columns = [column(values) for values in zip(*batch)]
        return columns if isinstance(first, tuple) else _like(first, columns)
    raise TypeError(default_collate_err_msg_format.format(kind))


def collate_tensor_fn(batch: Any, *, collate_fn_map: Collators | None = None) -> Tensor:
    """Tensors of one shape, stacked along a new first dimension."""
    return facula.stack(batch)  # type: ignore[attr-defined]


def collate_numpy_array_fn(batch: Any, *, collate_fn_map: Collators | None = None) -> Tensor:
    """Arrays of one shape, stacked; TypeError for arrays of text or objects."""
    if batch[0].dtype.kind in "SUO":
        raise TypeError(default_collate_err_msg_format.format(batch[0].dtype))
    return facula.stack([facula.as_tensor(array) for array in batch])  # type: ignore[attr-defined]


def collate_numpy_scalar_fn(batch: Any, *, collate_fn_map: Collators | None = None) -> Tensor:
    """NumPy numbers as a row of their own dtype."""
    return facula.as_tensor(np.asarray(batch))  # type: ignore[attr-defined]


def collate_float_fn(batch: Any, *, collate_fn_map: Collators | None = None) -> Tensor:
    """Python floats as a row of float64."""
    return facula.as_tensor(batch, dtype=facula.float64)  # type: ignore[attr-defined]


def collate_int_fn(batch: Any, *, collate_fn_map: Collators | None = None) -> Tensor:
    """Python ints or bools as a row."""
    return facula.as_tensor(batch)  # type: ignore[attr-defined]


def collate_str_fn(batch: Any, *, collate_fn_map: Collators | None = None) -> Any:
    """Text stays what it was in: a list, or a tuple where it was a part of each sample."""
    return batch


default_collate_fn_map: Collators = {
    Tensor: collate_tensor_fn,
    np.ndarray: collate_numpy_array_fn,
    (np.bool_, np.number, np.object_): collate_numpy_scalar_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}


def default_collate(batch: Any) -> Any:
    """One batch of samples: tensors, arrays and numbers stacked, containers kept, text listed.

    ``[(x0, 3), (x1, 4)]`` becomes ``[stack([x0, x1]), tensor([3, 4])]``. Python floats become
    float64. Errors as in `collate`.
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)
