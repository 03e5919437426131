"""Which memory a tensor looks at may change: copies, `data`, and parameters that are converted."""

from __future__ import annotations

import pytest
from nn.stored import agrees, raised

import facula as torch
from facula import sharing
from facula.trace import spans
from facula.trace.recorder import TLS


def test_a_moved_parameter_holds_its_memory_alone() -> None:
    p = torch.nn.Parameter(torch.ones(3))
    loss = (p * p).sum()
    p.data = torch.full((3,), 2.0)
    sharing.alone(p)
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
    sharing.alone(p)
    with torch.no_grad():
        p += 1
    assert u.tolist() == [1.0] * 3


def test_modules_that_are_converted_keep_no_views() -> None:
    model = torch.nn.Linear(2, 2).double()
    assert [p._storage for p in model.parameters()] == [None, None]


def test_data_that_is_set_to_what_it_is_stays_so():
    p = torch.nn.Parameter(torch.ones(3))
    seen = p.detach()
    chain = p._chain
    for _ in range(5):
        (p * p).sum().backward()
        frame = TLS.r.frame
        p.data -= 0.1 * p.grad.data
        p.grad = None
        assert TLS.r.frame == frame  # the frame goes on
    assert p._chain == chain and p.is_leaf and p._version == 0
    torch.testing.assert_close(p.detach(), torch.full((3,), 0.8**5))
    assert seen.tolist() == p.tolist()
    p.data = p.data[:2]
    assert p.shape == (2,)


def test_networks_that_follow_another_through_data_are_followed(monkeypatch):
    net, target = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(net.parameters())
    recorded = []

    def step():
        with torch.no_grad():
            y = torch.nn.functional.linear(torch.ones(4, 3), target.weight, target.bias)
        optimizer.zero_grad()
        (net(torch.ones(4, 3)) - y).pow(2).sum().backward()
        optimizer.step()
        for p, q in zip(net.parameters(), target.parameters(), strict=True):
            q.data.copy_(0.1 * p.data + 0.9 * q.data)

    for _ in range(5):
        step()
    record = spans._record
    monkeypatch.setattr(spans, "_record", lambda *a: recorded.append(a[1]) or record(*a))
    frame = TLS.r.frame
    for _ in range(3):
        step()
    assert not recorded and TLS.r.frame == frame + 3


@agrees
def test_views_whose_data_is_replaced_are_written_to_no_more_than_before(torch):
    """Nor are views of theirs: what they were views of goes on deciding."""
    out = []
    for result in (False, True):
        for how in ("turned", "without a history", "one of several"):
            base = torch.ones(2, 2, requires_grad=True)
            base = base * 2 if result else base
            with torch.set_grad_enabled(how != "without a history"):
                view = base.unbind(0)[1] if how == "one of several" else base.mT
            view.data = torch.ones(3, 3)
            out += [
                raised(view.mul_, 2),
                raised(view[0].mul_, 2),
                raised(view[0][1:].mul_, 2),
                raised(view.__setitem__, (0, 0), 5.0),
                raised(view.detach().mul_, 2),
            ]
    return out


@agrees
def test_views_of_what_gets_other_memory_keep_their_gradient(torch):
    """Also those that have not looked since their base was written."""
    out = []
    for view in (lambda x: x.reshape(4), lambda x: x[1]):
        for asked in (False, True):
            x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
            v = view(x)
            with torch.no_grad():
                x.mul_(2)
            if asked:
                out.append(v.grad_fn is None)
            x.data = torch.ones(2, 2)
            out += [v.requires_grad, v.is_leaf]
            (v * v).sum().backward()
            out += [v, x, x.grad]
    return out
