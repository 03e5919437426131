"""Products of vectors and matrices, on one primitive."""

from __future__ import annotations

import math
from typing import Any

from facula import dtypes
from facula.ops.arithmetic import check_factor
from facula.ops.contraction import MATMUL, MATMUL_WIDE
from facula.ops.movement import SELF, TIED, shaped, strides_of, view_strides
from facula.ops.pointwise import cast
from facula.ops.registry import broadcast
from facula.ops.table import FUNCTIONS, METHODS, api
from facula.tensor import Tensor
from facula.tensor_base import wrap_dim
from facula.trace.recorder import TLS, record


def _same(name: str, *ts: Any) -> None:
    for t in ts:
        if not isinstance(t, Tensor):
            raise TypeError(f"{name}(): expected Tensor arguments, got {type(t).__name__}")
    first = ts[0].node.dtype
    for t in ts[1:]:
        if t.node.dtype is not first:
            raise RuntimeError(
                f"{name}: expected m1 and m2 to have the same dtype, but got: "
                f"{first} != {t.node.dtype}"
            )


def _rank(name: str, *pairs: Any) -> None:
    for t, rank, label in pairs:
        if len(t.node.shape) != rank:
            raise RuntimeError(
                f"{name}: {label} must be a {rank}-D tensor, got shape {list(t.node.shape)}"
            )


@api(names=("spmm", "dsmm"), follows=(MATMUL, None, 2))
def mm(input: Any, mat2: Any) -> Any:
    """The product of two matrices (n, m) and (m, p)."""
    return _mm(MATMUL, input, mat2)


def _mm(op: Any, input: Any, mat2: Any) -> Any:
    _same("mm", input, mat2)
    _rank("mm", (input, 2, "self"), (mat2, 2, "mat2"))
    (n, m), (k, p) = input.node.shape, mat2.node.shape
    if m != k:
        raise RuntimeError(f"mm: mat1 and mat2 shapes cannot be multiplied ({n}x{m} and {k}x{p})")
    return record(op, (input, mat2))


@api
def bmm(input: Any, mat2: Any) -> Any:
    """Products of two batches of matrices."""
    return _bmm(MATMUL, input, mat2)


def _bmm(op: Any, input: Any, mat2: Any) -> Any:
    if isinstance(mat2, Tensor):
        input = _unseen(input, mat2)
    _same("bmm", input, mat2)
    _rank("bmm", (input, 3, "batch1"), (mat2, 3, "batch2"))
    a, b = input.node.shape, mat2.node.shape
    if a[0] != b[0] or a[2] != b[1]:
        raise RuntimeError(
            f"bmm: Expected size for first two dimensions of batch2 tensor to be: "
            f"[{a[0]}, {a[2]}] but got: [{b[0]}, {b[1]}]."
        )
    return record(op, (input, mat2))


@api
def mv(input: Any, vec: Any) -> Any:
    """The product of a matrix and a vector."""
    return _mv(MATMUL, input, vec)


def _mv(op: Any, input: Any, vec: Any) -> Any:
    _same("mv", input, vec)
    _rank("mv", (input, 2, "input"), (vec, 1, "vec"))
    if input.node.shape[1] != vec.node.shape[0]:
        raise RuntimeError(
            f"mv: size mismatch, got input ({list(input.node.shape)}), vec ({vec.node.shape[0]})"
        )
    n, m = input.node.shape
    return shaped(record(op, (input, shaped(vec, (m, 1)))), (n,))


def _before_rounding(t: Any) -> Any:
    """The product to record where something is added to it: PyTorch rounds to 16 bits once."""
    low = isinstance(t, Tensor) and t.node.dtype in (dtypes.bfloat16, dtypes.float16)
    return MATMUL_WIDE if low else MATMUL


@api
def dot(input: Any, tensor: Any) -> Any:
    """The inner product of two vectors."""
    _same("dot", input, tensor)
    if len(input.node.shape) != 1 or len(tensor.node.shape) != 1:
        raise RuntimeError(
            f"1D tensors expected, but got {len(input.node.shape)}D and "
            f"{len(tensor.node.shape)}D tensors"
        )
    if input.node.shape != tensor.node.shape:
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor {list(input.node.shape)} "
            f"and src {list(tensor.node.shape)} to have the same number of elements"
        )
    if input.node.dtype is dtypes.bool:
        raise NotImplementedError("dot: \"dot\" not implemented for 'Bool'")
    (n,) = input.node.shape
    return shaped(record(MATMUL, (shaped(input, (1, n)), shaped(tensor, (n, 1)))), ())


@api(follows=(MATMUL, None, 0))
def matmul(input: Any, other: Any) -> Any:
    """The product by the dimensions of both (https://pytorch.org/docs/stable/generated/torch.matmul.html)."""
    if isinstance(other, Tensor) and input.node.dtype is not other.node.dtype:
        input = _unseen(input, other)
    if input.dtype is dtypes.bool and isinstance(other, Tensor) and _by_batches(input, other):
        left, right = input.node.shape, other.node.shape
        broadcast([left[:-2], right[:-2]], "matmul")
        if left[-1] == right[max(-2, -len(right))]:  # else that is the error
            if not input.numel() or not other.numel():
                shape = (*broadcast([left[:-2], right[:-2]], "matmul"), left[-2], right[-1])
                return other.new_zeros(shape)
            raise NotImplementedError(f"matmul: batches of matrices of {input.dtype}")
    _same("matmul", input, other)
    a, b = len(input.node.shape), len(other.node.shape)
    if not a or not b:
        raise RuntimeError(
            f"both arguments to matmul need to be at least 1D, but they are {a}D and {b}D"
        )
    if a == 1 and b == 1:
        return dot.__wrapped__(input, other)
    if b < 3 <= a:
        input = _folded(input, other, False)
    elif a < 3 <= b:
        other = _folded(other, input, True)
    x = shaped(input, (1, *input.node.shape)) if a == 1 else input
    y = shaped(other, (*other.node.shape, 1)) if b == 1 else other
    out = record(MATMUL, (x, y))
    if a > 1 and b > 1:
        return out
    kept = out.node.shape
    return shaped(out, (*kept[:-2], kept[-1]) if a == 1 else kept[:-1])


def _unseen(input: Any, other: Any) -> Any:
    """The left operand of two dtypes: of a matrix or a batch of matrices and a batch, one without
    elements, PyTorch's loop never looks at the dtypes, and the product has the second one's. Not
    where it folds the batch into one matrix."""
    a, b = len(input.node.shape), len(other.node.shape)
    if a < 2 or b < 3 or (input.numel() and other.numel()):
        return input
    if a == 2 and TLS.r.grad and input.requires_grad:
        return input
    d = other.node.dtype
    return input if input.requires_grad and d.category < dtypes.FLOAT else input.to(d)


def _folded(large: Any, small: Any, turned: bool) -> Any:
    """The larger operand: PyTorch folds it into a matrix, and saves the copy if that needs one."""
    n = large.node
    if not (TLS.r.grad and small.requires_grad) or (n.strides is None and not turned):
        return large
    shape, steps = list(n.shape), list(strides_of(n))
    if turned:
        shape[-2:], steps[-2:] = shape[:-3:-1], steps[:-3:-1]
    matrix = math.prod(shape[:-1]), shape[-1]
    if view_strides(tuple(shape), tuple(steps), matrix) is not None:
        return large
    return record(SELF, (large,))


def _by_batches(a: Any, b: Any) -> bool:
    """Whether PyTorch multiplies batch by batch, not folding the larger operand into a matrix."""
    rank, other = len(a.node.shape), len(b.node.shape)
    if min(rank, other) > 2 or max(rank, other) < 3 or not min(rank, other):
        return min(rank, other) > 2
    large, small = (a, b) if rank > other else (b.mT, a)
    if small.requires_grad or not large.numel():
        return False
    shape, steps = large.node.shape, large.stride()
    return rank == 2 or any(
        [steps[i] != steps[i + 1] * shape[i + 1] for i in range(len(shape) - 2)]
    )


def _answers(other: Any) -> bool:
    """Whether `@` is for the tensor to compute: what is no tensor may have an answer of its own."""
    return isinstance(other, Tensor) or hasattr(other, "__torch_function__")


def _matmul(self: Any, other: Any) -> Any:
    return FUNCTIONS["matmul"](self, other) if _answers(other) else NotImplemented


def _rmatmul(self: Any, other: Any) -> Any:
    return FUNCTIONS["matmul"](other, self) if _answers(other) else NotImplemented


METHODS["__matmul__"] = _matmul
METHODS["__rmatmul__"] = _rmatmul


def _number(x: Any, d: Any) -> Any:
    """A factor in the result's kind: integers cut off its fraction."""
    return int(x) if d.category == dtypes.INT and isinstance(x, float) else x


def _plus(name: str, input: Any, p: Any, beta: Any, alpha: Any, d: Any) -> Any:
    """beta * input + alpha * p, of the shape of the product p; `d`: the dtype of its operands."""
    want = p.node.shape
    if d is not p.node.dtype and input.node.dtype is d:
        wide = p.node.dtype
        return cast(_plus(name, cast(input, wide), p, beta, alpha, wide), d)
    if input.node.dtype is not d:
        raise RuntimeError(
            f"{name}: input and the product must have the same dtype, but got {input.dtype} and {d}"
        )
    if input.node.shape != want and broadcast([input.node.shape, want], name) != want:
        raise RuntimeError(
            f"{name}: input of shape {list(input.node.shape)} can't be expanded to the shape "
            f"of the product, {list(want)}"
        )
    if d is dtypes.bool:
        none = p & False
        return ((input if beta else none) | (p if alpha else none)).expand(p.node.shape)
    for argument, x in (("beta", beta), ("alpha", alpha)):
        if isinstance(x, complex) and not d.is_complex:
            raise RuntimeError(
                f"{name}: {argument} {x} cannot be converted to type {d} without overflow"
            )
        dtypes.check_fits(x, d)
    beta, alpha = _number(beta, d), _number(alpha, d)
    if alpha != 1:
        p = p * alpha
    if beta == 0:  # what the input holds is not looked at, and its gradient is 0
        n = input.node
        return record(TIED, (p, input), (n.shape, n.dtype)) if n.rg and TLS.r.grad else p
    return p + (input if beta == 1 else input * beta)


@api(inplace=True)
def addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta * input + alpha * mat1 @ mat2."""
    p = _mm(_before_rounding(mat1), mat1, mat2)
    return _plus("addmm", input, p, beta, alpha, mat1.node.dtype)


@api(inplace=True)
def addmv(input: Any, mat: Any, vec: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta * input + alpha * mat @ vec."""
    dtypes.check_fits(beta, mat.node.dtype)
    dtypes.check_fits(alpha, mat.node.dtype)
    p = _mv(_before_rounding(mat), mat, vec)
    return _plus("addmv", input, p, beta, alpha, mat.node.dtype)


@api(inplace=True)
def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta * input + alpha * batch1 @ batch2, matrix by matrix."""
    wrap_dim(2, len(batch1.node.shape))
    p = _bmm(_before_rounding(batch1), batch1, batch2)
    return _plus("baddbmm", input, p, beta, alpha, batch2.node.dtype)


@api(inplace=True)
def addbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta * input + alpha * the sum of batch1 @ batch2 over the batch."""
    p = bmm.__wrapped__(batch1, batch2)
    return _plus("addbmm", input, p.sum(0, dtype=p.dtype), beta, alpha, p.node.dtype)


@api(names=("ger",))
def outer(input: Any, vec2: Any) -> Any:
    """The outer product of two vectors."""
    if len(input.node.shape) != 1 or len(vec2.node.shape) != 1:
        raise RuntimeError(
            "outer: Expected 1-D arguments, got "
            f"{len(input.node.shape)}-D and {len(vec2.node.shape)}-D"
        )
    return shaped(input, (len(input), 1)) * vec2


@api(inplace=True)
def addr(input: Any, vec1: Any, vec2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta * input + alpha * the outer product of two vectors."""
    d = dtypes.promote_types(dtypes.promote_types(vec1.node.dtype, vec2.node.dtype), input.dtype)
    for argument, x in (("beta", beta), ("alpha", alpha)):
        check_factor("addr", argument, x, d, input, vec1, vec2)
    p = outer.__wrapped__(cast(vec1, d), cast(vec2, d))
    return _plus("addr", cast(input, d), p, beta, alpha, d)


@api
def vdot(input: Any, other: Any) -> Any:
    """The inner product of two vectors, the first conjugated."""
    return dot.__wrapped__(input.conj_physical() if input.is_complex() else input, other)


@api
def inner(input: Any, other: Any) -> Any:
    """Sums of products over the last dimension of both; a product with a scalar tensor."""
    for t in (input, other):
        if not isinstance(t, Tensor):
            raise TypeError(f"inner(): expected Tensor arguments, got {type(t).__name__}")
    a, b = input.node.shape, other.node.shape
    if not a or not b:
        return input * other
    _same("inner", input, other)
    if a[-1] != b[-1]:
        raise RuntimeError(
            f"inner() the last dimension must match on both input tensors but got shapes {list(a)} "
            f"and {list(b)}"
        )
    x = input.reshape(-1, a[-1]) if a[-1] else input.reshape(math.prod(a[:-1]), 0)
    y = other.reshape(-1, b[-1]) if b[-1] else other.reshape(math.prod(b[:-1]), 0)
    if len(a) == len(b) == 1:
        return dot.__wrapped__(input, other)
    return mm(x, y.transpose(0, 1)).reshape((*a[:-1], *b[:-1]))


@api(method=False)
def chain_matmul(*matrices: Any) -> Any:
    """The product of several matrices, multiplied in the cheapest order."""
    from facula.linalg import multi_dot

    for m in matrices:
        if len(m.node.shape) != 2:
            raise RuntimeError(f"chain_matmul: expected matrices, got a shape {list(m.shape)}")
    return matrices[0].clone() if len(matrices) == 1 else multi_dot(matrices)
