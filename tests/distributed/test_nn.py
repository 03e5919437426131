"""Collectives, where no process group was started."""

import pytest

import facula as torch
from facula.distributed import nn


@pytest.mark.parametrize("name", nn.__all__)
def test_a_process_group_is_missing(name):
    with pytest.raises(ValueError, match=rf"nn\.{name}\(\): Default process group has not been"):
        getattr(nn, name)(torch.ones(1))
