"""Conversions."""

from __future__ import annotations

import facula as torch


def test_to_returns_the_tensor_itself_where_nothing_changes():
    x = torch.ones(2)
    assert x.to(torch.float32) is x
    assert x.to(torch.float32, copy=True) is not x
    assert x.to(torch.ones(1, dtype=torch.int8)).dtype is torch.int8


def test_conversion_wraps_and_cuts_as_c_does():
    assert torch.tensor([300, -1]).to(torch.uint8).tolist() == [44, 255]
    assert torch.tensor([-1.7, 2.9]).long().tolist() == [-1, 2]
    assert torch.tensor([0.1, 0.0]).bool().tolist() == [True, False]
