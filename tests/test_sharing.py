"""Which memory a tensor looks at may change: copies, `data`, and parameters that are converted."""

from __future__ import annotations

import pytest

import facula as torch
from facula import sharing


def test_a_moved_parameter_holds_its_memory_alone() -> None:
    p = torch.nn.Parameter(torch.ones(3))
    loss = (p * p).sum()
    p.data = torch.full((3,), 2.0)
    sharing.alone(p)
    assert p._storage is None and p._counter is None
    assert p._version == 0 and p.is_leaf and p.tolist() == [2.0] * 3
    with torch.no_grad():
        p += 1  # what was saved is of the old memory, and tied to this tensor's version
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
    assert p._version == 1


def test_memory_that_others_see_is_not_held_alone() -> None:
    p, u = torch.nn.Parameter(torch.ones(3)), torch.zeros(3)
    p.data = u
    sharing.alone(p)
    with torch.no_grad():
        p += 1
    assert u.tolist() == [1.0] * 3


def test_modules_that_are_converted_keep_no_views() -> None:
    model = torch.nn.Linear(2, 2).double()
    assert [p._storage for p in model.parameters()] == [None, None]
