"""Optimisers of several processes are there to be asked about, and can't be made."""

import pytest

import facula as torch
from facula.distributed import optim


@pytest.mark.parametrize("name", optim.__all__)
def test_none_can_be_made(name):
    cls = getattr(optim, name)
    assert not isinstance(torch.optim.SGD([torch.ones(1)]), cls)
    with pytest.raises(NotImplementedError, match=name):
        cls([torch.ones(1)])
