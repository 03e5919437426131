"""Tensor: subclasses, and what it contains."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import facula as torch


class Sub(torch.Tensor):
    pass


@pytest.mark.parametrize("pending", [False, True])
@pytest.mark.parametrize("read", [False, True])
def test_as_subclass_shares_the_memory(pending, read):
    x = torch.tensor([1.0, 2.0])
    if pending:
        x = x * 1
    x.tag = "of x alone"
    y = x.as_subclass(Sub)
    if read:
        assert y.tolist() == [1, 2]
    assert type(y) is Sub and y._is_view() and not hasattr(y, "tag")
    y.mul_(3)
    x[0] += 1
    assert x.tolist() == y.tolist() == [4, 6] and x._version == y._version == 3
    assert x.data_ptr() == y.data_ptr()


def test_as_subclass_keeps_the_history():
    x = torch.ones(2, requires_grad=True)
    for source in (x, x * 2):
        y = source.as_subclass(Sub)
        assert y.requires_grad and not y.is_leaf
        (y * y).sum().backward()
    assert x.grad.tolist() == [2 + 8] * 2
    assert not torch.ones(2).as_subclass(Sub).requires_grad


def test_a_subclass_of_a_subclass():
    class Other(Sub):
        pass

    x = torch.ones(2)
    y = x.as_subclass(Sub).as_subclass(Other)
    assert type(y) is Other
    y.zero_()
    assert x.tolist() == [0, 0]


def test_what_a_tensor_can_contain():
    x = torch.ones(3)
    assert 1 in x and 2.0 not in x and True in x and 1j not in x
    assert np.float32(1) in x and torch.ones(3) in x
    for value in ("x", None, [1]):
        with pytest.raises(RuntimeError, match="only supports Tensor or scalar"):
            assert value not in x


def test_the_dictionary_of_a_tensor_has_what_users_have_added():
    """Libraries copy it from one tensor to another and replace it, whatever the classes' order."""

    class Described:
        pass

    class Mine(Described, torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            out = super().__torch_function__(func, types, args, kwargs)
            if isinstance(out, cls):
                out.__dict__ = args[0].__dict__
            return out

    x = torch.ones(2, 3)
    assert vars(x) == vars(x[0]) == vars(x.requires_grad_() * 2) == {}
    t = torch.arange(6.0).reshape(2, 3).as_subclass(Mine)
    t._note = [1]
    assert vars(t) == {"_note": [1]}
    s = t.sum()
    assert (s.shape, s.item(), s._note) == ((), 15, [1]) and (t == 0).dtype is torch.bool
    s.__dict__.update(a=1, b=2)
    del s.__dict__["b"]
    s.__dict__ |= {"c": 3}
    assert (s.a, s.c, hasattr(s, "b"), s.__dict__.pop("a"), hasattr(s, "a")) == (
        1,
        3,
        False,
        1,
        False,
    )
    s.__dict__ = {"d": 4, "node": None, "_data": None}
    assert vars(s) == {"d": 4} and s.item() == 15
    for made in (copy.deepcopy(t), copy.copy(t), pickle.loads(pickle.dumps(x.detach()))):
        assert vars(made) == ({"_note": [1]} if type(made) is Mine else {})
    assert copy.deepcopy(t)._note is not t._note


def test_a_shallow_copy_shares_the_memory():
    """As PyTorch's: a leaf of the same memory, with a gradient and a version of its own."""
    for x in (
        torch.randn(3),
        torch.randn(4, 4)[1:3, ::2],
        torch.nn.Parameter(torch.randn(3)),
        torch.ones(3, requires_grad=True) * 2,
        torch.randn(2).as_subclass(Sub),
    ):
        x.note = [1]
        if x.is_leaf and x.requires_grad:
            x.grad = torch.ones_like(x)
        y = copy.copy(x)
        assert y is not x and type(y) is type(x)
        assert (y.data_ptr(), y.stride(), y.storage_offset()) == (
            x.data_ptr(),
            x.stride(),
            x.storage_offset(),
        )
        assert y.requires_grad == x.requires_grad
        assert y.is_leaf and y.grad is None and y._base is None and y.note is x.note
        version = x._version
        with torch.no_grad():
            y.add_(1)
        assert torch.equal(x, y) and x._version == version


def test_a_shallow_copy_of_what_has_no_memory():
    sparse = torch.eye(2).to_sparse()
    assert torch.equal(copy.copy(sparse).to_dense(), torch.eye(2))
    lazy = copy.copy(torch.nn.UninitializedParameter())
    assert type(lazy) is torch.nn.UninitializedParameter
    assert copy.copy(torch.ones(2, device="meta")).is_meta


def test_the_legacy_constructor_without_arguments_has_no_elements():
    assert torch.Tensor().shape == (0,) and torch.FloatTensor().shape == (0,)


def test_sizes_join_tuples_only():
    size = torch.Size([1, 2])
    assert size + (3,) == (1, 2, 3) and (0,) + size == (0, 1, 2)
    assert type(size + (3,)) is type((0,) + size) is torch.Size

    class Any:
        def __radd__(self, other):
            return 42

    assert size + Any() == 42
    for ask in (lambda: size + [1], lambda: [1] + size, lambda: size + 1):
        with pytest.raises(TypeError):
            ask()


def test_the_legacy_constructors_take_what_can_be_an_index_for_a_size():
    for n in (3, np.int64(3), np.uint8(3), np.array(3)):
        made = torch.Tensor(n), torch.FloatTensor(n), torch.zeros(2).new(n), torch.Tensor(n, 2)
        assert [t.shape for t in made] == [(3,), (3,), (3,), (3, 2)]
    assert torch.Tensor(np.array([3])).tolist() == [3.0]
    kinds = {"float": 3.0, "bool": True, "numpy.float32": np.float32(3), "numpy.bool": np.True_}
    for kind, value in kinds.items():
        for constructor in (torch.Tensor, torch.FloatTensor):
            with pytest.raises(TypeError, match=rf"data must be a sequence \(got {kind}\)"):
                constructor(value)


def test_the_legacy_constructors_share_a_tensor_with_its_history():
    class Named(torch.Tensor):
        @staticmethod
        def __new__(cls, x, name):
            return super().__new__(cls, x)

        def __init__(self, x, name):
            self.name = name

    x = torch.ones(2, requires_grad=True)
    for made in (torch.Tensor(x), torch.FloatTensor(x), Named(x, "a"), x.new(x)):
        assert made.requires_grad and not made.is_leaf and made.data_ptr() == x.data_ptr()
        assert torch.autograd.grad((made * 3).sum(), x)[0].tolist() == [3, 3]
    assert type(Named(x, "a")) is Named and Named(x, "a").name == "a"
    plain = torch.zeros(2)
    made = torch.Tensor(plain)
    made[0] = 5
    assert plain.tolist() == [5, 0] and made.is_leaf and not made.requires_grad
