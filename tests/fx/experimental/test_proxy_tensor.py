"""Libraries ask whether a tracer is at work."""

import facula as torch
from facula.fx.experimental.proxy_tensor import get_proxy_mode


def test_no_tracer_is_at_work():
    assert get_proxy_mode() is None and torch.fx.experimental.proxy_tensor is not None
