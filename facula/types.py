"""Types for annotations, as PyTorch names them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, TypeAlias

from facula import Size, Tensor, device, dtype, layout
from facula.errors import honest

_TensorOrTensors: TypeAlias = Tensor | Sequence[Tensor]
_dtype = dtype
_device = device
_layout = layout
_size: TypeAlias = Size | list[int] | tuple[int, ...]
_int, _float, _bool, _complex = int, float, bool, complex
Number: TypeAlias = int | float | bool
_Number = (int, float, bool)
FileLike: TypeAlias = str | os.PathLike[str] | Any
Device: TypeAlias = device | str | int | None
Storage: TypeAlias = Any
__getattr__ = honest(__name__)
