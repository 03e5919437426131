"""Views share memory, count its versions, and take their history from their base."""

from __future__ import annotations

import pytest
from nn.stored import agrees, raised

import facula as torch


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


@agrees
def test_retaining_what_has_not_asked_for_the_history_of_its_base(torch):
    """It counts as a leaf, whose gradient is not retained, until somebody asks."""
    out = []
    for several in (False, True):
        for asked in (False, True):
            base = torch.ones(2, 3)
            v, w = base.unbind(0) if several else (base[0], base[1])
            w.mul_(2)
            base.requires_grad_()
            if asked:
                out.append(raised(lambda t: t.grad_fn, v))
            v.retain_grad()
            out += [v.retains_grad, raised(lambda t: (t * 2).sum().backward(), v), base.grad]
    return out
