"""Libraries ask whether other processes can be called."""

import pytest

from facula.distributed import rpc


def test_no_process_can_be_called():
    assert not rpc.is_available() and not hasattr(rpc, "api")
    with pytest.raises(NotImplementedError, match="init_rpc"):
        rpc.init_rpc("worker0")
