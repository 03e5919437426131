"""Views share memory; writes reach every alias, and autograd follows them."""

from __future__ import annotations

import numpy as np
import pytest
from nn.stored import agrees, raised

import facula as torch
from facula import storage


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


def test_numpy_shares_memory_both_ways():
    a = np.arange(4.0)
    t = torch.from_numpy(a)
    b = t[1:3]
    a[1] = 10
    assert b.tolist() == [10, 2]
    t.add_(1)
    assert a.tolist() == [1, 11, 3, 4]
    v = t.numpy()
    v[0] = 7
    assert t[0].item() == 7


def test_expanded_memory_is_not_written():
    x = torch.zeros(1).expand(3)
    with pytest.raises(RuntimeError, match="single memory location"):
        x.add_(1)
    assert x.tolist() == [0, 0, 0]


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
def test_numpy_code_may_write_at_any_time(torch):
    out = []
    v = torch.tensor([1.0, 2.0, 3.0])
    n = v[:2].numpy()[1:]  # an array whose own base is gone
    y = v * 2
    n[...] = 7
    out += [v.clone(), y, v * 2]
    v.mul_(3)
    out.append(n.tolist())
    b = np.arange(4.0)
    t = torch.from_numpy(b[1:])
    y = t * 2
    b[:] = 9
    out += [y, t * 2, t.clone()]
    t.numpy()  # an array that is gone at once takes nothing from the first
    b[:] = 5
    t.add_(1)
    return [*out, b.tolist()]


@agrees
def test_a_view_made_before_numpy_wrote_sees_what_it_wrote(torch):
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    x = w.clone()
    n = x.detach().numpy()
    y = x[...]
    n[...] = 3
    y.mul_(2)
    x.sum().backward()
    return [x, y, n.tolist(), w.grad]


@agrees
def test_numpy_of_what_requires_grad(torch):
    w = torch.ones(2, requires_grad=True)
    with torch.no_grad():
        n = w.numpy()
        n[0] = 5
        spread = w[:1].expand(3).numpy()
    return [raised(w.numpy), w, w.numpy(force=True).tolist(), spread.flags.writeable]


@agrees
def test_versions_of_data_are_their_own(torch):
    x = torch.ones(2)
    d = x.data
    d.add_(1)
    x.add_(1)
    return [x._version, d._version, x.data._version, x, d]


@pytest.mark.parametrize("flush", [False, True])
@pytest.mark.parametrize("part", [lambda d: d, lambda d: d[:1]])
@pytest.mark.parametrize("write", [lambda d: d.mul_(2), lambda d: d.zero_()])
def test_what_was_saved_through_data_is_spoilt_by_a_write_through_it(flush, part, write):
    w, x = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([3.0, 4.0])
    d = x.data
    y = (w * part(d)).sum()
    z = (w * x).sum()
    if flush:
        y.item(), z.item()
    write(d)
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        y.backward()
    z.backward()  # saved through x, whose version d does not count
    assert w.grad is not None


@agrees
def test_a_tensor_given_other_data(torch):
    p = torch.nn.Parameter(torch.ones(3))
    z = p * p
    other = torch.tensor([5.0, 6.0, 7.0])
    p.data = other
    out = [p._version, p.requires_grad, p.is_leaf, z]
    with torch.no_grad():
        p.mul_(2)
    out += [p, other, p._version, raised(z.sum().backward)]
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = (x * 2).mul_(2)
    y.data = torch.zeros(2)
    out += [y, y._version, y.requires_grad]
    y.sum().backward()
    for _ in range(3):
        p.grad = None
        (p * p).sum().backward()
        p.data.add_(p.grad, alpha=-0.1)
    return [*out, x.grad, p]


@agrees
def test_a_view_of_what_got_a_history_later(torch):
    w, x = torch.ones(2, requires_grad=True), torch.zeros(2)
    late, asked = x[:], x[:]
    x[:1].add_(w[:1])
    asked.requires_grad, asked.grad_fn
    return [raised(late.add_, 1), raised(asked.add_, 1), x.requires_grad, late.requires_grad]


@agrees
def test_detaching_in_place(torch):
    out = []
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    x.detach_()  # a leaf: it gets no gradient any more
    y.sum().backward(retain_graph=True)
    out += [x.grad, x.requires_grad]
    x.mul_(2)
    out.append(raised(y.sum().backward))
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    z = w * 1
    y = z * z
    z.detach_()
    out.append(raised(y.sum().backward))
    e = w.exp()
    y = e + 0
    e.detach_()  # what an operation saved of its own result is there all the same
    y.sum().backward()
    out.append(w.grad)
    v = w * 2
    w.requires_grad_(False)
    v.sum().backward()
    return [*out, w.grad, raised((w[:1] * 1)[:].detach_)]


@agrees
def test_views_that_have_no_history(torch):
    y = torch.ones(2, 2, requires_grad=True) * 2
    with torch.no_grad():
        a, b = y.unbind(0)
        v = y.view(4)
        a.mul_(2)
    x = torch.ones(2, requires_grad=True)
    c, d = (x * 1).unbind(0)
    with torch.no_grad():
        c.add_(1)
    return [
        *[raised(lambda t=t: t.grad_fn) for t in (b, v, d)],
        *[raised(t.retain_grad) for t in (b, v, d)],
        *[raised(lambda t=t: t * 2) for t in (b, v, d)],
        *[raised(t.select, 0, 5) for t in (v,)],
        *[t > 0 for t in (b, v, d)],
        raised(d.requires_grad_),
        str(torch.is_tensor(b)),
    ]


@agrees
def test_gradients_of_as_strided_parts_of_what_is_spread(torch):
    x = torch.arange(6.0).reshape(1, 2, 3).requires_grad_()
    y = x * 2
    y.expand(1, 2, 3).cos_()
    y.sum().backward()
    z = torch.arange(16.0).reshape(4, 4).t().clone()
    return [x.grad, z.as_strided((2, 2), (1, 1), 1), z.stride()]


@agrees
def test_operands_that_share_memory_with_what_is_written(torch):
    x = torch.arange(4.0)
    same = x[:]
    out = [raised(same.add_, x), raised(x[1:].add_, x[:-1]), raised(x[:1].unsqueeze(0).add_, x[:1])]
    z = torch.tensor(2.0)
    one = z[None]
    one[:] = z
    one.masked_fill_(one > 0, z)
    one.fill_(z)
    one[torch.tensor([True])] = z
    out += [one, raised(one.copy_, z), raised(lambda: one.__setitem__(None, one))]
    for op in (torch.cat, torch.stack):
        out.append(
            raised(lambda op=op: op([x[:2], x[2:]], out=x if op is torch.cat else x.view(2, 2)))
        )
    return out


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


@agrees
def test_histories_of_views_that_began_without_one(torch):
    x = torch.tensor([1.0, 2.0, 3.0]).requires_grad_()
    y = x * 2
    with torch.no_grad():
        y.div_(4)
        v = y[:]
        w = y * v
    late = torch.arange(3.0)
    seen = late[1:]
    late.mul_(2)
    late.requires_grad_()
    turned = torch.arange(4.0).reshape(2, 2).t().requires_grad_()
    strided = turned.as_strided((2, 2), (2, 1))
    (strided * torch.arange(4.0).reshape(2, 2)).sum().backward()
    base = x * 3
    base.unsqueeze_(0)
    part = base.transpose(0, 1)
    part.mul_(2)
    (at_base,) = torch.autograd.grad(part.sum(), [base])
    return [
        *(str(t.requires_grad) for t in (v, w, v[[0, 1]], seen, seen * 2, strided)),
        turned.grad,
        at_base,
    ]


@agrees
def test_a_deep_copy_shares_memory_as_its_source_does(torch):
    import copy

    x = torch.arange(6.0).reshape(2, 3)
    a, b = copy.deepcopy([x, x[1:]])
    a.add_(1)
    return [b, str(b.storage_offset()), str(b._base is None), x]


def test_a_moved_parameter_holds_its_memory_alone() -> None:
    p = torch.nn.Parameter(torch.ones(3))
    loss = (p * p).sum()
    p.data = torch.full((3,), 2.0)
    storage.alone(p)
    assert p._storage is None and p._counter is None
    assert p._version == 0 and p.is_leaf and p.tolist() == [2.0] * 3
    with torch.no_grad():
        p += 1  # what was saved is of the old memory, and tied to this tensor's version
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
    assert p._version == 1


def test_memory_that_others_see_is_not_held_alone() -> None:
    p, u = torch.nn.Parameter(torch.ones(3)), torch.zeros(3)
    p.data = u
    storage.alone(p)
    with torch.no_grad():
        p += 1
    assert u.tolist() == [1.0] * 3


def test_modules_that_are_converted_keep_no_views() -> None:
    model = torch.nn.Linear(2, 2).double()
    assert [p._storage for p in model.parameters()] == [None, None]


def _written_base():
    """A view that was made before its base got a history."""
    w = torch.tensor([0.5]).requires_grad_()
    base = torch.tensor([1.5, 2.5])
    view = base[:]
    base[:1] *= w
    return w, base, view


@pytest.mark.parametrize(
    "read",
    [
        lambda t: None,
        lambda t: t < 1,
        lambda t: t.tolist(),
        lambda t: t.detach() * 2,
        lambda t: t.requires_grad,
    ],
)
def test_reading_a_value_asks_for_no_history(read):
    """PyTorch refuses to write to a view whose history nobody has asked for."""
    _, _, view = _written_base()
    read(view)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        view.mul_(2)
    assert view.tolist() == [0.75, 2.5]


@pytest.mark.parametrize("ask", [lambda t: t.grad_fn, lambda t: t.is_leaf, lambda t: t * 2])
def test_a_view_whose_history_was_asked_for_is_written(ask):
    w, base, view = _written_base()
    ask(view)
    view.mul_(2)
    base.sum().backward()
    assert w.grad.tolist() == [3.0]


def test_a_view_that_may_have_no_history_says_so():
    """Also where its value was read between the write and the base's asking for gradients."""
    base = torch.tensor([1.0, 2.0])
    part = base.unbind(0)[0]
    base.mul_(2)
    part.sum()
    base.requires_grad_()
    for ask in (lambda: part.grad_fn, lambda: part.is_leaf):
        with pytest.raises(RuntimeError, match="modified inplace"):
            ask()
    assert part.to(torch.bool).item() and part.bool().item()
    assert part.long().item() == 2


def test_a_view_that_nobody_asked_for_a_history_need_not_give_it_up():
    _, _, view = _written_base()
    assert view.requires_grad_(False).requires_grad
    assert view.grad_fn is not None
    with pytest.raises(RuntimeError, match="leaf variables"):
        view.requires_grad_(False)


def test_retaining_twice_is_retaining_once():
    base = torch.tensor([[1.0, 2.0]]).requires_grad_().exp()
    part = base.unbind(0)[0]
    part.retain_grad()
    base.mul_(2)
    part.retain_grad()


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
