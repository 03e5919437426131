"""`torch.cuda.memory` has names of `torch.cuda`."""

from __future__ import annotations

import pytest

from facula import cuda


def test_the_names_are_those_of_the_package():
    for name in cuda.memory.__all__:
        assert getattr(cuda.memory, name) is getattr(cuda, name)
    with pytest.raises(AttributeError, match=r"torch\.cuda\.memory\.MemPool is not in Facula"):
        cuda.memory.MemPool
