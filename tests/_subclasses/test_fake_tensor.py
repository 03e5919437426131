"""Fake tensors: libraries ask whether one is there."""

import pytest

import facula as torch
from facula._subclasses import fake_tensor


def test_no_tensor_is_fake_and_none_can_be_made():
    assert not fake_tensor.is_fake(torch.ones(1))
    assert not isinstance(torch.ones(1), torch._subclasses.FakeTensor)
    for make in (fake_tensor.FakeTensor, fake_tensor.FakeTensorMode):
        with pytest.raises(NotImplementedError, match="meta"):
            make()
