"""Where results lie: memory that is written over, and memory that is used again."""

from types import SimpleNamespace

import numpy as np
import pytest

import facula as torch
from facula.compiler import program as native
from facula.compiler.memory import Pool, pool_of
from facula.interpreter import program


@pytest.fixture(autouse=True)
def compiled(monkeypatch):
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)


def address(t):
    return t.data_ptr()


def test_a_pool_hands_out_what_nobody_has():
    pool = Pool((3,), np.float32)
    pool.most = 2
    held = [pool.take(), pool.take()]  # in a list: what watches a frame may hold its variables
    where = [id(x) for x in held]
    assert where[0] != where[1]
    del held[1]
    held.append(pool.take())
    assert id(held[1]) == where[1]
    del held[0]
    held.append(pool.take())
    assert id(held[1]) == where[0]
    assert id(pool.take()) not in where  # somebody has both


def test_a_pool_forgets_what_it_gives_away():
    pool = Pool((3,), np.float32)
    pool.most = 2
    first = id(pool.take())
    a = pool.take(keep=False)
    assert id(a) == first and not any(a is x for x in pool.arrays)
    pool.give(a)
    pool.give(a)
    assert [x is a for x in pool.arrays] == [True]


def test_a_pool_takes_no_memory_of_others():
    pool = Pool((3,), np.float32)
    pool.most = 2
    pool.give(np.zeros(6, np.float32)[:3])
    constant = np.zeros(3, np.float32)
    constant.flags.writeable = False
    pool.give(constant)
    assert not pool.arrays


def test_programs_share_pools():
    a, b = pool_of((5, 7), np.float32, 1), pool_of((5, 7), np.dtype("f4"), 3)
    assert a is b and a.most == 6
    assert pool_of((5, 7), np.float64, 1) is not a


def test_two_programs_use_the_same_memory_for_their_results():
    x = torch.ones(300, 100)
    where = set()
    for _ in range(3):
        for f in (torch.exp, torch.sin, torch.cos):
            where.add(address(f(x)))
    assert len(where) <= 2


def test_a_large_parameter_is_written_in_place_though_its_memory_was_a_result_once():
    w = torch.ones(300, 100, requires_grad=True)
    x = torch.ones(4, 300)
    where = []
    held = w.detach().clone()
    for step in range(6):
        with torch.no_grad():
            if step == 2:  # the memory of a result, which the pool has as well
                w.copy_(held * 2)
        (x @ w).sum().backward()
        with torch.no_grad():
            w -= 0.1 * w.grad
        w.grad = None
        where.append(address(w))
    assert len(set(where[3:])) == 1


def test_a_pool_does_not_keep_as_much_as_moved_out_of_it():
    shape = (611, 517)
    w = torch.randn(shape)
    momentum = torch.zeros(shape)
    for _ in range(6):
        momentum.mul_(0.9).add_(w)
        w.sub_(momentum * 0.1)
        torch.synchronize()
    assert pool_of(shape, np.float32, 1).arrays == []


def test_what_somebody_holds_is_not_written_over():
    w = torch.ones(300, 100, requires_grad=True)
    x = torch.ones(4, 300)
    old = []
    for _ in range(5):
        torch.synchronize()
        old.append(w.detach().numpy())
        w.data = w.detach() - x.sum() * 0  # a new value; the arrays above stay as they are
        (x @ w).sum().backward()
        with torch.no_grad():
            w.data = w.data - 0.25 * w.grad
        w.grad = None
    torch.synchronize()
    for k, a in enumerate(old):
        assert (a == 1 - k).all()


def test_memory_that_a_view_reads_in_another_order_is_not_written_over():
    """Also where the storage's array is itself a view, so that views of it are its base's."""
    for base in (np.arange(6.0).reshape(3, 2), np.arange(6.0).reshape(3, 2)[...]):
        t = torch.from_numpy(base.copy()[...] if base.base is None else base)
        t = t.clone()
        t.t_()
        twice = t * 2
        t.index_copy_(0, torch.tensor([0]), torch.tensor([[5.0, 6.0, 7.0]], dtype=torch.float64))
        torch.synchronize()
        t.mul_(twice)
        assert t.tolist() == [[0.0, 24.0, 56.0], [2.0, 18.0, 50.0]]


def test_no_input_is_written_over_beside_an_interpreted_step(monkeypatch):
    """That step may be interrupted, and all is run again: nothing may be added twice."""
    from facula.ops.sorting import ISIN

    body, calls = ISIN.body, []

    def found(*args):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return body(*args)

    monkeypatch.setattr(ISIN, "body", found)
    early, late, x = torch.zeros(70, 50), torch.zeros(70, 50), torch.ones(70, 50)
    edges = torch.arange(50.0)
    torch.synchronize()
    for k in range(4):
        early.add_(x * 2.0)
        late.add_(torch.isin(early * 0.5, edges).float())
        if k == 2:
            with pytest.raises(KeyboardInterrupt):
                torch.synchronize()
        torch.synchronize()
    assert len(calls) == 5
    assert early.tolist() == [[8.0] * 50] * 70 and late.tolist() == [[4.0] * 50] * 70


def test_large_results_begin_at_a_line_of_the_caches():
    """And are nobody else's view: written over, handed out again, shared with NumPy."""
    x = torch.randn(300, 200)
    for _ in range(3):
        y = x * 2
        torch.synchronize()
        shared = y.numpy()
        assert shared.ctypes.data % 64 == 0
        shared[0] = 7.0
        assert (y[0] == 7).all() and y.is_contiguous()
    z = y[1:].t()
    assert torch.equal(z, y.t()[:, 1:]) and z.data_ptr() == y.data_ptr() + 800


def test_what_a_loop_updates_is_moved_to_a_line_once(monkeypatch):
    monkeypatch.setattr(native, "astray", lambda a: True)
    monkeypatch.setattr(program, "placed", lambda a: a)  # results too lie as NumPy has them
    p = torch.randn(300, 200)
    torch.synchronize()
    seen, want = [], p.clone().numpy()
    for _ in range(5):
        p.mul_(0.5).add_(1.0)
        want = want * np.float32(0.5) + np.float32(1.0)
        torch.synchronize()
        seen.append(p.data_ptr())
    np.testing.assert_array_equal(p.numpy(), want)
    assert len(set(seen[1:])) == 1 and seen[-1] % 64 == 0


def test_of_many_some_are_moved_in_each_run(monkeypatch):
    """As many as fit into what a run may move; what is too large alone stays."""
    inputs = [np.zeros(n, np.float32) for n in (100, 60, 1000, 50, 40, 90)]
    badly = {id(a) for a in inputs}
    monkeypatch.setattr(native, "astray", lambda a: id(a) in badly)
    monkeypatch.setattr(native, "MOVED", 4 * 200)
    fresh = [((), None, k, object()) for k in range(5)] + [((), None, 5, None)]
    program = SimpleNamespace(fresh=[*fresh, ((), None, -1, object())], moving=True)
    runs = []
    while program.moving:
        runs.append(native.CompiledProgram._moved(program, inputs))
        badly -= {id(inputs[k]) for k in runs[-1]}
    assert runs == [{0, 1, 4}, {3}]


@pytest.mark.parametrize("rows, most, moved", [(301, 1000, set()), (302, 1 << 20, {0})])
def test_no_more_is_moved_than_is_worth_it(rows, most, moved, monkeypatch):
    monkeypatch.setattr(native, "astray", lambda a: True)
    monkeypatch.setattr(program, "placed", lambda a: a)  # results too lie as NumPy has them
    monkeypatch.setattr(native, "MOVED", most)
    found, ask = [], native.CompiledProgram._moved

    def spy(self, inputs):
        found.append(ask(self, inputs))
        return found[-1]

    monkeypatch.setattr(native.CompiledProgram, "_moved", spy)
    monkeypatch.setattr(program, "COMPILE_AFTER", 10**9)
    p = torch.ones(rows, 200).exp()
    torch.synchronize()
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    for _ in range(3):
        p.mul_(0.5).sub_(most)
        torch.synchronize()
    assert found == [moved]


def test_a_part_is_written_where_the_rest_lies():
    z, y = torch.arange(24.0).reshape(6, 4).clone(), torch.ones(3, 4)
    for k in range(4):
        torch.synchronize()
        where = address(z)
        z[:3] = y * k
        torch.synchronize()
        assert address(z) == where
        assert z[:3].tolist() == [[float(k)] * 4] * 3
        assert z[3:].tolist() == [[c + r for c in range(4)] for r in (12, 16, 20)]


def test_a_part_that_reads_the_rest_is_written_elsewhere():
    z = torch.arange(24.0).reshape(6, 4).clone()
    want = np.arange(24.0).reshape(6, 4)
    for _ in range(4):
        z[:3], want[:3] = z[3:] * z[:3], want[3:] * want[:3]
        torch.synchronize()
        assert z.tolist() == want.tolist()
        z[1:4], want[1:4] = z[2:5].clone(), want[2:5].copy()


def test_what_others_hold_is_not_written_over():
    z, y = torch.arange(24.0).reshape(6, 4), torch.ones(3, 4)
    for k in range(4):
        before = z.clone()
        want = before.tolist()
        more = z + 1
        z[:3] = y * k
        assert before.tolist() == want
        np.testing.assert_array_equal(more.numpy(), before.numpy() + 1)
        assert z[:3].tolist() == [[float(k)] * 4] * 3


def _put(z, i, v):
    z[i] = v


def _put_one_each(z, i, v):
    z[i, i] = v[:, 0]


INDEXED = {
    "index_put": _put,
    "of two dimensions": _put_one_each,
    "accumulate": lambda z, i, v: z.index_put_((i,), v, accumulate=True),
    "index_add": lambda z, i, v: z.index_add_(0, i, v),
    "index_copy": lambda z, i, v: z.index_copy_(0, i, v),
    "scatter": lambda z, i, v: z.scatter_(1, i[:, None], v),
    "scatter_add": lambda z, i, v: z.scatter_add_(0, i[:, None].expand(3, 300), v),
    "mean": lambda z, i, v: z.scatter_reduce_(0, i[:, None].expand(3, 300), v, "mean"),
    "without what is there": lambda z, i, v: z.scatter_reduce_(
        0, i[:, None].expand(3, 300), v, "amax", include_self=False
    ),
}


@pytest.mark.parametrize("name", INDEXED)
def test_what_indices_name_is_written_where_the_rest_lies(name, monkeypatch):
    i, v = torch.tensor([1, 5, 4]), torch.arange(900.0).reshape(3, 300)
    z = torch.arange(1800.0).reshape(6, 300).clone()
    want = z.clone()
    torch.synchronize()
    where = address(z)
    for k in range(4):
        INDEXED[name](z, i, v * (k + 1))
        torch.synchronize()
        assert address(z) == where
    monkeypatch.setattr(program, "COMPILE_AFTER", 1 << 30)
    for k in range(4):
        INDEXED[name](want, i, (v * (k + 1) + 0).clone())
        torch.synchronize()
    assert torch.equal(z, want)


def test_what_indices_name_and_others_read_is_written_elsewhere():
    i, j = torch.tensor([1, 0, 3]), torch.tensor([0, 1, 1])
    z, want = torch.arange(20.0).reshape(4, 5).clone(), np.arange(20.0).reshape(4, 5)
    for k in range(4):
        z[i], want[[1, 0, 3]] = z[j], want[[0, 1, 1]].copy()
        torch.synchronize()
        assert z.tolist() == want.tolist()
        z.index_add_(0, i, z[1:].clone())
        np.add.at(want, [1, 0, 3], want[1:].copy())
        torch.synchronize()
        assert z.tolist() == want.tolist()
        held, before = z.clone(), want.copy()
        z[i], want[[1, 0, 3]] = float(k), float(k)
        torch.synchronize()
        assert (z.tolist(), held.tolist()) == (want.tolist(), before.tolist())
        z, want = z + torch.arange(20.0).reshape(4, 5), want + np.arange(20.0).reshape(4, 5)
