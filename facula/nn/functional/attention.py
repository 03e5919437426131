"""Attention: the scaled dot product, and the many heads around it."""

from __future__ import annotations

import math
from typing import Any

import facula
from facula import Tensor
from facula.meta import META
from facula.ops.composed import whole
from facula.ops.contraction import MATMUL_WIDE
from facula.ops.movement import apart, in_layout
from facula.ops.promotion import need
from facula.ops.registry import like_strides
from facula.ops.table import mixed
from facula.trace.node import Other
from facula.trace.recorder import record
from facula.trace.spans import pure, run

from ._common import is_low
from .linear import linear

_KERNEL_NAMES = {
    "float32": "float",
    "float64": "double",
    "int64": "long int",
    "int32": "int",
    "float16": "c10::Half",
    "bfloat16": "c10::BFloat16",
    "bool": "bool",
}


def _dtype_name(t: Tensor) -> str:
    name = str(t.dtype).rpartition(".")[2]
    return _KERNEL_NAMES.get(name, name)


@mixed
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """``softmax(query @ key.T * scale + mask) @ value``.

    Args:
        query: ``(..., L, E)``.
        key: ``(..., S, E)``.
        value: ``(..., S, Ev)``.
        attn_mask: broadcast to ``(..., L, S)``: bool (True takes part) or added to the scores.
            A query that may look at nothing gets zeros. Beside ``is_causal`` it may stand where
            queries, keys and values have four dimensions, without dropout; elsewhere it raises
            RuntimeError.
        dropout_p: the probability with which a weight is dropped.
        is_causal: whether position ``i`` looks only at positions up to ``i``.
        scale: by default ``1 / sqrt(E)``.
        enable_gqa: whether each head of ``key`` and ``value`` serves several of ``query``.
    """
    tensors = (query, key, value, attn_mask)
    static = (dropout_p, is_causal, scale, enable_gqa)
    if dropout_p > 0 or isinstance(scale, Tensor):  # it draws numbers, or reads one
        return _attention(tensors, static, ())
    return run(_attention, tensors, static)


@pure
def _attention(tensors: Any, static: Any, numbers: Any) -> Tensor:
    query, key, value, attn_mask = tensors
    dropout_p, is_causal, scale, enable_gqa = static
    _check_attention(query, key, value, attn_mask, is_causal, enable_gqa)
    if is_causal and attn_mask is not None:
        _check_two_masks(query, key, value, attn_mask, dropout_p)
    q, k, v = apart(query), apart(key), value  # PyTorch saves them scaled
    if enable_gqa and q.dim() > 2:
        k = _repeat_heads(k, q.shape[-3])
        v = _repeat_heads(v, q.shape[-3])
    if scale is None:
        scale = 1.0 / math.sqrt(q.shape[-1]) if q.shape[-1] else 1.0
    if is_low(query):  # scores in float32, of operands that are not
        scores = record(MATMUL_WIDE, (q, k.transpose(-2, -1))) * scale
    else:
        scores = q.matmul(k.transpose(-2, -1)) * scale  # joins the product, as scaled rows do not
    if is_causal:
        shape = scores.shape[-2:]
        seen = facula.ones(shape, dtype=facula.bool, device=q.device).tril()
        # Recorded as a number, so that the compiler knows what is hidden (compiler/hidden.py).
        nothing = facula.full((), float("-inf"), dtype=scores.dtype, device=q.device)
        scores = facula.where(seen, scores, nothing)
    if attn_mask is not None:
        if attn_mask.dtype is facula.bool:
            scores = scores.masked_fill(attn_mask.logical_not(), float("-inf"))
        else:
            scores = scores + attn_mask
    weights = softmax_or_zero(scores) if attn_mask is not None else scores.softmax(-1)
    if dropout_p > 0:
        weights = facula.dropout(weights, dropout_p, True)
    out = weights.to(query.dtype).matmul(v)
    masked = attn_mask is not None and attn_mask.node.rg
    if dropout_p > 0 or masked or query.dim() != 4:
        return out
    if query.node.strides is not None and _lie_alike(query, key, value, attn_mask):
        out = in_layout(out, like_strides(query.node))
    if enable_gqa:
        return out
    return whole(out, "ScaledDotProductFlashAttentionForCpu", query, key, value, attn_mask)


def _lie_alike(query: Any, key: Any, value: Any, attn_mask: Any) -> bool:
    """Whether PyTorch lays the result out in memory as the queries are, so that heads that were
    taken apart by `view` and `transpose` are put together by `transpose` and `view`.

    Its fused kernel does, which is asked for queries, keys and values of one size whose numbers
    lie next to each other (aten/src/ATen/native/transformers/sdp_utils_cpp.cpp).
    """
    nodes = [t.node for t in (query, key, value)]
    if any([n.op is META or n.op.__class__ is Other for n in nodes]):
        return False
    (b, _, _, e), k, v = [n.shape for n in nodes]
    if not (len(k) == len(v) == 4 and k[0] == v[0] == b and k[1] == v[1] and k[3] == v[3] == e):
        return False
    if any([0 in n.shape or (n.strides or (1,))[-1] != 1 for n in nodes]):
        return False
    return attn_mask is None or attn_mask.dim() in (2, 4)


def softmax_or_zero(scores: Tensor) -> Tensor:
    """Softmax over the last dimension; zeros, not NaN, where everything is minus infinity."""
    blocked = (scores == float("-inf")).all(-1, keepdim=True)
    return scores.masked_fill(blocked, 0.0).softmax(-1).masked_fill(blocked, 0.0)


def _repeat_heads(x: Tensor, heads: int) -> Tensor:
    return x.repeat_interleave(heads // x.shape[-3], -3)


def _check_attention(query, key, value, attn_mask, is_causal, enable_gqa) -> None:
    if not query.dtype == key.dtype == value.dtype:
        raise RuntimeError(
            "Expected query, key, and value to have the same dtype, but got query.dtype: "
            f"{_dtype_name(query)} key.dtype: {_dtype_name(key)} and value.dtype: "
            f"{_dtype_name(value)} instead."
        )
    if not (query.dtype.is_floating_point or query.dtype.is_complex):
        raise RuntimeError(
            f"Expected query, key, and value to be floating point, but got {_dtype_name(query)}"
        )
    if not query.device == key.device == value.device:
        raise RuntimeError(
            "Expected query, key, and value to have the same device type, but got query.device: "
            f"{query.device} key.device: {key.device} and value.device: {value.device} instead."
        )
    if min(query.dim(), key.dim(), value.dim()) < 2:
        raise RuntimeError(
            "Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: "
            f"{query.dim()} key.dim: {key.dim()} and value.dim: {value.dim()} instead."
        )
    if attn_mask is not None:
        allowed = (facula.bool, facula.float32, query.dtype)
        if attn_mask.dtype not in allowed:
            raise RuntimeError(
                "Expected attn_mask dtype to be bool or float or to match query dtype, but got "
                f"attn_mask.dtype: {_dtype_name(attn_mask)} and  query.dtype: "
                f"{_dtype_name(query)} instead."
            )
    if enable_gqa and query.dim() > 2:
        for name, t in (("key", key), ("value", value)):
            if query.shape[-3] % t.shape[-3]:
                raise RuntimeError(
                    f"Number of heads in {name} and query must divide evenly for grouped query "
                    f"attention, got {t.shape[-3]} and {query.shape[-3]}"
                )


def _check_two_masks(query, key, value, attn_mask, dropout_p) -> None:
    """A mask of one's own beside the causal one: PyTorch's fused kernel for CPUs takes both."""
    heads = query.dim() == key.dim() == value.dim() == 4 and query.shape[-1] == value.shape[-1]
    if dropout_p > 0 or not heads or attn_mask.dim() not in (2, 4) or attn_mask.requires_grad:
        raise RuntimeError(
            "_scaled_dot_product_attention: Explicit attn_mask should not be set when "
            "is_causal=True"
        )


# ---- many heads


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """What :class:`facula.nn.MultiheadAttention` computes; see there.

    Query ``(L, N, E)``, key and value ``(S, N, E)``, or all without ``N``. Returns the output and
    the attention weights (None unless ``need_weights``).
    """
    tensors = (
        *(query, None if key is query else key, None if value is key else value),
        *(in_proj_weight, in_proj_bias, bias_k, bias_v, out_proj_weight, out_proj_bias),
        *(key_padding_mask, attn_mask, q_proj_weight, k_proj_weight, v_proj_weight),
        *(static_k, static_v),
    )
    dropout_p = dropout_p if training else 0.0
    static = (
        *(key is query, value is key, embed_dim_to_check, num_heads, add_zero_attn, dropout_p),
        *(need_weights, use_separate_proj_weight, average_attn_weights, is_causal),
    )
    draws = dropout_p > 0
    found = _multi_head(tensors, static, ()) if draws else run(_multi_head, tensors, static)
    return found if need_weights else (found, None)


@pure
def _multi_head(tensors: Any, static: Any, numbers: Any) -> Any:
    query, key, value, in_proj_weight, in_proj_bias, bias_k, bias_v, *rest = tensors
    out_proj_weight, out_proj_bias, key_padding_mask, attn_mask, *rest = rest
    q_proj_weight, k_proj_weight, v_proj_weight, static_k, static_v = rest
    key_is_query, value_is_key, embed_dim_to_check, num_heads, add_zero_attn, dropout_p, *rest = (
        static
    )
    need_weights, use_separate_proj_weight, average_attn_weights, is_causal = rest
    key = query if key_is_query else key
    value = key if value_is_key else value
    batched = _check_heads(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not batched:
        query, key, value = query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1)
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    length, batch, width = query.shape
    sources = key.shape[0]

    key_padding_mask = canonical_mask(
        key_padding_mask, "key_padding_mask", none_or_dtype(attn_mask), "attn_mask", query.dtype
    )
    if is_causal and attn_mask is None:
        raise RuntimeError(
            "Need attn_mask if specifying the is_causal hint. You may use the Transformer module "
            "method `generate_square_subsequent_mask` to create this mask."
        )
    if is_causal and key_padding_mask is None and not need_weights:
        attn_mask = None  # the hint says what the mask is
    else:
        attn_mask = canonical_mask(attn_mask, "attn_mask", None, "", query.dtype, check_other=False)
        if key_padding_mask is not None:
            is_causal = False

    if width != embed_dim_to_check:
        raise AssertionError(
            f"was expecting embedding dimension of {embed_dim_to_check}, but got {width}"
        )
    head_dim = width // num_heads
    if head_dim * num_heads != width:
        raise AssertionError(f"embed_dim {width} not divisible by num_heads {num_heads}")
    if use_separate_proj_weight:
        if key.shape[:2] != value.shape[:2]:
            raise AssertionError(
                f"key's sequence and batch dims {key.shape[:2]} do not match value's "
                f"{value.shape[:2]}"
            )
    elif key.shape != value.shape:
        raise AssertionError(f"key shape {key.shape} does not match value shape {value.shape}")

    weights = (q_proj_weight, k_proj_weight, v_proj_weight)
    if not use_separate_proj_weight:
        if in_proj_weight is None:
            raise AssertionError("use_separate_proj_weight is False but in_proj_weight is None")
        weights = in_proj_weight
    else:
        for name, w in zip("qkv", weights, strict=True):
            if w is None:
                raise AssertionError(
                    f"use_separate_proj_weight is True but {name}_proj_weight is None"
                )
    q, k, v = _project(query, key, value, weights, in_proj_bias)

    attn_mask = _check_attn_mask(attn_mask, length, sources, batch, num_heads)
    if (bias_k is None) != (bias_v is None):
        raise AssertionError("bias_k and bias_v must both be given or both be None")
    if bias_k is not None:
        if static_k is not None:
            raise AssertionError("bias cannot be added to static key.")
        if static_v is not None:
            raise AssertionError("bias cannot be added to static value.")
        k = facula.cat([k, bias_k.repeat(1, batch, 1)])
        v = facula.cat([v, bias_v.repeat(1, batch, 1)])
        attn_mask, key_padding_mask = _one_more(attn_mask), _one_more(key_padding_mask)

    q = q.reshape(length, batch * num_heads, head_dim).transpose(0, 1)
    k = _heads(k, static_k, "static_k", batch, num_heads, head_dim)
    v = _heads(v, static_v, "static_v", batch, num_heads, head_dim)
    if add_zero_attn:
        zeros = k.new_zeros((batch * num_heads, 1, head_dim))
        k, v = facula.cat([k, zeros], 1), facula.cat([v, zeros], 1)
        attn_mask, key_padding_mask = _one_more(attn_mask), _one_more(key_padding_mask)
    sources = k.shape[1]

    if key_padding_mask is not None:
        if tuple(key_padding_mask.shape) != (batch, sources):
            raise AssertionError(
                f"expecting key_padding_mask shape of {(batch, sources)}, but got "
                f"{key_padding_mask.shape}"
            )
        padding = key_padding_mask.reshape(batch, 1, 1, sources)
        padding = padding.expand(batch, num_heads, 1, sources)
        padding = padding.reshape(batch * num_heads, 1, sources)
        attn_mask = padding if attn_mask is None else attn_mask + padding
    if need_weights:
        q = q * math.sqrt(1.0 / head_dim)
        if attn_mask is None:
            scores = q.bmm(k.transpose(-2, -1))
        else:
            scores = facula.baddbmm(attn_mask, q, k.transpose(-2, -1))
        attention = scores.softmax(-1)
        if dropout_p > 0:
            attention = facula.dropout(attention, dropout_p, True)
        out = attention.matmul(v)
    else:
        shape, of_sources = [(batch, num_heads, n, head_dim) for n in (length, sources)]
        if attn_mask is not None:
            if attn_mask.shape[0] == 1 and attn_mask.dim() == 3:
                attn_mask = attn_mask.unsqueeze(0)
            else:
                rows = attn_mask.shape[-2]  # 1 of padding alone
                attn_mask = attn_mask.reshape(batch, num_heads, rows, sources)
        out = scaled_dot_product_attention(
            q.reshape(shape), k.reshape(of_sources), v.reshape(of_sources), attn_mask, dropout_p,
            is_causal and attn_mask is None,
        ).reshape(batch * num_heads, length, head_dim)  # fmt: skip
    out = out.transpose(0, 1).reshape(length * batch, width)
    out = linear(out, out_proj_weight, out_proj_bias)
    out = out.reshape(length, batch, out.shape[1])
    if not need_weights:
        return out if batched else out.squeeze(1)
    attention = attention.reshape(batch, num_heads, length, sources)
    if average_attn_weights:
        attention = attention.mean(1)
    if not batched:
        out, attention = out.squeeze(1), attention.squeeze(0)
    return out, attention


def _check_heads(query, key, value, key_padding_mask, attn_mask, num_heads) -> bool:
    """Whether the inputs have a batch dimension; raise where their dimensions do not agree."""
    if query.dim() not in (2, 3):
        raise AssertionError(
            f"query should be unbatched 2D or batched 3D tensor but received {query.dim()}-D "
            "query tensor"
        )
    batched = query.dim() == 3
    n = query.dim()
    words = ("batched (3-D)", "3-D") if batched else ("unbatched (2-D)", "2-D")
    if key.dim() != n or value.dim() != n:
        raise AssertionError(
            f"For {words[0]} `query`, expected `key` and `value` to be {words[1]} but found "
            f"{key.dim()}-D and {value.dim()}-D tensors respectively"
        )
    if key_padding_mask is not None and key_padding_mask.dim() != n - 1:
        raise AssertionError(
            f"For {words[0]} `query`, expected `key_padding_mask` to be `None` or {n - 1}-D but "
            f"found {key_padding_mask.dim()}-D tensor instead"
        )
    if attn_mask is not None:
        if attn_mask.dim() not in (2, 3):
            raise AssertionError(
                f"For {words[0]} `query`, expected `attn_mask` to be `None`, 2-D or 3-D but found "
                f"{attn_mask.dim()}-D tensor instead"
            )
        if not batched and attn_mask.dim() == 3:
            expected = (num_heads, query.shape[0], key.shape[0])
            if tuple(attn_mask.shape) != expected:
                raise AssertionError(
                    f"Expected `attn_mask` shape to be {expected} but got {attn_mask.shape}"
                )
    return batched


def none_or_dtype(t: Tensor | None) -> Any:
    """The dtype of ``t``, or None."""
    if t is not None and not isinstance(t, Tensor):
        raise RuntimeError(f"a mask must be None or a Tensor, not {type(t).__name__}")
    return None if t is None else t.dtype


def canonical_mask(
    mask: Tensor | None,
    mask_name: str,
    other_type: Any,
    other_name: str,
    target_type: Any,
    check_other: bool = True,
) -> Tensor | None:
    """``mask`` as numbers to add to the scores: True of a bool mask becomes minus infinity."""
    if mask is None:
        return None
    need(mask_name, input=mask)
    if mask.dtype is not facula.bool and not mask.is_floating_point():
        raise AssertionError(f"only bool and floating types of {mask_name} are supported")
    if check_other and other_type is not None and mask.dtype != other_type:
        import warnings

        warnings.warn(
            f"Support for mismatched {mask_name} and {other_name} is deprecated. Use same type "
            "for both instead.",
            stacklevel=3,
        )
    if mask.is_floating_point():
        return mask
    zeros = facula.zeros(mask.shape, dtype=target_type, device=mask.device)
    return zeros.masked_fill(mask, float("-inf"))


def _project(query, key, value, weights, bias):
    """Query, key and value times their weights: one product where they are one tensor."""
    width = query.shape[-1]
    if not isinstance(weights, Tensor):
        biases = (None, None, None) if bias is None else bias.chunk(3)
        inputs = (query, key, value)
        return [linear(x, w, b) for x, w, b in zip(inputs, weights, biases, strict=True)]
    if key is value:
        if query is key:
            out = linear(query, weights, bias)
            return out.reshape([*out.shape[:-1], 3, width]).unbind(-2)
        w_q, w_kv = weights.split([width, width * 2])
        b_q, b_kv = (None, None) if bias is None else bias.split([width, width * 2])
        out = linear(key, w_kv, b_kv)
        k, v = out.reshape([*out.shape[:-1], 2, width]).unbind(-2)
        return linear(query, w_q, b_q), k, v
    biases = (None, None, None) if bias is None else bias.chunk(3)
    triples = zip((query, key, value), weights.chunk(3), biases, strict=True)
    return [linear(x, w, b) for x, w, b in triples]


def _check_attn_mask(mask, length, sources, batch, num_heads):
    """The mask as ``(1 or N * heads, L, S)``."""
    if mask is None:
        return None
    if mask.dim() == 2:
        if tuple(mask.shape) != (length, sources):
            raise RuntimeError(
                f"The shape of the 2D attn_mask is {mask.shape}, but should be {(length, sources)}."
            )
        return mask.unsqueeze(0)
    if tuple(mask.shape) != (batch * num_heads, length, sources):
        raise RuntimeError(
            f"The shape of the 3D attn_mask is {mask.shape}, but should be "
            f"{(batch * num_heads, length, sources)}."
        )
    return mask


def _one_more(mask: Tensor | None) -> Tensor | None:
    """The mask with one more source, which everyone may look at."""
    if mask is None:
        return None
    return facula.cat([mask, mask.new_zeros([*mask.shape[:-1], 1])], -1)


def _heads(x, static, name, batch, num_heads, head_dim) -> Tensor:
    if static is None:
        return x.reshape(x.shape[0], batch * num_heads, head_dim).transpose(0, 1)
    if static.size(0) != batch * num_heads:
        raise AssertionError(
            f"expecting {name}.size(0) of {batch * num_heads}, but got {static.size(0)}"
        )
    if static.size(2) != head_dim:
        raise AssertionError(f"expecting {name}.size(2) of {head_dim}, but got {static.size(2)}")
    return static
