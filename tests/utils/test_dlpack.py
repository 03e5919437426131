"""Memory exchanged by DLPack."""

import numpy as np
import pytest

import facula as torch
from facula.utils import dlpack


def test_a_capsule_shares_the_memory():
    x = torch.arange(6.0).reshape(2, 3).t()
    y = dlpack.from_dlpack(dlpack.to_dlpack(x))
    y[0, 1] = 50
    x.mul_(2)
    assert y.tolist() == x.tolist() == [[0, 100], [2, 8], [4, 10]]
    assert y.stride() == x.stride()


def test_objects_and_copies():
    a = np.arange(3)
    t, copied = dlpack.from_dlpack(a), torch.from_dlpack(a, copy=True, device="cpu")
    a[0] = 9
    assert t.tolist() == [9, 1, 2] and copied.tolist() == [0, 1, 2]
    with pytest.raises(RuntimeError, match="got list"):
        dlpack.from_dlpack([1.0])
    with pytest.raises(BufferError, match="detach"):
        dlpack.to_dlpack(torch.ones(2, requires_grad=True))
    assert dlpack.DLDeviceType(t.__dlpack_device__()[0]) is dlpack.DLDeviceType.kDLCPU
