"""`torch.functional`: operations on several tensors, by the module that PyTorch keeps them in.

The same functions are names of `facula` itself, which is where programs usually find them.
"""

from __future__ import annotations

import facula
from facula.errors import honest
from facula.nn import functional as F  # noqa: F401 - programs import it from here

_FUNCTIONS = (
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "block_diag",
    "broadcast_shapes",
    "broadcast_tensors",
    "cartesian_prod",
    "cdist",
    "chain_matmul",
    "einsum",
    "istft",
    "lu",
    "meshgrid",
    "norm",
    "pca_lowrank",
    "split",
    "stft",
    "svd_lowrank",
    "tensordot",
    "unique",
    "unique_consecutive",
    "unravel_index",
)
globals().update({name: getattr(facula, name) for name in _FUNCTIONS})
__all__ = [*_FUNCTIONS]  # noqa: PLE0604


__getattr__ = honest(__name__)
