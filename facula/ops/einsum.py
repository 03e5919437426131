"""Sums of products over named dimensions, all reduced to batched matrix products."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from facula import dtypes
from facula.ops import pointwise as pw
from facula.ops.composed import whole
from facula.ops.movement import apart
from facula.ops.promotion import need, result_type
from facula.ops.table import api
from facula.tensor import Tensor
from facula.tensor_base import wrap_dim
from facula.trace.spans import pure, run


def contract(
    a: Any, la: list[Any], b: Any, lb: list[Any], keep: list[Any]
) -> tuple[Any, list[Any]]:
    """The product of two tensors whose dimensions are labelled, summed over what `keep` lacks.

    Returns the tensor and its labels: shared ones that are kept, then a's, then b's.
    """
    a, la = _sum_alone(a, la, lb, keep)
    b, lb = _sum_alone(b, lb, la, keep)
    sa, sb = dict(zip(la, a.node.shape, strict=True)), dict(zip(lb, b.node.shape, strict=True))
    shared = [x for x in la if x in sb]
    # A dimension of size 1 against a larger one broadcasts: it belongs to the other alone.
    for x in list(shared):
        if sa[x] != sb[x] and 1 in (sa[x], sb[x]):
            if x in keep:
                continue
            if sa[x] == 1:
                a, la = a.squeeze(la.index(x)), [y for y in la if y != x]
                b, lb = _sum_alone(b, lb, la, keep, b.dtype)
            else:
                b, lb = b.squeeze(lb.index(x)), [y for y in lb if y != x]
                a, la = _sum_alone(a, la, lb, keep, a.dtype)
            shared.remove(x)
    batch = [x for x in shared if x in keep]
    inner = [x for x in shared if x not in keep]
    if inner and a.dtype is not b.dtype:
        raise RuntimeError(
            f"einsum(): expected operands of one dtype to sum over '{inner}', got {a.dtype} and "
            f"{b.dtype}"
        )
    if a.dtype is not b.dtype:
        d = result_type(a, b)
        a, b = pw.cast(a, d), pw.cast(b, d)
    left, right = [x for x in la if x not in shared], [x for x in lb if x not in shared]
    sa, sb = dict(zip(la, a.node.shape, strict=True)), dict(zip(lb, b.node.shape, strict=True))
    m, n, k = [math.prod([s[x] for x in xs]) for s, xs in ((sa, left), (sb, right), (sa, inner))]
    x = a.permute([la.index(y) for y in (*batch, *left, *inner)])
    y = b.permute([lb.index(z) for z in (*batch, *inner, *right)])
    x = x.reshape((*[sa[z] for z in batch], m, k))
    y = y.reshape((*[sb[z] for z in batch], k, n))
    out = x.matmul(y) if inner or not (left and right) else x * y
    shape = [max(sa[z], sb[z]) if 0 not in (sa[z], sb[z]) else 0 for z in batch]
    out = out.reshape((*shape, *[sa[z] for z in left], *[sb[z] for z in right]))
    return out, [*batch, *left, *right]


def _sum_alone(
    t: Any, labels: list[Any], other: list[Any], keep: list[Any], dtype: Any = None
) -> tuple[Any, Any]:
    alone = [i for i, x in enumerate(labels) if x not in other and x not in keep]
    if not alone:
        return t, labels
    rest = [x for i, x in enumerate(labels) if i not in alone]
    if other and all([t.node.shape[i] == 1 for i in alone]):  # which keeps the dtype
        return t.squeeze(tuple(alone)), rest
    return t.sum(alone, dtype=dtype), rest


def _labels(part: str) -> list[Any]:
    """The labels of one operand; an Ellipsis object stands for '...'."""
    out: list[Any] = []
    i = 0
    while i < len(part):
        c = part[i]
        if c == ".":
            if part[i : i + 3] != "..." or Ellipsis in out:
                raise RuntimeError(
                    f"einsum(): found '.' that is not part of one ellipsis in '{part}'"
                )
            out.append(Ellipsis)
            i += 3
            continue
        if not (c.isascii() and c.isalpha()):
            raise RuntimeError(
                f"einsum(): invalid subscript given: '{c}' in '{part}', subscripts must be in "
                "[a-zA-Z]"
            )
        out.append(c)
        i += 1
    return out


def _parse(args: tuple[Any, ...]) -> tuple[list[Any], list[list[Any]], Any]:
    if isinstance(args[0], str):
        ts = (
            list(args[1])
            if len(args) == 2 and isinstance(args[1], (list, tuple))
            else list(args[1:])
        )
        left, arrow, right = args[0].replace(" ", "").partition("->")
        return ts, [_labels(p) for p in left.split(",")], _labels(right) if arrow else None
    ts = list(args[0::2] if len(args) % 2 == 0 else args[:-1:2])
    subs = [list(x) for x in args[1::2]]
    return ts, subs, list(args[-1]) if len(args) % 2 else None


@api(method=False)
def einsum(*args: Any) -> Any:
    """Sums of products by Einstein's convention: einsum('ij,jk->ik', a, b).

    Also einsum(a, [0, 1], b, [1, 2], [0, 2]); '...' stands for dimensions that broadcast.
    Source: https://pytorch.org/docs/stable/generated/torch.einsum.html
    """
    if len(args) > 2 and type(args[0]) is str:  # of one operand the result may be a view
        return run(_several, args[1:], args[0])
    return _einsum(args)


@pure
def _several(tensors: Any, equation: Any, numbers: Any) -> Any:
    return _einsum((equation, *tensors))


def _einsum(args: Any) -> Any:
    ts, subs, out = _parse(args) if args else ([], [], None)
    if not ts:
        raise ValueError("einsum(): must specify the equation string and at least one operand")
    if len(ts) != len(subs):
        raise RuntimeError(
            f"einsum(): {len(subs)} subscripts in the equation do not match the {len(ts)} operands"
        )
    need("einsum", **{f"operand {i}": t for i, t in enumerate(ts)})
    extra = 0
    for t, labels in zip(ts, subs, strict=True):
        rank, named = len(t.node.shape), len([x for x in labels if x is not Ellipsis])
        if named > rank or (named < rank and Ellipsis not in labels):
            raise RuntimeError(
                f"einsum(): the number of subscripts in the equation ({named}) does not match the "
                f"number of dimensions ({rank}) for an operand of shape {list(t.node.shape)}"
            )
        if Ellipsis in labels:
            extra = max(extra, rank - named)
    dots: list[Any] = [(i,) for i in range(extra)]  # the last of these is the last dimension
    sizes: dict[Any, int] = {}
    operands = []
    for t, labels in zip(ts, subs, strict=True):
        if Ellipsis in labels:
            n, at = len(t.node.shape) - len(labels) + 1, labels.index(Ellipsis)
            labels = [*labels[:at], *dots[extra - n :], *labels[at + 1 :]]
        t, labels = _diagonals(t, labels)
        for x, m in zip(labels, t.node.shape, strict=True):
            if sizes.setdefault(x, m) != m:
                if 1 not in (m, sizes[x]):
                    raise RuntimeError(
                        f"einsum(): subscript {x} has size {m} for an operand which does not "
                        f"broadcast with previously seen size {sizes[x]}"
                    )
                sizes[x] = m if sizes[x] == 1 else sizes[x]
        operands.append((t, labels))
    if out is None:
        flat = [x for _, ls in operands for x in ls]
        counts: dict[Any, int] = {}
        for given in subs:
            for x in given:
                counts[x] = counts.get(x, 0) + 1
        out = [*dots, *sorted([x for x in set(flat) if type(x) is not tuple and counts[x] == 1])]
    else:
        if Ellipsis in out:
            at = out.index(Ellipsis)
            out = [*out[:at], *dots, *out[at + 1 :]]
        for x in out:
            if x not in sizes or out.count(x) > 1:
                raise RuntimeError(
                    f"einsum(): output subscript {x} does not appear in the equation for any input "
                    "operand, or appears more than once in the output"
                )
    return _reduce(operands, out)


def _reduce(operands: list[Any], out: list[Any]) -> Any:
    t, labels = operands[0]
    for i in range(1, len(operands)):
        later = [x for _, ls in operands[i + 1 :] for x in ls]
        other, theirs = operands[i]
        t, labels = contract(t, labels, other, theirs, [*out, *later])
    t, labels = _sum_alone(t, labels, [], out)
    return t.permute([labels.index(x) for x in out])


def _diagonals(t: Any, labels: list[Any]) -> tuple[Any, list[Any]]:
    """Repeated labels of one operand mean its diagonal."""
    labels = list(labels)
    for x in dict.fromkeys(labels):
        while labels.count(x) > 1:
            i = labels.index(x)
            j = labels.index(x, i + 1)
            if t.node.shape[i] != t.node.shape[j]:
                raise RuntimeError(
                    f"einsum(): subscript {x} is repeated for one operand but the sizes don't "
                    f"match, {t.node.shape[i]} != {t.node.shape[j]}"
                )
            t = t.diagonal(0, i, j)
            del labels[j], labels[i]
            labels.append(x)
    return t, labels


@api(method=False)
def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    """The product summed over some dimensions: the last of a with the first of b, or as given."""
    ra, rb = len(a.node.shape), len(b.node.shape)
    if isinstance(dims, Tensor):
        if dims.node.shape and len(dims) != 2:
            raise AssertionError(
                f"tensordot: dims tensor must have size 2 in first dimension, got {len(dims)}"
            )
        dims = dims.tolist() if dims.node.shape else int(dims)
    dims = int(dims) if isinstance(dims, np.integer) else dims
    if not isinstance(dims, (int, tuple, list)):
        raise RuntimeError(
            f"tensordot expects dims to be int or two lists of ints, but got dims={dims!r}"
        )
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(ra, rb):
            raise RuntimeError(
                f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims} for {ra} and {rb}"
            )
        da, db = list(range(ra - dims, ra)), list(range(dims))
    else:
        da, db = [[x] if isinstance(x, int) else list(x) for x in dims]
        da, db = [wrap_dim(x, ra) for x in da], [wrap_dim(x, rb) for x in db]
    if len(da) != len(db):
        raise RuntimeError(f"tensordot: both dimension lists should have same length, got {dims}")
    la: list[Any] = [("a", i) for i in range(ra)]
    lb: list[Any] = [("b", i) for i in range(rb)]
    for i, j in zip(da, db, strict=True):
        if a.node.shape[i] != b.node.shape[j] and 1 not in (a.node.shape[i], b.node.shape[j]):
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {a.node.shape[i]} in dim "
                f"{i} and second has size {b.node.shape[j]} in dim {j}"
            )
        lb[j] = la[i]
    out = [x for k, x in enumerate(la) if k not in da] + [
        x for k, x in enumerate(lb) if k not in db
    ]
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"tensordot: both inputs should have same dtype, got {a.dtype} and {b.dtype}"
        )
    return _reduce([(a, la), (b, lb)], out)


@api
def kron(input: Any, other: Any) -> Any:
    """Kronecker's product: every element of the first times the whole second."""
    rank = max(len(input.node.shape), len(other.node.shape))
    sa = (1,) * (rank - len(input.node.shape)) + input.node.shape
    sb = (1,) * (rank - len(other.node.shape)) + other.node.shape
    a = apart(input).reshape([n for x in sa for n in (x, 1)])
    b = apart(other).reshape([n for x in sb for n in (1, x)])
    return (a * b).reshape([x * y for x, y in zip(sa, sb, strict=True)])


@api
def trace(input: Any) -> Any:
    """The sum of a matrix's diagonal."""
    if len(input.node.shape) != 2:
        raise RuntimeError(f"trace: expected a matrix, but got shape {list(input.node.shape)}")
    return input.diagonal().sum()


@api
def cross(input: Any, other: Any, dim: Any = None) -> Any:
    """The vector product along a dimension of size 3 (the first such one by default)."""
    if dim is None:
        shape = input.node.shape
        if 3 not in shape:
            raise RuntimeError(f"cross: no dimension of size 3 in input of shape {list(shape)}")
        dim = shape.index(3)
    return vector_product("cross", input, other, dim)


def vector_product(name: str, a: Any, b: Any, dim: int) -> Any:
    """The vector product along a dimension; the others broadcast."""
    ra, rb = len(a.node.shape), len(b.node.shape)
    if ra != rb:
        raise RuntimeError(
            f"{name}: inputs must have the same number of dimensions, got {ra} and {rb}"
        )
    d = wrap_dim(dim, ra)
    if a.node.shape[d] != 3 or b.node.shape[d] != 3:
        raise RuntimeError(
            f"{name}: inputs dimension {dim} must have length 3. Got {a.node.shape[d]} and "
            f"{b.node.shape[d]}"
        )
    if a.dtype is not b.dtype:
        raise RuntimeError(f"{name}: expected operands of one dtype, got {a.dtype} and {b.dtype}")
    if a.dtype is dtypes.bool:
        raise NotImplementedError(f"{name}: not implemented for {a.dtype}")
    out = a.roll(-1, d) * b.roll(-2, d) - a.roll(-2, d) * b.roll(-1, d)
    return whole(out, "LinalgCross", a, b)
