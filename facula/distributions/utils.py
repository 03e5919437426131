"""What distributions share: broadcasting parameters, probabilities and their logarithms."""

from __future__ import annotations

from functools import update_wrapper
from typing import Any

import facula
from facula import Tensor
from facula.trace.spans import pure, run

__all__ = [
    "broadcast_all",
    "logits_to_probs",
    "clamp_probs",
    "probs_to_logits",
    "lazy_property",
    "tril_matrix_to_vec",
    "vec_to_tril_matrix",
]
euler_constant = 0.57721566490153286060


def is_number(value: Any) -> bool:
    """Whether a parameter is a Python number."""
    return isinstance(value, (int, float)) and not isinstance(value, Tensor)


def broadcast_all(*values: Any) -> tuple[Any, ...]:
    """Tensors and numbers as tensors of one shape; numbers take the tensors' dtype.

    ValueError for anything else.
    """
    if not all([isinstance(v, Tensor) or is_number(v) for v in values]):
        raise ValueError(
            "Input arguments must all be instances of Number, torch.Tensor or objects "
            "implementing __torch_function__."
        )
    like = next((v for v in values if isinstance(v, Tensor)), None)
    dtype = facula.get_default_dtype() if like is None else like.dtype
    where = None if like is None else like.device
    tensors = [
        v if isinstance(v, Tensor) else facula.as_tensor(v, dtype=dtype, device=where)
        for v in values
    ]
    return tuple(facula.broadcast_tensors(*tensors))


def standard_normal(shape: Any, dtype: Any, device: Any = None) -> Any:
    """Normal numbers of a shape and dtype."""
    return facula.normal(
        facula.zeros(shape, dtype=dtype, device=device),
        facula.ones(shape, dtype=dtype, device=device),
    )


_standard_normal = standard_normal  # PyTorch's name, which libraries import


def sum_rightmost(value: Any, dim: int) -> Any:
    """The sum over the last `dim` dimensions."""
    return value if dim == 0 else value.reshape((*value.shape[:-dim], -1)).sum(-1)


_sum_rightmost = sum_rightmost


def logits_to_probs(logits: Any, is_binary: bool = False) -> Any:
    """Probabilities from their log odds, or from logarithms of weights along the last dimension."""
    return facula.sigmoid(logits) if is_binary else facula.softmax(logits, dim=-1)


def clamp_probs(probs: Any) -> Any:
    """Probabilities strictly between 0 and 1."""
    eps = facula.finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def probs_to_logits(probs: Any, is_binary: bool = False) -> Any:
    """The inverse of logits_to_probs, finite at 0 and 1."""
    return run(_to_logits, (probs,), (is_binary,))


@pure
def _to_logits(tensors: Any, static: Any, numbers: Any) -> Any:
    clamped = clamp_probs(tensors[0])
    log = facula.log(clamped)
    return log - facula.log1p(-clamped) if static[0] else log


class lazy_property:
    """An attribute that is computed when it is first asked for."""

    def __init__(self, wrapped: Any) -> None:
        self.wrapped = wrapped
        update_wrapper(self, wrapped)  # type: ignore[arg-type]

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return _LazyOnClass(self.wrapped)
        with facula.enable_grad():
            value = self.wrapped(instance)
        setattr(instance, self.wrapped.__name__, value)
        return value


class _LazyOnClass(property, lazy_property):  # type: ignore[misc]
    """What a lazy property is on the class: documentation."""

    def __init__(self, wrapped: Any) -> None:
        property.__init__(self, wrapped)


def tril_matrix_to_vec(mat: Any, diag: int = 0) -> Any:
    """The elements on and below a diagonal, row by row."""
    n = mat.shape[-1]
    if diag < -n or diag >= n:
        raise ValueError(f"diag ({diag}) provided is outside [{-n}, {n - 1}].")
    rows, columns = facula.tril_indices(n, n, diag)
    return mat[..., rows, columns]


def vec_to_tril_matrix(vec: Any, diag: int = 0) -> Any:
    """The inverse of tril_matrix_to_vec, with zeros elsewhere."""
    # The size of a matrix with that many elements on and below the diagonal.
    n = (
        -(1 + 2 * diag)
        + ((1 + 2 * diag) ** 2 + 8 * vec.shape[-1] + 4 * abs(diag) * (diag + 1)) ** 0.5
    ) / 2
    eps = facula.finfo(vec.dtype).eps
    if not round(n) - eps <= n <= round(n) + eps:
        raise ValueError(
            f"The size of last dimension is {vec.shape[-1]} which cannot be expressed as the "
            "lower triangular part of a square D x D matrix."
        )
    size = round(n)
    mat = vec.new_zeros((*vec.shape[:-1], size, size))
    rows, columns = facula.tril_indices(size, size, diag)
    mat[..., rows, columns] = vec
    return mat
