"""Arguments of wrong types: TypeError names the operation, the argument and the whole call."""

from __future__ import annotations

import pytest

import facula
import facula.nn.functional as F

X = facula.ones(2, 3)

# A call, the exception, and what its message says.
CALLS = [
    (lambda: facula.gather(X, "a", X.long()), TypeError, "gather(): argument 'dim' must be int,"),
    (lambda: facula.gather(X, 0), TypeError, "gather(): missing a required argument: 'index'"),
    (lambda: X.sum(dim=True), TypeError, "sum(): argument 'dim' must be int or tuple of ints,"),
    (lambda: X.softmax(1.5), TypeError, "not float; got softmax(torch.float32 tensor of shape (2,"),
    (lambda: X.addmm(X, X, beta=X), TypeError, "addmm(): argument 'beta' must be Number"),
    (lambda: facula.add("a", X), TypeError, "argument 'input' must be Tensor or Number, not str"),
    (lambda: X.add_("a"), TypeError, "add_(): argument 'other'"),
    (lambda: facula.abs_(3), TypeError, "abs_(): argument 'input' must be Tensor, not int"),
    (lambda: X.mean(dtype=3), TypeError, "argument 'dtype' must be torch.dtype"),
    (lambda: X.split("a"), TypeError, "int or tuple of ints, not str"),
    (lambda: X.abs(foo=2), TypeError, "abs(): got an unexpected keyword argument 'foo'"),
    (lambda: X.abs(3), TypeError, "abs(): too many positional arguments"),
    (lambda: facula.stack([X, 3]), TypeError, "must be tuple of Tensors"),
    (lambda: facula.randn(2, generator=3), TypeError, "must be Generator"),
    (lambda: X.narrow(0, 0, 2**70), ValueError, "argument 'length' overflows"),
    (lambda: F.cross_entropy(X, None), TypeError, "argument 'target' must be Tensor"),
    # What is wrong with values is said by the operation; the call is added.
    (lambda: X.sum(5), IndexError, "but got 5), in sum(torch.float32 tensor of shape (2, 3), int"),
    (lambda: X.max(X.long()[0, :2]), RuntimeError, "in max(torch.float32 tensor of shape (2, 3)"),
    (lambda: facula.cat([X, X[0]]), RuntimeError, "in cat([torch.float32 tensor of shape (2, 3),"),
    (lambda: X.cumsum_(1.5), TypeError, "cumsum_(): argument 'dim'"),
]


@pytest.mark.parametrize("number", range(len(CALLS)))
def test_the_message_names_the_call(number):
    call, kind, words = CALLS[number]
    with pytest.raises(kind) as caught:
        call()
    assert words in str(caught.value), caught.value


def test_the_outermost_call_is_named_and_only_once():
    with pytest.raises(IndexError) as caught:
        facula.linalg.norm(X, dim=7)
    assert str(caught.value).count(", in ") == 1
    assert ", in norm(" in str(caught.value)


def test_an_error_of_the_users_own_function_is_left_alone():
    def fail(a):
        raise ValueError("mine")

    with pytest.raises(ValueError) as caught:
        X.clone().apply_(fail)
    assert str(caught.value) == "mine"
