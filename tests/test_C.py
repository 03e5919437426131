"""What libraries take from PyTorch's C++ module."""

import pytest

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


def test_a_subclass_can_override_nothing():
    class Plain(torch.Tensor):
        __torch_function__ = _C._disabled_torch_function_impl

    t = torch.ones(3).as_subclass(Plain)
    assert type(t) is Plain and type(t + 1) is torch.Tensor and (t + 1).tolist() == [2, 2, 2]


def test_names_for_annotations_and_questions():
    assert _C._TensorMeta is type(torch.Tensor)
    with pytest.raises(NotImplementedError, match="PyTorchFileReader"):
        torch.PyTorchFileReader("file")
    assert torch.TensorType is _C.TensorType and repr(torch.TensorType.get()) == "Tensor"
