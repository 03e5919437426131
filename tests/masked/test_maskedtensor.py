"""Tensors with masks can be asked for, and not made."""

import pytest

import facula as torch


def test_they_can_be_asked_for_but_not_made():
    x = torch.ones(2)
    assert not isinstance(x, torch.masked.MaskedTensor) and not torch.masked.is_masked_tensor(x)
    for make in (
        torch.masked.MaskedTensor,
        torch.masked.masked_tensor,
        torch.masked.as_masked_tensor,
    ):
        with pytest.raises(NotImplementedError, match="MaskedTensor"):
            make(x, x > 0)
