"""Multi-head attention (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762)."""

from __future__ import annotations

import facula
from facula import Tensor

from .. import functional as F
from ..functional.attention import canonical_mask, none_or_dtype
from ..init import constant_, xavier_normal_, xavier_uniform_
from ..parameter import Parameter
from .linear import NonDynamicallyQuantizableLinear
from .module import Module

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Module):
    """Attention by several heads, each on its own projection of query, key and value.

    Args:
        embed_dim: width of the query and of the output.
        num_heads: ``embed_dim`` is divided evenly among them.
        dropout: probability with which attention weights are dropped in training.
        bias: whether the projections have biases.
        add_bias_kv: whether a learned key and value are added to the sequence.
        add_zero_attn: whether a key and value of zeros are added to the sequence.
        kdim, vdim: widths of key and value, ``embed_dim`` by default.
        batch_first: whether inputs are ``(N, L, E)`` instead of ``(L, N, E)``.
    """

    bias_k: Parameter | None
    bias_v: Parameter | None

    def __init__(
        self,
        embed_dim,
        num_heads,
        dropout=0.0,
        bias=True,
        add_bias_kv=False,
        add_zero_attn=False,
        kdim=None,
        vdim=None,
        batch_first=False,
        device=None,
        dtype=None,
    ) -> None:
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                "embed_dim and num_heads must be greater than 0, got "
                f"embed_dim={embed_dim} and num_heads={num_heads} instead"
            )
        super().__init__()
        self.embed_dim = embed_dim
        self.kdim = kdim if kdim is not None else embed_dim
        self.vdim = vdim if vdim is not None else embed_dim
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        if self.head_dim * num_heads != embed_dim:
            raise AssertionError("embed_dim must be divisible by num_heads")

        def new(*size: int) -> Parameter:
            return Parameter(facula.empty(size, device=device, dtype=dtype))

        if self._qkv_same_embed_dim:
            self.in_proj_weight = new(3 * embed_dim, embed_dim)
            self.register_parameter("q_proj_weight", None)
            self.register_parameter("k_proj_weight", None)
            self.register_parameter("v_proj_weight", None)
        else:
            self.q_proj_weight = new(embed_dim, embed_dim)
            self.k_proj_weight = new(embed_dim, self.kdim)
            self.v_proj_weight = new(embed_dim, self.vdim)
            self.register_parameter("in_proj_weight", None)
        if bias:
            self.in_proj_bias = new(3 * embed_dim)
        else:
            self.register_parameter("in_proj_bias", None)
        self.out_proj = NonDynamicallyQuantizableLinear(
            embed_dim, embed_dim, bias=bias, device=device, dtype=dtype
        )
        if add_bias_kv:
            self.bias_k = new(1, 1, embed_dim)
            self.bias_v = new(1, 1, embed_dim)
        else:
            self.bias_k = self.bias_v = None
        self.add_zero_attn = add_zero_attn
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        if self._qkv_same_embed_dim:
            xavier_uniform_(self.in_proj_weight)
        else:
            xavier_uniform_(self.q_proj_weight)
            xavier_uniform_(self.k_proj_weight)
            xavier_uniform_(self.v_proj_weight)
        if self.in_proj_bias is not None:
            constant_(self.in_proj_bias, 0.0)
            constant_(self.out_proj.bias, 0.0)
        if self.bias_k is not None:
            xavier_normal_(self.bias_k)
        if self.bias_v is not None:
            xavier_normal_(self.bias_v)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ):
        """The attended values, and the attention weights (None unless ``need_weights``).

        Args:
            query: ``(L, N, E)``, with ``batch_first`` ``(N, L, E)``, or ``(L, E)``.
            key: ``(S, N, kdim)``, in the same arrangement.
            value: ``(S, N, vdim)``.
            key_padding_mask: ``(N, S)``, True (or minus infinity) for keys to ignore.
            attn_mask: ``(L, S)`` or ``(N * heads, L, S)``, True where looking is not allowed, or
                numbers to add.
            average_attn_weights: whether the weights are averaged over the heads.
            is_causal: a promise that ``attn_mask`` is the causal one.
        """
        batched = query.dim() == 3
        key_padding_mask = canonical_mask(
            key_padding_mask,
            "key_padding_mask",
            none_or_dtype(attn_mask),
            "attn_mask",
            query.dtype,
        )
        attn_mask = canonical_mask(attn_mask, "attn_mask", None, "", query.dtype, check_other=False)
        if self.batch_first and batched:
            # Equal inputs stay one object: they then need only one projection.
            if key is value:
                if query is key:
                    query = key = value = query.transpose(1, 0)
                else:
                    query = query.transpose(1, 0)
                    key = value = key.transpose(1, 0)
            else:
                query, key, value = (x.transpose(1, 0) for x in (query, key, value))
        same = self._qkv_same_embed_dim
        out, weights = F.multi_head_attention_forward(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight,
            self.out_proj.bias,
            training=self.training,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            use_separate_proj_weight=not same,
            q_proj_weight=None if same else self.q_proj_weight,
            k_proj_weight=None if same else self.k_proj_weight,
            v_proj_weight=None if same else self.v_proj_weight,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
        )
        if self.batch_first and batched:
            out = out.transpose(1, 0)
        return out, weights

    def __setstate__(self, state) -> None:
        super().__setstate__(state)
        self.__dict__.setdefault("_qkv_same_embed_dim", True)

    def merge_masks(self, attn_mask, key_padding_mask, query):
        """Both masks as one of ``(N, heads, L, S)``, and PyTorch's number for its kind."""
        if key_padding_mask is None:
            return attn_mask, (0 if attn_mask is not None else None)
        merged, kind = key_padding_mask, 1
        if attn_mask is not None:
            n, length = query.shape[0], query.shape[1]
            if attn_mask.dim() == 3:
                expanded = attn_mask.reshape(n, -1, length, length)
            else:
                expanded = attn_mask.reshape(1, 1, length, length)
                expanded = expanded.expand(n, self.num_heads, -1, -1)
            padding = key_padding_mask.reshape(n, 1, 1, length).expand(-1, self.num_heads, -1, -1)
            merged, kind = expanded + padding, 2
        return merged, kind
