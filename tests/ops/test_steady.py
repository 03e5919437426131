"""Calls that are followed as one step give what they give when they are recorded."""

import pytest

import facula as torch
from facula.ops.table import METHODS

X = [[3.0, -1.0, 2.0], [0.5, 4.0, -2.0]]
CALLS = [
    ("sum", ()),
    ("sum", (1,)),
    ("sum", (-1, True)),
    ("mean", ()),
    ("mean", (0,)),
    ("std", ()),
    ("var", (1,)),
    ("norm", ()),
    ("max", ()),
    ("argmax", ()),
    ("argmax", (1,)),
    ("amin", (0,)),
    ("any", ()),
    ("softmax", (-1,)),
    ("log_softmax", (0,)),
    ("logsumexp", (1,)),
]


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize(("name", "args"), CALLS)
def test_each_round_is_as_the_first(name, args, grad):
    call = METHODS[name]
    found = []
    for k in range(4):
        x = (torch.tensor(X) + k).requires_grad_(grad)
        out = call(x, *args)
        want = call.__wrapped__(x, *args)
        assert (out.dtype, out.shape) == (want.dtype, want.shape)
        assert out.requires_grad is want.requires_grad
        assert out.tolist() == want.tolist()
        if out.requires_grad:
            torch.manual_seed(0)
            given = torch.rand(out.shape)
            (got,) = torch.autograd.grad(out, x, given, retain_graph=True)
            assert got.tolist() == torch.autograd.grad(want, x, given)[0].tolist()
        found.append(out.detach().flatten()[0].item())
    assert name in ("any", "argmax", "std", "var", "softmax", "log_softmax") or found[0] != found[1]


def test_it_is_followed(monkeypatch):
    from facula.trace import recorder

    x = torch.tensor(X)
    want = [x.mean().item(), x.norm().item(), x.softmax(0).tolist()]
    x.mean().item(), x.norm().item(), x.softmax(0).tolist()
    monkeypatch.setattr(recorder, "_entry", None)
    monkeypatch.setattr(recorder, "record_slow", None)
    assert [x.mean().item(), x.norm().item(), x.softmax(0).tolist()] == want


@pytest.mark.parametrize("wrong", [(1.0,), (True,), ([1.0],), ("1",)])
def test_settings_that_are_equal_and_of_another_type_are_not_the_same(wrong):
    x = torch.tensor(X)
    for _ in range(3):
        assert x.sum(1).tolist() == [4.0, 2.5]
    with pytest.raises(TypeError, match="dim"):
        x.sum(*wrong)


def test_other_settings_and_operands_are_told_apart():
    x = torch.tensor(X)
    y = x[0]
    rounds = []
    for _ in range(3):
        rounds.append([x.sum(0).tolist(), x.sum(dim=1).tolist(), y.sum().tolist(), x.sum().item()])
        rounds[-1] += [x.max(x - 1).tolist(), x.max(0).values.tolist(), x.max().item()]
    assert rounds[0] == rounds[1] == rounds[2]
    dims = [0]
    for d in (0, 1, 0):  # a list that changes
        dims[0] = d
        assert x.sum(dims).tolist() == x.sum(d).tolist()


def test_modes_and_subclasses_see_each_call():
    class Sub(torch.Tensor):
        pass

    x = torch.tensor(X)
    for t in (x, x, x.as_subclass(Sub), x):
        assert type(t.sum()) is type(t)
        torch.synchronize()


def test_a_call_that_begins_a_frame():
    """A parameter with a pending update is computed first."""
    w = torch.tensor(X, requires_grad=True)
    for k in range(3):
        with torch.no_grad():
            w += 1.0
        assert w.sum().item() == 6.5 + 6 * (k + 1)


def test_a_call_in_a_frame_that_ends_and_comes_to_the_same_place():
    """Memory that NumPy holds: what is recorded on it is computed at once."""
    for _ in range(3):
        w = torch.tensor(X, requires_grad=True)
        y = w * 2
        shared = y.detach().numpy()
        part = y[:]
        part.add_(-0.5)
        (y.sum() * part.sum()).backward()
        assert w.grad.tolist() == (torch.ones_like(w) * 4 * part.sum()).tolist()
        assert shared.tolist() == y.tolist()
