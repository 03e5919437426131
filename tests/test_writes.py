"""Writes reach every alias, and autograd follows them."""

from __future__ import annotations

import pytest
from nn.stored import agrees, raised

import facula as torch
from facula import nn
from facula.trace.recorder import TLS

RESIZES = pytest.mark.filterwarnings("ignore:An output with one or more elements was resized")


def test_a_write_through_a_view_reaches_the_base_and_other_views():
    x = torch.arange(6.0).reshape(2, 3)
    row, column = x[1], x.t()[2]
    x.t().mul_(2)
    assert row.tolist() == [6, 8, 10]
    row[2] = -1
    assert column.tolist() == [4, -1]
    assert x.tolist() == [[0, 2, 4], [6, 8, -1]]


def test_gradient_through_a_slice_written_in_place():
    a = torch.ones(3, requires_grad=True)
    b = a * 2
    b[1:].mul_(3)
    b.sum().backward()
    assert a.grad.tolist() == [2, 6, 6]


def test_a_base_gets_a_history_from_a_view():
    w = torch.tensor([2.0, 3.0], requires_grad=True)
    x = torch.zeros(2, 2)
    x[0].add_(w)
    assert x.requires_grad and not x.is_leaf
    (x * x).sum().backward()
    assert w.grad.tolist() == [4, 6]


def test_a_value_written_without_history_keeps_the_old_one():
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    y = w * 3
    with torch.no_grad():
        y.mul_(10)
    assert y.tolist() == [30, 60]
    y.sum().backward()
    assert w.grad.tolist() == [3, 3]


def test_memory_written_through_a_view_that_is_gone_can_be_written_whole():
    w = torch.nn.Parameter(torch.ones(3, 2))
    with torch.no_grad():
        w[1].fill_(0)
        torch.synchronize()
        w.mul_(2)
    assert w.tolist() == [[2, 2], [0, 0], [2, 2]] and w.requires_grad
    with torch.no_grad():
        w[1].fill_(0)
        torch.synchronize()
        w.copy_(torch.full((3, 2), 5.0))
    assert w.tolist() == [[5, 5]] * 3


@agrees
def test_writes_through_overlapping_views_of_any_layout(torch):
    x = torch.zeros(3, 1).t()  # of the layout (1, 1)
    x.expand(2, 3)[1:, 0].add_(1)
    y = torch.zeros(4, 6)
    z = y[::2, ::3].t()[:, :1].expand(2, 3)
    z[0, 1] = 5
    z[1, :1] = 4
    w = torch.ones(2, requires_grad=True)
    u = torch.arange(6.0).reshape(2, 3).t().requires_grad_() * 1
    u.unfold(0, 2, 1)[1, 0] = w.sum()
    (u * u).sum().backward()
    p = torch.zeros(2, 3)
    p.data = torch.arange(3.0).expand(2, 3)
    p[0] = 5
    p[0, 0] = 3
    return [x, y, u, w.grad, p, raised(p.mul_, 2)]


def test_a_write_with_a_history_into_a_part_of_spread_memory():
    """What shares memory with the elements written is written, too, though the history is apart."""
    w = torch.tensor([[-2.0, 4.0]]).requires_grad_()
    for look in (lambda t: t.detach(), lambda t: t.detach().data):
        memory = torch.tensor([[-2.0, 4.0]])
        spread = look(memory.view(2).expand(2, 2))
        part = spread[0]
        part *= w[0]
        assert memory.tolist() == [[4.0, 16.0]]
        assert spread.tolist() == [[4.0, 16.0]] * 2
        assert spread.requires_grad and not memory.requires_grad


@RESIZES
def test_shared_memory_that_requires_grad_is_resized():
    """What had a history keeps it; what the view now sees beyond its leaf has no gradient."""
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    view = x[1:]
    y = x * 2
    other = y[:1]
    with torch.no_grad():
        torch.add(torch.ones(3), 1, out=view)
        torch.add(torch.ones(1, 2), 4, out=y)
    assert view.tolist() == [2, 2, 2] and x.tolist() == [1, 2] and x.is_leaf
    assert y.tolist() == [[5, 5]] and other.tolist() == [5] and y.requires_grad
    (view * view).sum().backward()
    assert x.grad.tolist() == [0, 4]
    other.sum().backward()
    assert x.grad.tolist() == [2, 4]


@RESIZES
def test_a_resized_detached_view_still_tells_its_base_of_a_history():
    memory = torch.zeros(4)
    base = memory.detach()
    view = base[1:]
    torch.add(torch.zeros(2), 1, out=view)
    w = torch.tensor([2.0, 3.0], requires_grad=True)
    view *= w
    assert base.tolist() == [0, 2, 3, 0] and base.requires_grad and not memory.requires_grad
    (base * base).sum().backward()
    assert w.grad.tolist() == [4, 6]


def test_memory_that_is_seen_as_another_dtype_is_not_resized():
    parts = torch.view_as_real(torch.zeros(2, dtype=torch.complex64))
    with pytest.warns(UserWarning), pytest.raises(NotImplementedError, match="complex64"):
        torch.add(torch.zeros(7), 1, out=parts)


@pytest.mark.parametrize("how", ["in place", "item", "pending"])
def test_a_table_that_is_updated_while_it_is_read(how):
    """Q-learning: an element is read, and written from what was read of the table."""
    q, want = torch.zeros(4, 3), [[0.0] * 3 for _ in range(4)]
    row, held = q[1], q.detach()
    s = 0
    for k in range(40):
        a = int(q[s].argmax())
        assert a == want[s].index(max(want[s]))
        after = (s * 3 + a + k) % 4
        if how == "in place":
            q[s, a] += 0.5 * (1 + 0.5 * q[after].max() - q[s, a])
        elif how == "item":
            q[s, a] = q[s, a] + 0.5 * (1 + 0.5 * q[after].max().item() - q[s, a])
        else:
            q[s, a] = q[s, a] * 0.5 + (1 + 0.5 * q[after].max()) * 0.5
        want[s][a] += 0.5 * (1 + 0.5 * max(want[after]) - want[s][a])
        s = after
        if k % 7 == 0:
            assert row.tolist() == pytest.approx(want[1])
    assert q.tolist() == [pytest.approx(x) for x in want]
    assert held.tolist() == q.tolist() and row.tolist() == q[1].tolist()


def test_an_element_that_a_history_saved_is_spoiled_by_a_write():
    x, w = torch.ones(3), torch.ones(3, requires_grad=True)
    out = (x * w).sum()
    first = x[0]
    first += x.sum()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.backward()
    assert x.tolist() == [4.0, 1.0, 1.0]


# Tensors that are filled at once: whoever else may see their memory sees what he should.
def drawn(n=3):
    torch.manual_seed(3)
    return torch.rand(n)


def filled(t):
    torch.manual_seed(3)
    with torch.no_grad():
        return t.uniform_()


def test_a_model_is_built_without_recording_anything():
    torch.synchronize()
    at, handles = TLS.r.cur, len(TLS.r.handles)
    size = TLS.r.size
    m = nn.Linear(4, 3)
    assert TLS.r.size == size and len(TLS.r.handles) == handles
    assert TLS.r.cur.op is at.op
    assert m.weight.is_leaf and m.weight.requires_grad and m.weight._version == 1


def test_the_values_are_those_of_a_new_tensor():
    for t in (torch.empty(3), torch.zeros(3), nn.Parameter(torch.empty(3)), torch.ones(3) + 1):
        t.sum().item()
        before = t._version
        assert filled(t) is t
        assert torch.equal(t.detach(), drawn())
        assert t._version == before + 1
    first, second = torch.empty(3), torch.empty(3)
    filled(first)
    second.uniform_()
    assert torch.equal(first, drawn()) and not torch.equal(first, second)


def test_views_and_detached_tensors_see_it():
    t = torch.empty(2, 3)
    t[0], t[1] = 1, 2
    row, detached, data = t[1], t.detach(), t.data
    filled(t)
    assert torch.equal(row, t[1]) and torch.equal(detached, t) and torch.equal(data, t)
    filled(row)
    assert torch.equal(t[1], drawn())


def test_numpy_sees_it_and_so_does_what_numpy_wrote():
    t = torch.zeros(3)
    a = t.numpy()
    filled(t)
    assert a.tolist() == t.tolist() == drawn().tolist()
    a[0] = 7
    assert t[0] == 7


def test_what_was_recorded_before_reads_the_old_values():
    t = torch.ones(3)
    t.sum().item()
    doubled = t * 2
    filled(t)
    assert doubled.tolist() == [2, 2, 2] and torch.equal(t, drawn())


def test_tensors_of_one_constant_part():
    a, b = torch.zeros(3), torch.zeros(3)
    (a.sum() + b.sum()).item()
    filled(a)
    assert b.tolist() == [0, 0, 0]


@pytest.mark.parametrize("read", [False, True], ids=["pending", "computed"])
def test_a_saved_value_that_is_overwritten_is_told(read):
    w = torch.ones(3, requires_grad=True)
    loss = (w * w).sum()
    if read:
        loss.item()
    filled(w)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_gradients_of_what_is_overwritten():
    w = torch.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf"):
        w.uniform_()
    y = w * 2
    y.sum().item()
    y.uniform_()
    (y.sum() + w.sum()).backward()
    assert w.grad.tolist() == [1, 1, 1]
    y = w * 2
    y.sum().item()
    filled(y)
    assert y.requires_grad and torch.equal(y.detach(), drawn())


def test_a_step_that_is_in_flight_keeps_its_values():
    w = nn.Parameter(torch.ones(64))
    opt = torch.optim.SGD([w], lr=0.5)
    x = torch.ones(64)
    for _ in range(50):
        opt.zero_grad()
        (w * x).sum().backward()
        opt.step()
        torch.manual_seed(3)
        with torch.no_grad():
            w.uniform_()
        torch.manual_seed(3)
        assert torch.equal(w.detach(), torch.rand(64))


def test_layouts_are_kept():
    t = torch.empty(3, 4).t()
    filled(t)
    torch.manual_seed(3)
    assert t.stride() == (1, 4)
    assert sorted(t.flatten().tolist()) == sorted(torch.rand(12).tolist())
    c = torch.empty(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    c.sum().item()
    filled(c)
    assert c.is_contiguous(memory_format=torch.channels_last)


def test_an_empty_tensor_is_refused_as_before():
    with pytest.raises(RuntimeError, match="64 dims"):
        torch.empty((1,) * 65)
    t = torch.empty(2, requires_grad=True)
    assert t.is_leaf and t.requires_grad
    assert torch.empty(2, 0).shape == (2, 0) and torch.empty((), dtype=torch.bool).item() is False


def test_a_parameter_whose_data_was_replaced_is_its_own_again():
    """Or each stretch that reads it is recorded anew."""
    layer = torch.nn.Linear(3, 2)
    before = [p._version for p in layer.parameters()]
    for p in layer.parameters():
        p.data = p.data.clone()
    layer(torch.ones(1, 3)).sum().backward()
    assert all(p._storage is None and p._counter is None for p in layer.parameters())
    assert [p._version for p in layer.parameters()] == before
    assert layer.bias.grad.tolist() == [1, 1]


def test_versions_that_are_shared_with_a_view_of_the_old_memory_stay_so():
    x = torch.ones(3)
    x.data = torch.full((3,), 2.0)
    view = x.view(-1)
    x.data = torch.full((3,), 3.0)
    view.add_(1)
    assert x._version == 1
    torch.nn.functional.relu(x)
    x.mul_(2)
    assert x._version == view._version == 2
    assert x.tolist() == [6, 6, 6] and view.tolist() == [3, 3, 3]


def test_what_was_saved_before_data_was_replaced_is_watched():
    p = torch.nn.Parameter(torch.ones(3))
    p.data = torch.full((3,), 2.0)
    loss = torch.nn.functional.linear(p, torch.ones(1, 3)).sum() + (p * p).sum()
    with torch.no_grad():
        p.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
