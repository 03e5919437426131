"""How each primitive is done for a whole batch at once.

A rule gets the operands with their batch as the first dimension (`on` says which of them have one)
and returns the result with its batch first. Primitives without a rule are done for one element of
the batch after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from facula.batches import BatchedTensor, batched, level_of, repeated
from facula.interpreter.program import ACTIVATIONS
from facula.ops import movement as mv
from facula.ops.movement import EXPAND, PERMUTE, RESHAPE, SLICE, cat_record
from facula.tensor import Tensor
from facula.trace.node import Diverted
from facula.trace.recorder import record
from facula.utils._pytree import tree_flatten, tree_unflatten
from facula.views import make_view

RULES: dict[str, Callable[..., Any]] = {}


def take(op: Any, ts: tuple[Any, ...], params: Any, scalars: tuple[Any, ...]) -> Any:
    """The result of a primitive of which an operand is a batch."""
    level = level_of(ts)
    on = [type(t) is BatchedTensor and t._level == level for t in ts]
    operands = [t._physical if b else t for t, b in zip(ts, on, strict=True)]
    size = operands[on.index(True)].node.shape[0]
    rule = RULES.get(op.name) or (aligned if op.pointwise else one_by_one)
    return batched(rule(op, operands, on, params, scalars, size), level)


def look(t: Any, op: Any, params: Any) -> Any:
    """A view of a batch."""
    rule = VIEWS.get(op.name)
    if rule is None:
        raise NotImplementedError(f"{op.name}: there is no such view of a batched tensor of vmap")
    physical = t._physical
    if op.name == "expand":
        physical = _ranked(physical, len(params), make_view)
    n = physical.node.shape
    return batched(make_view(physical, op, rule(params, n[0])), t._level)


def rule(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare the rule of primitives."""

    def enter(f: Callable[..., Any]) -> Callable[..., Any]:
        RULES.update(dict.fromkeys(names, f))
        return f

    return enter


# ---- shapes


def _ranked(t: Any, rank: int, how: Any = None) -> Any:
    """A batch of tensors of that many dimensions, new ones in front."""
    shape = t.node.shape
    missing = rank + 1 - len(shape)
    if missing <= 0:
        return t
    new = (shape[0], *[1] * missing, *shape[1:])
    return how(t, RESHAPE, new) if how is not None else record(RESHAPE, (t,), new)


def _rank(t: Any, b: bool) -> int:
    return len(t.node.shape) - b


def _all(operands: list[Any], on: list[bool], size: int) -> list[Any]:
    """The operands as batches, each of them."""
    return [t if b else repeated(t, size) for t, b in zip(operands, on, strict=True)]


def _reshape(t: Any, shape: tuple[int, ...]) -> Any:
    return t if t.node.shape == shape else record(RESHAPE, (t,), shape)


def _permute(t: Any, order: tuple[int, ...]) -> Any:
    return record(PERMUTE, (t,), order)


def element(t: Any, i: int) -> Any:
    """One element of a batch."""
    return record(SLICE, (t,), (i, *[(0, n, 1) for n in t.node.shape[1:]]))


def stacked(parts: list[Any]) -> Any:
    """Tensors of one shape as a batch."""
    return cat_record(tuple([_reshape(p, (1, *p.node.shape)) for p in parts]), 0)


def one_by_one(op: Any, ts: Any, on: Any, params: Any, scalars: Any, size: int) -> Any:
    """The primitive for one element of the batch after the other."""
    if size == 0:
        raise NotImplementedError(f"{op.name}: vmap over an empty dimension is not in Facula")
    return stacked(
        [
            record(
                op,
                tuple([element(t, i) if b else t for t, b in zip(ts, on, strict=True)]),
                params,
                scalars,
            )
            for i in range(size)
        ]
    )


def element_by_element(f: Any, args: Any, kwargs: Any, error: Diverted) -> Any:
    """A public function that looks at values, for one element of the batch after the other."""
    leaves, spec = tree_flatten((args, kwargs))
    level = level_of(leaves)
    name = f.__name__
    if not level:
        raise error
    if name in _DYNAMIC:
        raise _dynamic(name, error)
    mapped = [type(t) is BatchedTensor and t._level == level for t in leaves]
    size = leaves[mapped.index(True)]._physical.node.shape[0]
    if size == 0:
        raise NotImplementedError(f"{name}: vmap over an empty dimension is not in Facula")
    rows = []
    for i in range(size):
        some = [element(t._physical, i) if b else t for t, b in zip(leaves, mapped, strict=True)]
        a, k = tree_unflatten(some, spec)
        rows.append(tree_flatten(f(*a, **k)))
    out_spec = rows[0][1]
    columns = list(zip(*[leaves for leaves, _ in rows], strict=True))
    for column in columns:
        if any([not isinstance(t, Tensor) for t in column]) or len({t.shape for t in column}) > 1:
            raise _dynamic(name, error)
    return tree_unflatten([batched(stacked(list(c)), level) for c in columns], out_spec)


_DYNAMIC = ("masked_select", "nonzero", "unique", "unique_consecutive")


def _dynamic(name: str, error: Diverted) -> Diverted:
    return Diverted(
        error.kind,
        "vmap: We do not support batching operators that can output dynamic shape. Attempted to "
        f"vmap over {name}",
    )


def aligned(op: Any, ts: Any, on: Any, params: Any, scalars: Any, size: int) -> Any:
    """Operands that broadcast: as many dimensions in each."""
    rank = max([_rank(t, b) for t, b in zip(ts, on, strict=True)])
    operands = [_ranked(t, rank) if b else t for t, b in zip(ts, on, strict=True)]
    return record(op, tuple(operands), params, scalars)


RULES.update(dict.fromkeys(("solve",), aligned))


@rule(
    *("clone", "copy_slices", "instead", "self", "tied", "to", "whole", *ACTIVATIONS),
    *("cholesky", "cofactors", "det", "eig", "eigh", "eigvalsh", "geqrf", "inverse", "ldl_factor"),
    *("lu_factor", "matrix_exp", "pivots_to_permutation", "qr", "slogdet", "svd", "svdvals"),
)
def _direct(op: Any, ts: Any, on: Any, params: Any, scalars: Any, size: int) -> Any:
    """The same of the batch; the result is shaped after the first operand."""
    first = ts[0] if on[0] else repeated(ts[0], size)
    return record(op, (first, *ts[1:]), params, scalars)


def _shift(d: Any) -> Any:
    return tuple([k + 1 for k in d]) if type(d) is tuple else d + 1


def _dims_first(op: Any, ts: Any, on: Any, params: Any, scalars: Any, size: int) -> Any:
    """Parameters that begin with the dimension, or the dimensions."""
    operands = tuple(_all(ts, on, size))
    return record(op, operands, (_shift(params[0]), *params[1:]), scalars)


RULES.update(
    dict.fromkeys(
        (
            *("all", "amax", "amin", "any", "argmax", "argmin", "norm", "prod", "softmax", "std"),
            *("sum", "var"),
            *("hash_tensor", "kth_index", "median_index", "mode_index", "nanmedian_index"),
            *("argsort", "cummax_index", "cummin_index", "cumprod", "cumsum", "logcumsumexp"),
            "topk_index",
            *("fft_c2c", "fft_c2r", "fft_r2c", "unfold_scatter"),
        ),
        _dims_first,
    )
)

# Views: the parameters for the batch, from those for an element.
VIEWS: dict[str, Callable[[Any, int], Any]] = {
    **dict.fromkeys(
        (
            *("conj", "detach", "imag_view", "neg_view", "real_view", "view_as_complex"),
            "view_as_real",
        ),
        lambda p, size: p,
    ),
    "alias": lambda p, size: (),
    "diagonal": lambda p, size: (p[0], p[1] + 1, p[2] + 1),
    "expand": lambda p, size: (size, *p),
    "permute": lambda p, size: (0, *_shift(p)),
    "reshape": lambda p, size: (size, *p),
    "slice": lambda p, size: ((0, size, 1), *p),
    "unfold": lambda p, size: (p[0] + 1, *p[1:]),
    "view_dtype": lambda p, size: p,
}


@rule(*VIEWS)
def _view(op: Any, ts: Any, on: Any, params: Any, scalars: Any, size: int) -> Any:
    t = _ranked(ts[0], len(params)) if op is EXPAND else ts[0]
    return record(op, (t,), VIEWS[op.name](params, size))


@rule("diagonal_scatter", "slice_scatter")
def _write_back(op: Any, ts: Any, on: Any, params: Any, scalars: Any, size: int) -> Any:
    view = "slice" if op is mv.SLICE_SCATTER else "diagonal"
    return record(op, tuple(_all(ts, on, size)), VIEWS[view](params, size))


@rule("unfold_backward")
def _unfold_backward(op: Any, ts: Any, on: Any, params: Any, scalars: Any, size: int) -> Any:
    (d, *rest), shape = params
    return record(op, (ts[0],), ((d + 1, *rest), (size, *shape)))


@rule("binary_cross_entropy", "lerp")
def _alike(op: Any, ts: Any, on: Any, params: Any, scalars: Any, size: int) -> Any:
    return record(op, tuple(_all(ts, on, size)), params, scalars)


@rule("flip")
def _flip(op: Any, ts: Any, on: Any, params: Any, scalars: Any, size: int) -> Any:
    return record(op, (ts[0],), _shift(params))


@rule("cat")
def _cat(op: Any, ts: Any, on: Any, params: Any, scalars: Any, size: int) -> Any:
    return record(op, tuple(_all(ts, on, size)), params + 1)


# ---- products


@rule("matmul")
@rule("matmul_wide")
def _matmul(op: Any, ts: Any, on: Any, params: Any, scalars: Any, size: int) -> Any:
    a, b = ts
    if on == [True, False] and len(b.node.shape) == 2:  # one product of all rows
        shape = a.node.shape
        rows = 1
        for n in shape[:-1]:
            rows *= n
        out = record(op, (_reshape(a, (rows, shape[-1])), b))
        return _reshape(out, (*shape[:-1], b.node.shape[1]))
    return aligned(op, ts, on, params, scalars, size)


def _joined(t: Any) -> Any:
    """(B, N, C, ...) as (N, B * C, ...)."""
    s = t.node.shape
    t = _permute(t, (1, 0, *range(2, len(s))))
    return record(RESHAPE, (t,), (s[1], s[0] * s[2], *s[3:]))


def _parted(t: Any, size: int) -> Any:
    """The inverse: (N, B * C, ...) as (B, N, C, ...)."""
    n, c, *rest = t.node.shape
    t = record(RESHAPE, (t,), (n, size, c // size, *rest))
    return _permute(t, (1, 0, *range(2, len(rest) + 3)))


def _folded(t: Any) -> Any:
    """(B, N, ...) as (B * N, ...)."""
    s = t.node.shape
    return record(RESHAPE, (t,), (s[0] * s[1], *s[2:]))


def _split(t: Any, size: int) -> Any:
    """The inverse: (B * N, ...) as (B, N, ...)."""
    n, *rest = t.node.shape
    return record(RESHAPE, (t,), (size, n // size, *rest))


@rule("conv", "conv_input", "conv_weight")
def _conv(op: Any, ts: Any, on: Any, params: Any, scalars: Any, size: int) -> Any:
    """Another batch of images; or, where weights differ along it, more groups of channels."""
    n = len(ts[0].node.shape) - 2 - on[0]
    if op.name != "conv_weight" and on == [True, False]:
        return _split(record(op, (_folded(ts[0]), ts[1]), params), size)
    first, second = _all(ts, on, size)
    grouped = (*params[: 3 * n], params[3 * n] * size, *params[3 * n + 1 :])
    if op.name == "conv_weight":
        return _split(record(op, (_joined(first), _joined(second)), grouped), size)
    return _parted(record(op, (_joined(first), _folded(second)), grouped), size)


@rule(
    *("adaptive_avg_pool", "adaptive_avg_spread", "adaptive_max_index", "avg_pool"),
    *("avg_pool_spread", "col2im", "fractional_max_index", "im2col", "max_pool"),
    *("max_pool_index", "pool_put", "pool_take"),
)
def _images(op: Any, ts: Any, on: Any, params: Any, scalars: Any, size: int) -> Any:
    """Primitives of images (N, C, ...): more of them."""
    operands = tuple([_folded(t) for t in _all(ts, on, size)])
    return _split(record(op, operands, params, scalars), size)


# ---- indices


@rule("gather", "scatter", "scatter_add", "scatter_reduce")
def _along(op: Any, ts: Any, on: Any, params: Any, scalars: Any, size: int) -> Any:
    if not _rank(ts[0], on[0]):
        return one_by_one(op, ts, on, params, scalars, size)
    dim = (params[0] + 1, *params[1:]) if type(params) is tuple else params + 1
    return record(op, tuple(_all(ts, on, size)), dim)


@rule("index", "index_put", "index_put_accumulate")
def _index(op: Any, ts: Any, on: Any, params: Any, scalars: Any, size: int) -> Any:
    if on[1]:
        return one_by_one(op, ts, on, params, scalars, size)
    where, shape = params
    used = [d for d, k in enumerate(where) if k is not None]
    apart = used != list(range(used[0], used[-1] + 1))  # then the picked dimensions come first
    p = ((None, *where), shape)
    base = ts[0] if on[0] else repeated(ts[0], size)
    if len(ts) == 2:
        out = record(op, (base, ts[1]), p)
        if apart:
            k = len(shape)
            out = _permute(out, (k, *range(k), *range(k + 1, len(out.node.shape))))
        return out
    value = ts[2] if on[2] else repeated(ts[2], size)
    if apart:
        k = len(shape)
        rank = len(value.node.shape)
        value = _permute(value, (*range(1, k + 1), 0, *range(k + 1, rank)))
    return record(op, (base, ts[1], value), p)


@rule("searchsorted")
def _search(op: Any, ts: Any, on: Any, params: Any, scalars: Any, size: int) -> Any:
    a, b = ts
    shape = b.node.shape[on[1] :]
    if _rank(a, on[0]) != 1:
        return record(op, tuple(_all(ts, on, size)), params)
    if not on[0]:
        return record(op, (a, b), params)
    count = 1
    for n in shape:
        count *= n
    b = b if on[1] else repeated(b, size)
    return _reshape(record(op, (a, _reshape(b, (size, count))), params), (size, *shape))


@rule("isin")
def _isin(op: Any, ts: Any, on: Any, params: Any, scalars: Any, size: int) -> Any:
    if on == [True, False]:
        return record(op, tuple(ts), params)
    return one_by_one(op, ts, on, params, scalars, size)
