"""Look-up tables: embedding, bags of embeddings, one-hot vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

import facula
from facula import Tensor
from facula.ops.bags import bag_sums
from facula.ops.indices import known, outside
from facula.ops.movement import in_layout, shaped
from facula.ops.scatters import _check_index, rows_at
from facula.ops.table import explained
from facula.trace.spans import pure, run
from facula.values import from_array, present, values
from facula.warned import warn

from ._common import no_tensor, require_bools, type_name, upcast


class _ScaleGradient(facula.autograd.Function):
    """Identity whose gradient is multiplied by ``scale``."""

    @staticmethod
    def forward(ctx, x, scale):
        ctx.save_for_backward(scale)
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad):
        (scale,) = ctx.saved_tensors
        return grad * scale, None


def _check_indices(input: Tensor, name: str) -> None:
    if not isinstance(input, Tensor):
        raise no_tensor(name, "indices", input)
    if input.dtype not in (facula.int64, facula.int32):
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar "
            f"types: Long, Int; but got {type_name(input)} instead (while checking arguments for "
            f"{name})"
        )


def _check_padding_idx(padding_idx: int | None, rows: int, bags: bool = False) -> int:
    """The row that never learns; -1 for none."""
    if padding_idx is None:
        return -1
    if not -rows <= padding_idx < rows:
        if bags:
            raise RuntimeError(
                f"padding_idx must be within the number of embeddings, {-rows} through {rows - 1}, "
                f"but got {padding_idx}"
            )
        raise AssertionError("Padding_idx must be within num_embeddings")
    return padding_idx % rows


def limit_norms(
    name: str, weight: Tensor, index: Tensor, max_norm: float, norm_type: float
) -> None:
    """Shorten, in place, the rows of ``weight`` that are looked up and longer than allowed."""
    _check_indices(index, name)
    with facula.no_grad():
        used = facula.zeros(weight.shape[0], dtype=facula.bool, device=weight.device)
        used = used.index_fill(0, index.reshape(-1).to(facula.int64), True)
        norm = weight.detach().norm(norm_type, 1)
        factor = facula.where(used & (norm > max_norm), max_norm / (norm + 1e-7), 1.0)
        weight.copy_(weight.detach() * factor.unsqueeze(1))


def _frequency_scale(index: Tensor, rows: int, dtype) -> Tensor:
    """One over how often each entry of ``index`` (flat) occurs in it."""
    counts = facula.zeros(rows, dtype=dtype, device=index.device)
    counts = counts.index_add(0, index, facula.ones_like(index, dtype=dtype))
    return 1 / counts.index_select(0, index)


def _rows(
    weight: Tensor, flat: Tensor, sparse: bool, padding_idx: int, by_frequency: bool
) -> Tensor:
    """The rows of ``weight`` that ``flat`` names; with ``sparse``, its gradient has only these."""
    if not (sparse and weight.requires_grad):
        return weight.index_select(0, flat)
    if by_frequency:
        raise RuntimeError(
            "embedding_backward: scale_grad_by_freq not supported with sparse gradients"
        )
    from facula.sparse.embedding import rows

    return rows(weight, flat.to(facula.int64), padding_idx)


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of ``weight`` that ``input`` names.

    Args:
        input: indices of any shape.
        weight: ``(rows, features)``.
        padding_idx: a row that gets no gradient.
        max_norm: rows longer than this are shortened, in place, as they are looked up.
        scale_grad_by_freq: divide gradients by how often their row occurs in ``input``.

    Raises:
        IndexError: an index that is no row.
    """
    if scale_grad_by_freq is not False or sparse is not False:
        require_bools("embedding", scale_grad_by_freq=scale_grad_by_freq, sparse=sparse)
    padding_idx = _check_padding_idx(padding_idx, weight.size(0) if weight.dim() else 0)
    if weight.dim() != 2:
        raise RuntimeError("'weight' must be 2-D")
    _check_indices(input, "embedding")
    if max_norm is not None:
        limit_norms("embedding_renorm_", weight, input, max_norm, norm_type)
    learns = weight.requires_grad
    if present(input) is not None and not (learns and (sparse or scale_grad_by_freq)):
        out = rows_at(weight, input, name="embedding")
        if padding_idx >= 0 and learns:
            out = facula.where((input == padding_idx).unsqueeze(-1), out.detach(), out)
        return out
    flat = input.reshape(-1)
    out = _rows(weight, flat, sparse, padding_idx, scale_grad_by_freq)
    if scale_grad_by_freq and learns:
        scale = _frequency_scale(flat.to(facula.int64), weight.shape[0], out.dtype)
        out = _ScaleGradient.apply(out, scale.unsqueeze(1))
    if padding_idx >= 0 and learns:
        out = facula.where((flat == padding_idx).unsqueeze(1), out.detach(), out)
    return out if flat is input else shaped(out, (*input.shape, weight.shape[1]))


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Sum, mean or maximum of the rows of ``weight`` named by each bag of indices.

    Args:
        input: ``(bags, size)``, or all bags one after the other with ``offsets``.
        weight: ``(rows, features)``.
        offsets: where each bag begins (with ``include_last_offset`` also where the last ends).
        mode: ``"sum"``, ``"mean"`` or ``"max"``. An empty bag gives zeros.
        per_sample_weights: a factor for each index, with ``mode="sum"`` only.
        padding_idx: indices that do not count.
    """
    if weight.dtype is facula.int64 and input.is_floating_point():  # the order of old programs
        warn(
            "Argument order of nn.functional.embedding_bag was changed. Usage "
            "`embedding_bag(weight, input, ...)` is deprecated, and should now be "
            "`embedding_bag(input, weight, ...)`."
        )
        input, weight = weight, input
    if per_sample_weights is not None and input.size() != per_sample_weights.size():
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({per_sample_weights.shape}) is not None, "
            f"then it must have the same shape as the input ({input.shape})"
        )
    if weight.dim() != 2:
        raise ValueError(
            f"weight has to be a 2D Tensor, but got Tensor of dimension {weight.dim()}"
        )
    require_bools("embedding_bag", scale_grad_by_freq=scale_grad_by_freq, sparse=sparse)
    sizes = _bag_sizes(input, offsets, include_last_offset)
    bags = len(sizes)
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if mode == "max":
        if scale_grad_by_freq:
            raise ValueError("max mode does not support scaling the gradient by the frequency")
        if sparse:
            raise ValueError("max mode does not support sparse weights")
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported "
            f"for mode='sum' (got mode='{mode}')."
        )
    _check_indices(input, "embedding_bag")
    if per_sample_weights is not None and per_sample_weights.dtype != weight.dtype:
        raise RuntimeError(
            "Expected tensor for argument #1 'weight' to have the same type as tensor for "
            f"argument #1 'per_sample_weights'; but type {type_name(weight)} does not equal "
            f"{type_name(per_sample_weights)} (while checking arguments for embedding_bag)"
        )
    padding_idx = _check_padding_idx(padding_idx, weight.size(0), True)
    if max_norm is not None:
        limit_norms("embedding_renorm_", weight, input, max_norm, norm_type)

    if input.node.device is None:
        known(input)  # computed by now, if it is an array: its bounds are checked at the call
    plain = not (weight.requires_grad and (sparse or scale_grad_by_freq))
    if plain and present(input) is not None:
        out = _of_bags(input, weight, sizes, mode, per_sample_weights, padding_idx)
        if out is not None:
            return out.to(weight.dtype)
    flat = input.reshape(-1).to(facula.int64)
    rows = upcast(_rows(weight, flat, sparse, padding_idx, scale_grad_by_freq))
    if scale_grad_by_freq and weight.requires_grad:
        scale = _frequency_scale(flat, weight.shape[0], rows.dtype)
        rows = _ScaleGradient.apply(rows, scale.unsqueeze(1))
    if per_sample_weights is not None:
        rows = rows * upcast(per_sample_weights).reshape(-1, 1)
    counted = None if padding_idx < 0 else flat != padding_idx
    out = _max_of_bags(rows, sizes, counted) if mode == "max" else None
    if out is None:
        if counted is not None:
            rows = facula.where(counted.unsqueeze(1), rows, 0.0)
        bag = from_array(np.repeat(np.arange(bags), sizes)).to(input.device)
        out = rows.new_zeros((bags, rows.shape[1])).index_add(0, bag, rows)
    if mode == "mean":
        ones = facula.ones_like(flat, dtype=rows.dtype)
        ones = ones if counted is None else counted.to(rows.dtype)
        counts = rows.new_zeros(bags).index_add(0, bag, ones)
        out = out / counts.clamp(min=1).unsqueeze(1)
    return out.to(weight.dtype)


def _of_bags(
    input: Tensor, weight: Tensor, sizes: Any, mode: str, factors: Tensor | None, padding: int
) -> Tensor | None:
    """The bags of indices that are there, in float32 at least; None for maxima of any size."""
    _check_index("index_select", input, weight.shape[0])
    at = present(input).reshape(-1).astype(np.int64, copy=False)
    if factors is not None:
        factors = upcast(factors).reshape(-1)
    if padding >= 0 and (at == padding).any():
        keep = np.flatnonzero(at != padding)
        bag = np.repeat(np.arange(len(sizes)), sizes)
        at, sizes = at[keep], np.bincount(bag[keep], minlength=len(sizes))
        factors = None if factors is None else factors.index_select(0, from_array(keep))
    size = _even(sizes)
    if size:
        rows = upcast(rows_at(weight, from_array(at.reshape(-1, size)), input))
        rows = rows if factors is None else rows * factors.reshape(-1, size, 1)
        out = rows.max(1).values if mode == "max" else rows.sum(1)
        return out / size if mode == "mean" else out
    if mode == "max":
        return None
    out = bag_sums(weight, at, sizes, factors, input)
    if mode == "mean":
        counts = np.maximum(sizes, 1).astype(out.dtype.np).reshape(-1, 1)
        out = out / from_array(counts)
    return out


def _even(sizes: Any) -> int:
    """How many indices each bag has, if all have as many and some; 0 otherwise."""
    least = int(sizes.min()) if sizes.size else 0
    return least if least and least == sizes.max() else 0


def _bag_sizes(input: Tensor, offsets: Tensor | None, include_last_offset: bool) -> Any:
    """How many indices each bag has."""
    if input.dim() == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch "
                f"of fixed length sequences. However, found offsets of type {type(offsets)}"
            )
        return np.full(input.shape[0], input.shape[1])
    if input.dim() != 1:
        raise ValueError(
            f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.dim()}"
        )
    if offsets is None:
        raise ValueError("offsets has to be a 1D Tensor but got None")
    if offsets.dim() != 1:
        raise ValueError("offsets has to be a 1D Tensor")
    starts, count = values(offsets), input.shape[0]
    if starts.size and starts[0] != 0:
        raise RuntimeError(
            "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from "
            f"position 0. However, got {starts[0]}"
        )
    if starts.size and starts[-1] > count:
        raise RuntimeError(
            f"offsets[-1] can not be greater than input's length {count} but got offsets[-1] of "
            f"{starts[-1]}"
        )
    if include_last_offset:
        if not starts.size:
            raise RuntimeError("include_last_offset: number of offsets should be at least 1")
        starts = starts[:-1]
    # The last bag reaches to the end of the input, whatever the last offset says.
    sizes = np.diff(starts, append=count) if starts.size else np.zeros(0, np.int64)
    if sizes.size and sizes.min() < 0:
        raise RuntimeError(f"embedding_bag: offsets must not decrease, got {offsets.tolist()}")
    return sizes


def _max_of_bags(rows: Tensor, sizes: Any, counted: Tensor | None) -> Tensor:
    """The maximum over each run of ``sizes`` rows; zeros for a run without any that count."""
    longest = int(sizes.max()) if sizes.size else 0
    if not longest:
        return rows.new_zeros((len(sizes), rows.shape[1])) + rows.sum(0)
    # Every bag is filled up to the longest by its own first row.
    starts = np.minimum(np.cumsum(sizes) - sizes, len(rows) - 1)[:, None]
    inside = np.arange(longest) < sizes[:, None]
    at = np.where(inside, starts + np.arange(longest), starts)
    device = rows.device
    index = from_array(at.reshape(-1)).to(device)
    kept = from_array(inside.reshape(-1)).to(device)
    if counted is not None:
        kept = kept & counted.index_select(0, index)
    shape = (len(sizes), longest)
    kept = kept.reshape(*shape, 1)
    table = rows.index_select(0, index).reshape(*shape, rows.shape[1])
    top = table.masked_fill(kept.logical_not(), float("-inf")).max(1).values
    return facula.where(kept.any(1), top, 0.0)


@explained
def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Vectors of ``num_classes`` zeros with a one at the place that ``tensor`` says.

    With -1 there are as many classes as the largest index needs.
    """
    if tensor.dtype is not facula.int64:
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    if tensor.numel() == 0:
        if num_classes <= 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        return facula.zeros([*tensor.shape, num_classes], dtype=facula.int64, device=tensor.device)
    classes = known(tensor)
    if num_classes < 1 or outside(classes, num_classes):
        if (classes < 0).any():
            raise RuntimeError("Class values must be non-negative.")
        if num_classes != -1:
            raise RuntimeError("Class values must be smaller than num_classes.")
        num_classes = int(tensor.max()) + 1
    return run(_one_hot, (tensor,), num_classes)


@pure
def _one_hot(tensors: Any, static: Any, numbers: Any) -> Tensor:
    (tensor,) = tensors
    classes = facula.arange(static, device=tensor.device)
    hot = (shaped(tensor, (*tensor.shape, 1)) == classes).to(facula.int64)
    return in_layout(hot, None)
