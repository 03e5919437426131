"""`out=`: what it must be, and what it may not share."""

from __future__ import annotations

import numpy as np
import pytest

import facula as torch


def test_out_is_resized_unless_its_memory_is_numpys():
    out = torch.empty(0)
    assert torch.add(torch.ones(2), 1, out=out) is out
    assert out.tolist() == [2, 2]
    shared = torch.from_numpy(np.zeros(1, np.float32))
    with pytest.raises(RuntimeError, match="not resizable"):
        torch.add(torch.ones(2), 1, out=shared)


def test_out_has_a_type_that_holds_the_result():
    with pytest.raises(RuntimeError, match="can't be cast"):
        torch.add(torch.ones(2), 1, out=torch.empty(2, dtype=torch.int64))
    with pytest.raises(RuntimeError, match="to have dtype"):
        torch.amax(torch.ones(2), 0, out=torch.empty((), dtype=torch.float64))


def test_out_does_not_overlap_itself():
    with pytest.raises(RuntimeError, match="single memory location"):
        torch.add(torch.ones(3), 1, out=torch.ones(1).expand(3))


def test_out_of_several_results():
    values, indices = torch.empty(0), torch.empty(0, dtype=torch.int64)
    torch.sort(torch.tensor([2.0, 1.0]), out=(values, indices))
    assert (values.tolist(), indices.tolist()) == ([1, 2], [1, 0])
