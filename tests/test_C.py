"""What libraries take from PyTorch's C++ module."""

import facula as torch
from facula import _C


class Noted(torch.Tensor):
    calls: list = []

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        cls.calls.append(func.__name__)
        return super().__torch_function__(func, types, args, kwargs)


def test_subclasses_can_be_left_out():
    t = torch.ones(3).as_subclass(Noted)
    Noted.calls.clear()
    assert type(t + 1) is Noted and len(Noted.calls) == 1
    with torch.DisableTorchFunctionSubclass():
        assert type(t + 1) is torch.Tensor and len(Noted.calls) == 1
        with _C.DisableTorchFunction():
            assert torch.add(t, 1).tolist() == [2, 2, 2]
        assert len(Noted.calls) == 1
    assert type(torch.mul(t, 2)) is Noted and len(Noted.calls) == 2
