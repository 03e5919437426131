"""Batches on CUDA devices, where there are none."""

import pytest

import facula as torch
from facula.nn import parallel


def test_there_are_no_devices_to_split_over():
    with pytest.raises(RuntimeError, match="no CUDA device"):
        parallel.scatter(torch.ones(4), [0, 1])
    with pytest.raises(AssertionError, match="no CUDA device"):
        parallel.gather([torch.ones(2)], 0)
