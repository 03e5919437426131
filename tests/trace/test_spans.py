"""Stretches of the trace that are followed as one step: when, with what results, and when not."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import facula as torch
from facula.optim import _grouped
from facula.trace import spans, stretches
from facula.trace.recorder import TLS, Recorder, flush


class Counting:
    """A function for `spans.run` that counts how often it is really called."""

    def __init__(self, body):
        self.body, self.calls = body, 0

    def __call__(self, tensors, static, numbers):
        self.calls += 1
        return self.body(tensors, static, numbers)


def frames(f, count=4):
    """What `f` gives in each of several frames."""
    out = []
    for i in range(count):
        flush()
        out.append(f(i))
    flush()
    return out


def test_a_known_stretch_is_not_called_again():
    f = Counting(lambda ts, p, s: (ts[0] * ts[1] + p[0]).exp())
    a, b = torch.randn(3, 4), torch.randn(3, 4)
    for out in frames(lambda i: spans.run(f, (a, b), (2.0,)).tolist()):
        np.testing.assert_allclose(out, np.exp(a.numpy() * b.numpy() + 2), rtol=1e-5)
    a._exported = b._exported = None  # handed to NumPy by the comparison above
    assert f.calls == 1
    frames(lambda i: spans.run(f, (a, b), (3.0,)).tolist())
    assert f.calls == 2  # other settings


def test_memory_that_numpy_code_held_once_is_no_obstacle():
    f = Counting(lambda ts, p, s: (ts[0] * 3).exp())
    a = torch.ones(4)
    a.numpy()
    frames(lambda i: spans.run(f, (a,)).tolist())
    assert f.calls == 1


def test_memory_of_numpy_that_is_read_twice():
    f = Counting(lambda ts, p, s: (ts[0] + 1) * ts[0].exp())
    array = np.zeros(3, np.float32)
    got = []
    for i in range(4):
        flush()
        array[:] = i
        out = spans.run(f, (torch.from_numpy(array),))
        array[:] = 9  # after it was read
        got.append(out.tolist())
    np.testing.assert_allclose(got, [[(i + 1) * np.exp(i)] * 3 for i in range(4)], rtol=1e-6)
    assert f.calls == 1


def test_operands_may_be_left_out():
    def body(ts, p, s):
        x, weight, bias, more = ts
        for t in (weight, bias, more):
            if t is not None:
                x = x * 2 + t
        return x.exp()

    f = Counting(body)
    x, a, b = torch.zeros(2), torch.ones(2), torch.ones(2) * 3
    for ts in [(x, None, None, b), (x, a, None, None), (x, None, a, b), (x, None, None, None)]:
        want, calls = body(ts, (), ()).tolist(), f.calls
        assert frames(lambda i, ts=ts: spans.run(f, ts).tolist()) == [want] * 4
        assert f.calls == calls + 1


def test_gradients_flow_through_a_followed_stretch():
    f = Counting(lambda ts, p, s: (ts[0] * ts[1]).exp())
    a, b = torch.randn(5, requires_grad=True), torch.randn(5)

    def step(i):
        a.grad = None
        spans.run(f, (a, b)).sum().backward()
        return a.grad.tolist()

    got = frames(step)
    assert f.calls == 1
    assert got[0] == got[1] == got[3]
    x = a.tolist()
    np.testing.assert_allclose(got[0], [np.exp(u * v) * v for u, v in zip(x, b.tolist())], 1e-5)


def test_numbers_change_from_call_to_call():
    f = Counting(lambda ts, p, s: ts[0] * s[0] + s[1])
    a = torch.arange(3.0)
    got = frames(lambda i: spans.run(f, (a,), (), (float(i), i * 10.0)).tolist())
    assert got == [[0, 0, 0], [10, 11, 12], [20, 22, 24], [30, 33, 36]]
    assert f.calls == 1


def test_equal_numbers_are_told_apart():
    f = Counting(lambda ts, p, s: ts[0] * s[0] - s[1])
    a = torch.ones(2)
    same = 2.0
    got = frames(lambda i: spans.run(f, (a,), (), (same, same if i < 2 else 5.0)).tolist())
    assert got == [[0, 0], [0, 0], [-3, -3], [-3, -3]]
    assert f.calls == 1


def test_a_number_computed_from_the_numbers_is_never_a_constant():
    f = Counting(lambda ts, p, s: ts[0] * (s[0] + 1))
    a = torch.ones(2)
    got = frames(lambda i: spans.run(f, (a,), (), (float(i),)).tolist())
    assert got == [[1, 1], [2, 2], [3, 3], [4, 4]]
    assert f.calls == 4


def test_numbers_of_another_type_call_the_function():
    f = Counting(lambda ts, p, s: ts[0] * s[0])
    a = torch.arange(3)
    got = frames(lambda i: spans.run(f, (a,), (), (2.0,) if i < 2 else (2,)))
    assert [t.dtype for t in got] == [torch.float32] * 2 + [torch.int64] * 2
    assert f.calls == 3


def test_writes_and_versions_are_repeated():
    def body(ts, p, s):
        m, g = ts
        m *= s[0]
        m += g * s[1]

    f = Counting(body)
    m, g = torch.zeros(2), torch.ones(2)
    other = torch.zeros(2)
    with torch.no_grad():
        for i in range(4):
            flush()
            before = m._version
            spans.run(f, (m, g), (), (0.5, float(i)))
            assert m._version == before + 2
            other = other * 0.5 + float(i)
    assert m.tolist() == other.tolist()
    assert f.calls == 1


def test_a_write_spoils_what_a_graph_has_saved():
    f = Counting(lambda ts, p, s: ts[0].mul_(s[0]) is None or None)
    m = torch.ones(2)
    w = torch.ones(2, requires_grad=True)
    for _ in range(3):
        loss = (w * m).sum()
        flush()
        with torch.no_grad():
            spans.run(f, (m,), (), (2.0,))
        flush()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()
    assert f.calls == 1


def test_one_tensor_as_two_operands():
    f = Counting(lambda ts, p, s: ts[0] * ts[1])
    a, b = torch.tensor([2.0], requires_grad=True), torch.tensor([3.0], requires_grad=True)
    for first, second, want in ((a, b, 6.0), (a, b, 6.0), (a, a, 4.0), (b, b, 9.0), (a, b, 6.0)):
        a.grad = b.grad = None
        out = spans.run(f, (first, second))
        out.backward()
        assert out.item() == want
        assert first.grad.item() == (2 * first.item() if first is second else second.item())


def test_a_view_as_result_is_a_view_every_time():
    f = Counting(lambda ts, p, s: ts[0].t())
    a = torch.zeros(2, 3)
    for i in range(3):
        flush()
        spans.run(f, (a,))[0, 1] = i + 1.0
        assert a[1, 0] == i + 1.0
    assert f.calls == 3


def test_memory_shared_with_numpy_is_read_each_time():
    f = Counting(lambda ts, p, s: ts[0] + 1)
    array = np.zeros(2, np.float32)
    a = torch.from_numpy(array)
    for i in range(4):
        array[:] = i
        assert spans.run(f, (a,)).tolist() == [i + 1, i + 1]


def test_memory_that_numpy_holds_is_copied_without_a_call():
    """What is written to an agent's observation after the call is not what the program reads."""
    f = Counting(lambda ts, p, s: ts[0] @ ts[1] + 1)
    w = torch.randn(4, 3)
    known = w.tolist()
    memory = np.ones((2, 4), np.float32)

    def step(i):
        x = torch.from_numpy(memory)
        memory[:] = i
        out = spans.run(f, (x, w))
        memory[:] = -100
        again = spans.run(f, (x, w))
        return out.tolist(), again.tolist()

    found = frames(step)
    for i, values in enumerate(found):
        for out, filled in zip(values, (i, -100), strict=True):
            want = np.full((2, 4), filled) @ np.array(known) + 1
            np.testing.assert_allclose(out, want, rtol=1e-4, atol=1e-4)
    assert f.calls == 2


def test_memory_given_to_numpy_later_is_another_stretch():
    f = Counting(lambda ts, p, s: (ts[0] * ts[0]).sum() + ts[0][0])
    x = torch.tensor([1.0, 2.0])
    lent = None

    def step(i):
        nonlocal lent
        if i == 2:
            lent = x.numpy()
        if i > 2:
            lent[0] = i
        return spans.run(f, (x,)).item()

    assert frames(step, 5) == [6.0, 6.0, 6.0, 16.0, 24.0]


def test_a_pending_parameter_ends_the_frame():
    f = Counting(lambda ts, p, s: ts[0] * ts[1])
    w, x = torch.ones(2, requires_grad=True), torch.full((2,), 3.0)
    flush()
    for _ in range(5):
        w.grad = None
        spans.run(f, (w, x)).sum().backward()
        with torch.no_grad():
            w -= 0.5 * w.grad
    assert w.tolist() == [-6.5, -6.5]
    assert f.calls == 1


def test_gradient_modes_are_different_places():
    f = Counting(lambda ts, p, s: ts[0] * 2)
    w = torch.ones(2, requires_grad=True)
    for _ in range(3):
        flush()
        assert spans.run(f, (w,)).requires_grad
        with torch.no_grad():
            assert not spans.run(f, (w,)).requires_grad
    assert f.calls == 2


def test_hooks_see_what_is_inside():
    """With a graph under construction the function is called."""
    f = Counting(lambda ts, p, s: ts[0] * 2)
    w = torch.ones(2, requires_grad=True)
    seen = []
    for _ in range(3):
        flush()
        y = w * 3
        y.register_hook(lambda g: seen.append(g.tolist()))
        spans.run(f, (y,)).sum().backward()
    assert seen == [[2, 2]] * 3


def test_an_error_is_raised_each_time():
    f = Counting(lambda ts, p, s: ts[0] + ts[1])
    a, b = torch.ones(2), torch.ones(3)
    for _ in range(3):
        flush()
        with pytest.raises(RuntimeError, match="must match the size"):
            spans.run(f, (a, b))
    assert f.calls == 3


def test_results_of_a_tuple():
    f = Counting(lambda ts, p, s: (ts[0] + 1, ts[0] * 2))
    a = torch.ones(2)
    for out in frames(lambda i: [t.tolist() for t in spans.run(f, (a,))]):
        assert out == [[2, 2], [2, 2]]
    assert f.calls == 1


def test_few_variants_are_kept():
    f = Counting(lambda ts, p, s: ts[0] * 2)
    for n in range(1, 3 * spans.VARIANTS):
        flush()
        assert spans.run(f, (torch.ones(n),)).tolist() == [2] * n
    flush()
    spans.run(f, (torch.ones(1),))
    root = TLS.r.roots[True]
    assert all([len(v) <= spans.VARIANTS for v in root.spans.values()])


def test_an_operand_that_was_written_through_a_view_is_read_anew():
    f = Counting(lambda ts, p, s: ts[0] * 2)
    x = torch.zeros(4)
    v = x[:2]

    def step(i):
        v.add_(1)
        torch.synchronize()
        return spans.run(f, (x,)).tolist()

    assert frames(step) == [[2.0 * i + 2, 2.0 * i + 2, 0.0, 0.0] for i in range(4)]


def test_a_parameter_that_was_written_through_a_view_is_read_anew():
    """What is stale before the frame ends is stale after it too."""
    f = Counting(lambda ts, p, s: ts[0] * 2)
    w = torch.zeros(4, requires_grad=True)

    def step(i):
        w.data[:2].add_(1)
        with torch.no_grad():
            w.view(2, 2).add_(1)
        return spans.run(f, (w,)).tolist()

    assert frames(step) == [[4.0 * i + 4, 4.0 * i + 4, 2.0 * i + 2, 2.0 * i + 2] for i in range(4)]


def test_one_tensor_as_two_operands_is_not_two_tensors():
    f = Counting(lambda ts, p, s: ts[0] * 2 + ts[1].exp())
    a, b = torch.zeros(2), torch.ones(2)
    for one, other, calls in ((a, a, 1), (a, b, 2), (b, b, 2), (b, a, 2), (a, a, 2)):
        flush()
        want = (one.numpy() * 2 + np.exp(other.numpy())).tolist()
        a._exported = b._exported = None
        assert spans.run(f, (one, other)).tolist() == pytest.approx(want)
        assert f.calls == calls


def test_what_pure_functions_make_views_of_stays_alone():
    """Their views are values: no memory is shared, and leaves as operands can be followed."""

    def body(ts, p, s):
        (x,) = ts
        return x.t()[1:].reshape(-1).detach() + x.unsqueeze(0).sum(), x.t()

    f = Counting(spans.pure(body))
    spans.pure(f)
    x = torch.arange(6.0).reshape(2, 3).clone()
    for _ in range(3):
        flush()
        first, second = spans.run(f, (x,))
        assert first.tolist() == [16.0, 19.0, 17.0, 20.0]
        assert not second._is_view() and x._storage is None
        second.zero_()
        assert x.sum().item() == 15
    assert f.calls == 1


def test_settings_in_lists_are_read_each_time():
    f = Counting(lambda ts, p, s: ts[0] + p[0][0])
    a, settings = torch.ones(2), [1]
    for i in range(3):
        settings[0] = i
        assert spans.run(f, (a,), (settings,)).tolist() == [i + 1.0] * 2
    assert f.calls == 3


def test_named_results_have_their_class():
    x = torch.tensor([[3.0, 1.0], [2.0, 5.0]])
    for _ in range(3):
        flush()
        found = torch.max(x * 1, 1)
        assert type(found) is torch.return_types.max
        assert found.values.tolist() == [3, 5] and found.indices.tolist() == [0, 1]


def test_a_parameter_that_was_written_through_data_is_followed_again():
    model = torch.nn.Linear(2, 1)
    x = torch.ones(3, 2)
    torch.nn.init.zeros_(model.weight), torch.nn.init.zeros_(model.bias)

    calls = []
    module = sys.modules["facula.nn.functional.linear"]
    linear = module._linear

    def step(i):
        loss = model(x).sum()
        loss.backward()
        for p in model.parameters():
            p.data.sub_(p.grad.data)
            p.grad = None
        return loss.item()

    with pytest.MonkeyPatch.context() as m:
        m.setattr(module, "_linear", spans.pure(lambda *args: calls.append(1) or linear(*args)))
        assert frames(step, 6) == [-27.0 * i for i in range(6)]
    assert len(calls) == 1


def test_a_view_of_memory_that_numpy_holds_is_read_anew():
    f = Counting(lambda ts, p, s: ts[0] * 2)
    a = np.zeros(3, np.float32)

    def step(i):
        a[:] = i
        return spans.run(f, (torch.from_numpy(a).unsqueeze(0),)).tolist()

    assert frames(step) == [[[2.0 * i] * 3] for i in range(4)]
    assert f.calls == 1


def steps_of_sizes(sizes):
    """Train a small network on batches of these sizes: how often its optimiser's update was
    recorded at each step, and the parameters after it."""
    torch.manual_seed(0)
    layers = [torch.nn.Linear(4, 5), torch.nn.Linear(5, 3)]
    parameters = [p for m in layers for p in m.parameters()]
    optimizer = torch.optim.Adam(parameters, 0.01)
    recorded, after = [], []
    record = spans._record

    def counted(r, f, *args):
        recorded[-1] += f is _grouped._apply_all
        return record(r, f, *args)

    spans._record = counted
    try:
        for n in sizes:
            recorded.append(0)
            x = torch.linspace(-1, 1, 4 * n).reshape(n, 4)
            loss = layers[1](layers[0](x).relu()).pow(2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            after.append([p.detach().clone() for p in parameters])
    finally:
        spans._record = record
    return recorded, [[p.tolist() for p in ps] for ps in after]


@pytest.fixture
def nothing_known(monkeypatch):
    monkeypatch.setattr(TLS, "r", Recorder())


def test_an_update_after_ever_new_sizes_becomes_a_frame_of_its_own(nothing_known, monkeypatch):
    sizes = range(2, 22)
    recorded, after = steps_of_sizes(sizes)
    assert all(recorded[: spans.WANDERS]) and sum(recorded) <= spans.WANDERS + 3
    monkeypatch.setattr(TLS, "r", Recorder())
    monkeypatch.setattr(spans, "WANDERS", 1000)
    always, same = steps_of_sizes(sizes)
    assert all(always)
    for ps, qs in zip(after, same, strict=True):
        for p, q in zip(ps, qs, strict=True):
            np.testing.assert_allclose(p, q, rtol=1e-5, atol=1e-7)


def test_a_size_that_comes_often_gets_a_program_with_its_update(nothing_known, monkeypatch):
    monkeypatch.setattr(stretches, "AT_HOME", 12)
    recorded, _ = steps_of_sizes([*range(2, 22), *[9, 30] * 20])
    late = recorded[22:]
    assert sum(late) == 1  # of size 30, once; 9 was met before updates were set apart
    assert late.index(1) > 2 * 11


def test_calls_with_gradients_and_short_ones_stay_in_their_frames(nothing_known):
    f = Counting(lambda ts, p, s: ts[0] * 2 + 1)
    with torch.no_grad():
        for n in range(1, 3 + 2 * spans.WANDERS):
            spans.run(f, (torch.randn(n).sum() * torch.randn(3),))
    assert not TLS.r.wanderers
