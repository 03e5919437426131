"""Futures."""

import threading

import pytest

from facula.futures import Future, collect_all, wait_all


def test_a_result_is_waited_for_and_passed_on():
    f: Future[int] = Future()
    doubled = f.then(lambda g: 2 * g.wait())
    seen = []
    f.add_done_callback(lambda g: seen.append(g.value()))
    assert not f.done() and not doubled.done() and not seen
    with pytest.raises(RuntimeError, match="not completed"):
        f.value()
    setter = threading.Timer(0.05, f.set_result, [21])
    setter.start()
    assert doubled.wait() == 42 and f.done() and f.wait() == f.value() == 21
    setter.join()
    f.add_done_callback(lambda g: seen.append(g.value() + 1))
    assert seen == [21, 22]
    with pytest.raises(RuntimeError, match="only be marked completed once"):
        f.set_exception(ValueError())
    assert f.then(lambda g: g.value() + 1).wait() == 22


def test_an_error_takes_the_place_of_the_result():
    f: Future[int] = Future()
    after = f.then(lambda g: g.wait())
    with pytest.raises(AssertionError, match="not an Exception"):
        f.set_exception(3)
    f.set_exception(ValueError("x"))
    for ask in (f.wait, f.value):
        with pytest.raises(ValueError, match="x"):
            ask()
    with pytest.raises(RuntimeError, match="running the callback: ValueError: x"):
        after.wait()
    with pytest.warns(UserWarning, match="ZeroDivisionError"):
        f.add_done_callback(lambda g: 1 / 0)


def test_several_at_once():
    futures = [Future() for _ in range(3)]
    both = collect_all(futures[:2])
    futures[1].set_result("b")
    assert not both.done()
    futures[0].set_result("a")
    assert both.wait() == futures[:2]
    assert wait_all(futures[:2]) == ["a", "b"] and wait_all([]) == []
    futures[2].set_exception(KeyError("c"))
    with pytest.raises(KeyError):
        wait_all(futures)


@pytest.mark.parametrize("call", [Future().then, Future().add_done_callback])
def test_callbacks_are_functions(call):
    with pytest.raises(TypeError, match="got int"):
        call(5)
    with pytest.raises(ValueError, match="devices"):
        Future(devices=["cuda:0"])


def test_the_name_at_the_top():
    import facula

    assert facula.Future is Future
