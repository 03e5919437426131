"""Libraries name backward passes over several processes."""

import pytest

from facula.distributed import autograd


@pytest.mark.parametrize(
    "call", [autograd.context, lambda: autograd.backward(1, []), lambda: autograd.get_gradients(1)]
)
def test_no_process_can_be_called(call):
    assert not autograd.is_available()
    with pytest.raises(NotImplementedError, match="distributed"):
        call()
