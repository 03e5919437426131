"""Causal masks by name (`facula/nn/attention/bias.py`)."""

from __future__ import annotations

import pytest

import facula
from facula.nn.attention.bias import (
    CausalBias,
    CausalVariant,
    causal_lower_right,
    causal_upper_left,
)
from facula.nn.functional import scaled_dot_product_attention


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (causal_upper_left, [[1, 0, 0], [1, 1, 0]]),
        (causal_lower_right, [[1, 1, 0], [1, 1, 1]]),
    ],
)
def test_the_corner_of_the_diagonal(make, expected):
    bias = make(2, 3)
    assert isinstance(bias, CausalBias) and (bias.seq_len_q, bias.seq_len_kv) == (2, 3)
    assert bias._materialize().int().tolist() == expected
    q, k, v = facula.randn(1, 2, 4), facula.randn(1, 3, 4), facula.randn(1, 3, 4)
    mask = facula.tensor(expected, dtype=facula.bool)
    found = scaled_dot_product_attention(q, k, v, attn_mask=bias)
    assert facula.equal(found, scaled_dot_product_attention(q, k, v, attn_mask=mask))


def test_sizes_and_variants_are_checked():
    with pytest.raises(AssertionError, match=r"2 dimensions, got the size \(2, 3, 4\)"):
        causal_upper_left(2, 3, 4)
    with pytest.raises(AssertionError, match="expected a CausalVariant, got 1"):
        CausalBias(1, 2, 3)
    with pytest.warns(UserWarning, match="seq_len_q > seq_len_kv"):
        CausalBias(CausalVariant.LOWER_RIGHT, 3, 2)
