"""Copying forms of views, and padding."""

from __future__ import annotations

import pytest

import facula as torch


def test_copies_do_not_share_memory():
    x = torch.zeros(2, 3)
    for y in (torch.permute_copy(x, (1, 0)), torch.view_copy(x, (6,)), *torch.unbind_copy(x)):
        y.fill_(1)
    assert x.sum().item() == 0


def test_padding_widens_and_cuts():
    x = torch.tensor([[1, 2], [3, 4]])
    assert torch.constant_pad_nd(x, (1, -1), 9).tolist() == [[9, 1], [9, 3]]
    assert torch.constant_pad_nd(x, (0, 0, 1, 0)).tolist() == [[0, 0], [1, 2], [3, 4]]
    with pytest.raises(RuntimeError, match="negative output size"):
        torch.constant_pad_nd(x, (-2, -1))
