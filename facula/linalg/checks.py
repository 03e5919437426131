"""What the functions of linear algebra check about their arguments."""

from __future__ import annotations

from typing import Any

from facula import dtypes
from facula.linalg.primitives import LinAlgError
from facula.ops.indices import known
from facula.ops.promotion import need


def matrix(name: str, a: Any, square: bool = True, what: str = "A") -> None:
    """A batch of (square) matrices of a type that LAPACK computes in."""
    need(name, **{what: a})
    shape = a.node.shape
    if len(shape) < 2:
        raise RuntimeError(
            f"{name}: The input tensor {what} must have at least 2 dimensions, got {list(shape)}"
        )
    floating(name, a)
    if square and shape[-1] != shape[-2]:
        raise RuntimeError(
            f"{name}: {what} must be batches of square matrices, but they are {shape[-2]} by "
            f"{shape[-1]} matrices"
        )


# PyTorch's functions of `linalg` ask for floating-point numbers, and some of these for 32 bits. In
# all others it is the kernel that lacks a dtype, which is an error of another type.
_KERNEL_ASKS = {
    *("linalg.eigh", "linalg.eigvalsh", "linalg.lu", "linalg.lu_factor", "linalg.lu_factor_ex"),
    *("linalg.householder_product", "linalg.solve_triangular"),
}
_ASKS_FOR_32_BITS = {
    *("linalg.inv", "linalg.inv_ex", "linalg.matrix_rank", "linalg.pinv", "linalg.slogdet"),
    *("linalg.tensorinv", "torch.linalg.lstsq"),
}


def floating(name: str, a: Any) -> None:
    """float32, float64 or complex."""
    d = a.dtype
    if d.category < dtypes.FLOAT:
        if "linalg." in name and name not in _KERNEL_ASKS:
            raise RuntimeError(
                f"{name}: Expected a floating point or complex tensor as input. Got {d}"
            )
        raise NotImplementedError(f"{name}: not implemented for {d}")
    if d in (dtypes.float16, dtypes.bfloat16):
        if name in _ASKS_FOR_32_BITS:
            raise RuntimeError(f"{name}: Low precision dtypes not supported. Got {d}")
        raise NotImplementedError(f"{name}: not implemented for {d}")


def same(name: str, a: Any, b: Any) -> None:
    """Two tensors of one dtype."""
    need(name, A=a, B=b)
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"{name}: Expected A and B to have the same dtype, but found A of type {a.dtype} and "
            f"B of type {b.dtype} instead"
        )


def succeeded(name: str, info: Any, what: str) -> None:
    """LinAlgError where a factorisation failed: computed now, as its result depends on data."""
    codes = known(info).reshape(-1)
    bad = codes.nonzero()[0]
    if len(bad):
        where = f"(Batch element {bad[0]}): " if len(codes) > 1 or info.node.shape else ""
        raise LinAlgError(f"{name}: {where}{what.format(codes[bad[0]])}")
