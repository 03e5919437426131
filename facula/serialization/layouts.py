"""Sparse tensors in checkpoints: their parts, each a tensor of its own.

PyTorch writes `_rebuild_sparse_tensor(layout, parts)`, with the layout by its name. What a file
says of positions is checked: an element outside of the tensor would be read from elsewhere.
"""

from __future__ import annotations

import math
from pickle import UnpicklingError
from typing import Any

import facula
from facula import Tensor

_COO = "torch.sparse_coo"
_COMPRESSED = {
    "torch.sparse_csr": ("crow_indices", "col_indices"),
    "torch.sparse_csc": ("ccol_indices", "row_indices"),
}


def layout_of(name: Any) -> Any:
    """A layout by its name."""
    known = {"torch.strided": facula.strided, _COO: facula.sparse_coo}
    known |= {n: getattr(facula, n[6:]) for n in _COMPRESSED}
    if type(name) is not str or name not in known:
        raise UnpicklingError(f"{str(name)[:40]!r} is no layout that is read from checkpoints")
    return known[name]


def parts_of(t: Any) -> tuple[str, tuple[Any, ...]]:
    """The name of a sparse tensor's layout, and what it is made of again."""
    name = str(t.layout)
    if name == _COO:
        return name, (t._indices(), t._values().detach(), t.shape, t.is_coalesced())
    if name not in _COMPRESSED:
        raise NotImplementedError(f"save: tensors of layout {name} are not in Facula")
    compressed, plain = [getattr(t, n)() for n in _COMPRESSED[name]]
    return name, (compressed, plain, t.values().detach(), t.shape)


def rebuild(layout: Any, data: Any) -> Any:
    """A sparse tensor of its parts; UnpicklingError where they are none."""
    if type(data) is not tuple or str(layout) not in (_COO, *_COMPRESSED):
        raise UnpicklingError("a sparse tensor is made from a layout and a tuple of parts")
    count = 2 if str(layout) == _COO else 3
    tensors, rest = data[:count], data[count:]
    if not all([isinstance(t, Tensor) and not t.is_meta for t in tensors]) or not rest:
        raise UnpicklingError("the parts of a sparse tensor are no tensors")
    size = tuple(rest[0])
    tensors = tuple([t.detach() for t in tensors])
    if count == 3:
        return facula.sparse_compressed_tensor(*tensors, size, layout=layout, check_invariants=True)
    indices, values = tensors
    made = facula.sparse_coo_tensor(indices, values, size, check_invariants=True)
    if rest[1:] == (True,) and _in_order(indices, size):
        return facula.sparse_coo_tensor(indices, values, size, is_coalesced=True)
    return made


def _in_order(indices: Any, size: tuple[int, ...]) -> bool:
    """Whether positions come one after the other, none of them twice."""
    if math.prod(size) >= 2**62:
        return False
    place = indices.new_zeros(indices.shape[1])
    for n, row in zip(size, indices):
        place = place * n + row
    return bool((place[1:] > place[:-1]).all())
