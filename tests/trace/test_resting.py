"""The garbage collector rests while frames are planned, and is as it was afterwards."""

import gc
import sys

import pytest

import facula as torch
from facula.trace.recorder import TLS
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


def test_a_backward_pass_that_records_collects_nothing_until_code_of_the_user_is_called():
    seen, lines = [], []

    def hook(g):
        seen.append(gc.isenabled())
        doubled = g * 2  # its line is that of the hook
        lines.append(TLS.r.cur.line[1] - hook.__code__.co_firstlineno)
        return doubled

    w = torch.ones(3, requires_grad=True)
    y = (w * 2).exp()
    y.register_hook(hook)
    was = gc.isenabled()
    try:
        gc.enable()
        y.sin().sum().backward()
        assert seen == [True] and lines == [2] and gc.isenabled()
        gc.disable()
        torch.nn.functional.linear(torch.ones(2, 3), torch.ones(4, 3)).sum().item()
        assert not gc.isenabled()
    finally:
        (gc.enable if was else gc.disable)()
    assert TLS.r.place is None and not TLS.r.rests


def test_what_the_library_records_at_once_has_the_line_of_the_user():
    w = torch.ones(3, requires_grad=True)
    y = (w * 2).exp().sum()
    first = sys._getframe().f_lineno
    y.backward()
    assert w.grad.node.line == (__file__, first + 1)
    z = torch.nn.functional.layer_norm(torch.ones(2, 3), (3,))
    assert z.node.line == (__file__, first + 3)
