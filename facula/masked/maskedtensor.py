"""PyTorch's prototype of a tensor with a mask: it can be asked for, and not made."""

from __future__ import annotations

from typing import Any

from facula.errors import honest, refuse
from facula.tensor import Tensor

__all__ = ["MaskedTensor", "as_masked_tensor", "is_masked_tensor", "masked_tensor"]


class MaskedTensor(Tensor):
    """What programs ask whether they were given; NotImplementedError: none can be made."""

    def __new__(cls, *args: Any, **kwargs: Any) -> MaskedTensor:
        """NotImplementedError."""
        refuse("torch.masked.MaskedTensor", "the functions of torch.masked take a mask instead")


def is_masked_tensor(a: Any) -> bool:
    """False, as there are none."""
    return isinstance(a, MaskedTensor)


def masked_tensor(data: Any, mask: Any, requires_grad: bool = False) -> MaskedTensor:
    """NotImplementedError: see MaskedTensor."""
    return MaskedTensor(data, mask, requires_grad)


as_masked_tensor = masked_tensor
__getattr__ = honest(__name__)
