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
        torch.ones(2, requires_grad=True).__dlpack__()
    with pytest.raises(BufferError, match="layout"):
        torch.from_dlpack(torch.ones(2).to_sparse())
    assert dlpack.DLDeviceType(t.__dlpack_device__()[0]) is dlpack.DLDeviceType.kDLCPU


@pytest.mark.parametrize(
    "name", ["bfloat16", "float8_e4m3fn", "float8_e5m2", "bool", "uint16", "complex64"]
)
def test_every_dtype_travels(name):
    x = torch.arange(6).reshape(2, 3).to(getattr(torch, name)).t()
    for make in (
        lambda: torch.from_dlpack(x),
        lambda: dlpack.from_dlpack(x.__dlpack__()),
        lambda: dlpack.from_dlpack(x.__dlpack__(max_version=(1, 0))),
        lambda: dlpack.from_dlpack(dlpack.to_dlpack(x)),
    ):
        y = make()
        assert y.dtype is x.dtype and y.stride() == x.stride() == (1, 3)
        assert y.data_ptr() == x.data_ptr() and y.tolist() == x.tolist()


def test_a_capsule_without_a_version_can_be_written_and_keeps_its_memory():
    y = dlpack.from_dlpack(torch.arange(1000.0).__dlpack__())
    more = [torch.arange(1000.0) + 1 for _ in range(3)]
    y += 1
    assert torch.equal(y, more[0])
