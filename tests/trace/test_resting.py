"""The garbage collector rests while frames are planned, and is as it was afterwards."""

import gc

import pytest

import facula as torch
from facula.trace.resting import resting


@pytest.mark.parametrize("on", [True, False])
def test_the_collector_is_as_it_was(on):
    seen = []

    @resting
    def inner(fails):
        seen.append(gc.isenabled())
        if fails:
            raise ValueError("inside")
        return fails

    @resting
    def outer(fails):
        inner(fails)
        seen.append(gc.isenabled())

    was = gc.isenabled()
    try:
        (gc.enable if on else gc.disable)()
        outer(False)
        with pytest.raises(ValueError, match="inside"):
            outer(True)
        assert gc.isenabled() is on and seen == [False] * 3
    finally:
        (gc.enable if was else gc.disable)()


def test_hooks_run_with_the_collector():
    seen = []
    w = torch.ones(3, requires_grad=True)
    w.register_hook(lambda g: seen.append(gc.isenabled()))
    y = (w * 2).exp().sum()
    y.item()
    y.backward()
    assert seen == [gc.isenabled()]
