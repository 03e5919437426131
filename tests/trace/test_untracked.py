"""Entries of the main thread's trie are hidden from Python's garbage collector until dropped."""

import gc
import threading
import weakref

import facula
from facula.trace.node import INPUT, Node
from facula.trace.recorder import TLS


def record(size: int) -> list[Node]:
    """Entries of frames of their own, and an input."""
    x = facula.ones(size, 3)
    y = (x.t() @ x).sin()
    made = [x.node, y.node, *y.node.inputs]
    y.sum().item()
    z = x + y[:1].sum()  # both are inputs here
    made += [z.node, *z.node.inputs]
    z.sum().item()
    assert any([n.op is INPUT for n in made])
    return made


def seen(size: int) -> int:
    """How many nodes of this height the collector knows."""
    gc.collect()
    found = [x for x in gc.get_objects() if type(x) is Node and x.rec is not None]
    return sum([size in n.shape for n in found])


def test_the_collector_does_not_see_entries():
    made = record(1231)
    assert seen(1231) == 0
    assert not any([gc.is_tracked(n) for n in made])
    assert not any([gc.is_tracked(n.inputs) for n in made if n.inputs])


def test_a_trie_that_is_dropped_is_garbage():
    TLS.r.forget()
    TLS.r.reset()
    made = record(1237)
    record(1237)  # follows
    record(1249)  # another follower of the same entries
    TLS.r.forget()
    assert all([gc.is_tracked(n) for n in made])
    assert seen(1237) >= 4
    assert seen(1249) >= 4
    del made
    TLS.r.reset()
    assert seen(1237) == seen(1249) == 0


def test_what_other_threads_saw_is_garbage_when_they_end():
    recorders = []

    def work() -> None:
        assert all([gc.is_tracked(n) for n in record(1259)])
        recorders.append(weakref.ref(TLS.r))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen(1259) == 0
    assert recorders[0]() is None
