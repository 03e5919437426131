"""`Variable`, with which programs from before PyTorch 0.4 wrap their tensors."""

from __future__ import annotations

import pytest
from nn.stored import agrees

import facula
from facula.autograd import Variable


@agrees
def test_a_variable_is_a_leaf_that_can_require_grad(torch):
    Variable = torch.autograd.Variable
    w = Variable(torch.FloatTensor([[1.0, 2.0]]), requires_grad=True)
    x = Variable(torch.FloatTensor([[3.0], [4.0]]))
    loss = w.mm(x).pow(2).mean()
    loss.backward()
    return [w.grad, w.is_leaf, x.requires_grad, loss]


@agrees
def test_a_variable_has_no_history_and_shares_memory(torch):
    Variable = torch.autograd.Variable
    x = torch.ones(3, requires_grad=True)
    y = x * 2
    cut, leaf = Variable(y), Variable(y, requires_grad=True)
    (leaf * leaf).sum().backward()
    cut[0] = 5
    named = Variable(y, name="weights")
    return [cut.requires_grad, leaf.is_leaf, leaf.grad, x.grad is None, y, named.name == "weights"]


@agrees
def test_what_is_a_variable(torch):
    Variable = torch.autograd.Variable
    x = torch.ones(2)
    plain = type(Variable(torch.nn.Parameter(x))) is torch.Tensor
    return [isinstance(x, Variable), isinstance(2.0, Variable), plain, Variable().shape[0]]


@pytest.mark.parametrize(
    "arguments, options, error, said",
    [
        (([1.0],), {}, TypeError, "has to be a tensor, but got list"),
        ((facula.arange(3), True), {}, RuntimeError, "floating point and complex"),
        ((facula.ones(2),), {"_grad_fn": 1}, NotImplementedError, "_grad_fn"),
        ((facula.ones(2),), {"requires_gradient": True}, TypeError, "requires_gradient"),
    ],
)
def test_what_variable_refuses(arguments, options, error, said):
    with pytest.raises(error, match=said):
        Variable(*arguments, **options)


def test_volatile_has_no_effect_and_says_so():
    with pytest.warns(UserWarning, match="volatile was removed"):
        assert not Variable(facula.ones(2), volatile=True).requires_grad
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="volatile"):
        Variable(facula.ones(2), requires_grad=True, volatile=True)


def test_callbacks_at_the_end_of_a_pass():
    w = facula.ones(2, requires_grad=True)
    queue, seen = Variable._execution_engine.queue_callback, []

    def last():
        seen.append(w.grad.tolist())
        queue(lambda: seen.append("after"))

    y = w * 2
    y.register_hook(lambda g: queue(last))
    y.sum().backward()
    assert seen == [[2, 2], "after"]
    with pytest.raises(RuntimeError, match="during backward pass"):
        queue(last)
