"""Context managers as decorators."""

import pytest

import facula as torch
from facula.utils._contextlib import (
    _DecoratorContextManager,
    _NoParamDecoratorContextManager,
    context_decorator,
)


class Depth(_DecoratorContextManager):
    now = 0

    def __enter__(self):
        Depth.now += 1

    def __exit__(self, *exc):
        Depth.now -= 1


class Bare(_NoParamDecoratorContextManager, Depth):
    pass


def test_functions():
    @Depth()
    def f(x):
        """Its text."""
        return x, Depth.now

    @Bare
    def g():
        return Depth.now

    assert f(5) == (5, 1) and f(6) == (6, 1) and Depth.now == 0 and f.__doc__ == "Its text."
    assert g() == 1 and isinstance(Bare(), Bare)
    with pytest.raises(ZeroDivisionError):
        Depth()(lambda: 1 / 0)()
    assert Depth.now == 0


def test_generators_are_inside_only_while_they_run():
    seen = []

    @Depth()
    def f():
        try:
            sent = yield Depth.now
            seen.append((sent, Depth.now))
            try:
                yield 1
            except KeyError:
                seen.append(("thrown", Depth.now))
            yield 2
        finally:
            seen.append(("closed", Depth.now))
        return 3

    g = f()
    assert next(g) == 1 and Depth.now == 0
    assert g.send("x") == 1 and Depth.now == 0
    assert g.throw(KeyError("k")) == 2 and Depth.now == 0
    g.close()
    assert seen == [("x", 1), ("thrown", 1), ("closed", 1)] and Depth.now == 0

    @Depth()
    def h():
        yield 1
        return 7

    def outer():
        return (yield from h())

    it = outer()
    next(it)
    with pytest.raises(StopIteration) as stop:
        next(it)
    assert stop.value.value == 7


def test_generators_under_no_grad():
    w = torch.ones(2, requires_grad=True)

    @torch.no_grad()
    def f():
        x = yield (w * 2).requires_grad
        yield (w * x).requires_grad

    g = f()
    assert (next(g), g.send(3.0), (w * 2).requires_grad) == (False, False, True)


def test_classes():
    class C:
        def __init__(self):
            self.depth = Depth.now

    with pytest.warns(FutureWarning, match="Decorating classes"):
        made = Depth()(C)
    assert made().depth == 1
    with pytest.raises(RuntimeError, match="Cannot decorate classes"):
        context_decorator(lambda: Depth(), C)
    with pytest.raises(AssertionError, match="ambiguous"):
        context_decorator(Depth(), len)
    with pytest.raises(NotImplementedError):
        _DecoratorContextManager().__enter__()
