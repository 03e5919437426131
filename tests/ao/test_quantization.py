"""Classes of quantised networks are there to be asked about, and can't be made."""

import pytest

import facula as torch
from facula.ao import quantization


@pytest.mark.parametrize("name", ["ObserverBase", "FakeQuantizeBase"])
def test_observers_can_not_be_made(name):
    cls = getattr(quantization, name)
    assert not isinstance(torch.nn.Linear(1, 1), cls)
    with pytest.raises(NotImplementedError, match=name):
        cls()
