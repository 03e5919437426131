"""Factors before the tensors that they belong to, as old programs give them."""

import warnings

import pytest
from nn.stored import agrees, message, raised

import facula

CALLS = """
torch.add(a, 3, b)
a.add(3, b)
a.add(torch.tensor(3.0), b)
a.clone().add_(-0.5, b)
a.clone().add_(2, 3)
torch.sub(a, 3, b)
a.clone().sub_(3, b)
torch.addcmul(a, 3, b, a)
a.clone().addcmul_(3, b, a)
a.clone().addcdiv_(-0.1, a, b)
torch.addmm(2, m, 3, n, m)
torch.addmm(2, m, n, m)
m.addmm(2, 3, n, m)
m.clone().addmm_(2, n, m)
torch.addmv(2, a, 3, m, b)
a.clone().addmv_(2, 3, m, b)
torch.addr(2, m, a, b)
m.addr(2, 3, a, b)
torch.baddbmm(2, m[None], 3, n[None], m[None])
torch.addbmm(2, m, 3, n[None], m[None])
m.clone().addbmm_(2, n[None], m[None])
torch.nn.Parameter(a).detach().mul_(0.9).add_(0.1, b)
""".strip().splitlines()


def _operands(torch):
    m = torch.arange(4.0).reshape(2, 2)
    return {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([5.0, -3.0]), "m": m, "n": m.cos()}


@agrees
def test_factors_before_tensors(torch):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {c: eval(c, {"torch": torch}, _operands(torch)) for c in CALLS}


@agrees
def test_their_gradients(torch):
    a = torch.tensor([1.0, 2.0], requires_grad=True)
    b = torch.tensor([5.0, -3.0], requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        y = (a * 1).add_(3, b).addcmul(0.5, a, b)
        return [y, *torch.autograd.grad(y.sum(), [a, b]), raised(lambda: a.add_(3, b))]


@pytest.mark.filterwarnings("ignore:This overload")
def test_calls_that_fit_no_order():
    a = facula.ones(2)
    assert raised(a.add, 1, a, a) == "TypeError"
    assert raised(a.addcmul, a, 1, a) == "TypeError"
    assert message(a.add, "x", a)[0] == "TypeError"
    assert raised(a.mul, 2, a) == "TypeError"


def test_the_first_such_call_warns(monkeypatch):
    from facula.ops import old_orders

    monkeypatch.setattr(old_orders, "_told", [])
    a = facula.ones(2)
    with pytest.warns(UserWarning, match="overload of add_ is deprecated"):
        a.add_(1, a)
    a.add_(1, a)
