"""Sorting tensors by dtype."""

import pytest

import facula as torch
from facula.utils import _foreach_utils as lists


def test_tensors_are_sorted_by_the_first_row():
    a, b, c = torch.ones(2), torch.ones(1).double(), torch.ones(3)
    x, z = torch.zeros(2), torch.zeros(1)
    groups = lists._group_tensors_by_device_and_dtype([[a, b, c], [x, None, z]], with_indices=True)
    assert set(groups) == {(a.device, torch.float32), (a.device, torch.float64)}
    rows, indices = groups[a.device, torch.float32]
    assert rows[0][0] is a and rows[0][1] is c and rows[1][1] is z and indices == [0, 2]
    rows, indices = groups[a.device, torch.float64]
    assert rows[0][0] is b and rows[1] == [None] and indices == [1]
    with pytest.raises(RuntimeError, match="no tensor"):
        lists._group_tensors_by_device_and_dtype([[None]])


def test_lists_gain_nothing_on_the_cpu():
    t = torch.ones(1)
    assert "cpu" not in lists._get_foreach_kernels_supported_devices()
    assert lists._has_foreach_support([t, None], t.device)
    assert "cpu" in lists._get_fused_kernels_supported_devices()
