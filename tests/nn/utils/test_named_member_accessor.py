"""Tensors of a module, changed for others by name."""

from __future__ import annotations

import pytest

import facula as torch
from facula.nn.utils import _named_member_accessor as members
from facula.nn.utils._named_member_accessor import set_tensor, swap_tensor


def test_parameters_buffers_and_attributes_are_swapped():
    m = torch.nn.BatchNorm1d(2)
    m.note = torch.zeros(1)
    for name in ("weight", "running_mean", "note"):
        before, new = getattr(m, name), torch.full((2,), 7.0)
        assert swap_tensor(m, name, new) is before
        assert getattr(m, name) is new
        assert swap_tensor(m, name, members._MISSING) is new
        assert not hasattr(m, name)
    assert swap_tensor(m, "more", torch.ones(1), allow_missing=True) is members._MISSING
    set_tensor(m, "other", torch.ones(1))
    assert m.more.item() == m.other.item() == 1


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("a.weight", torch.ones(1), KeyError),
        ("", torch.ones(1), KeyError),
        ("absent", torch.ones(1), AttributeError),
        ("training", torch.ones(1), TypeError),
        ("weight", 1.0, TypeError),
    ],
)
def test_what_is_refused(name, value, error):
    with pytest.raises(error):
        swap_tensor(torch.nn.Linear(1, 1), name, value)
    with pytest.raises(TypeError, match=r"nn\.Module"):
        swap_tensor(value, name, value)
