"""What libraries ask about subclasses of tensors and modes that see every operation."""

from __future__ import annotations

from typing import Any

from facula.errors import honest, refuse
from facula.tensor import Tensor


class TorchDispatchMode:
    """A context that sees the operations below autograd: it can be derived from, not entered."""

    def __enter__(self) -> Any:
        refuse(
            "torch.utils._python_dispatch.TorchDispatchMode",
            "operations are recorded, not dispatched one by one; torch.overrides.TorchFunctionMode "
            "sees the calls",
        )

    def __exit__(self, *error: Any) -> None:
        """Never reached."""


def is_traceable_wrapper_subclass(t: Any) -> bool:
    """Whether this is a tensor made of others which it can be taken apart into."""
    if not isinstance(t, Tensor) or type(t) is Tensor:
        return False
    return hasattr(t, "__tensor_flatten__") and hasattr(t, "__tensor_unflatten__")


__getattr__ = honest(__name__)
