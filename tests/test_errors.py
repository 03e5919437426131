"""Bad input: PyTorch's exception, a message that says what was asked of what, nothing changed."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest
from nn.stored import agrees

import facula


def tensors(torch):
    """What the cases work on."""
    w = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)
    n = torch.nn.Parameter(torch.ones(3))
    y = w * n
    t = {
        "x": torch.arange(6.0).reshape(2, 3),
        "d": torch.arange(6.0, dtype=torch.float64).reshape(2, 3),
        "i": torch.arange(6).reshape(2, 3),
        "b": torch.tensor([True, False, True]),
        "v": torch.arange(3.0),
        "w": w,
        "n": n,
        "y": y,
        "used": y.exp().sum(),
        "spoilt": (y * y).sum(),
        "spread": torch.zeros(1).expand(3),
    }
    t["used"].backward(retain_graph=False)
    t["once"] = (w * w).sum()
    t["once"].backward()
    with torch.no_grad():
        y.mul_(2)
    return t


# The statement, and what the message says besides "torch" and punctuation: operation, arguments,
# shapes.
CASES = {
    "torch.mm(x, x)": ["mm", "2x3 and 2x3"],
    "x @ v[:2]": ["matmul", "2x3", "2x1"],
    "torch.bmm(x[None], x[None])": ["bmm", "[1, 3]", "[1, 2]"],
    "torch.dot(v, v[:2])": ["[3]", "[2]"],
    "torch.mv(x, v[:2])": ["mv", "[2, 3]", "2"],
    "torch.mm(x, d.t())": ["mm", "float32", "float64"],
    "torch.mm(v, x)": ["mm", "2-D", "[3]"],
    "x + v[:2]": ["add", "3", "2", "[2, 3]", "[2]"],
    "x.add_(torch.zeros(3, 2, 3))": ["add_", "[2, 3]", "[3, 2, 3]"],
    "i.add_(1.5)": ["add_", "int64", "float32"],
    "i.copy_(torch.zeros(4))": ["copy_", "[4]", "[2, 3]"],
    "x[2]": ["index 2", "dimension 0", "size 2"],
    "x[0, -4]": ["index -4", "dimension 1", "size 3"],
    "x[torch.tensor([0, 5])]": ["index 5", "dimension 0", "size 2"],
    "x[b]": ["[3]", "[2, 3]"],
    "x[0, 0, 0]": ["too many indices", "2"],
    "x.sum()[0]": ["too many indices", "0", ".item()"],
    "torch.Tensor(x, requires_grad=True)": ["Tensor()", "requires_grad"],
    "x[torch.tensor([0.5])]": ["float32"],
    "x.__setitem__(5, 1.0)": ["index 5", "size 2"],
    "x.__setitem__(0, torch.zeros(4))": ["[4]", "[3]"],
    "x.index_select(0, torch.tensor([7]))": ["index_select", "7", "2"],
    "x.gather(0, torch.tensor([[9, 0, 0]]))": ["gather", "9", "2"],
    "x.scatter_(0, torch.tensor([[9, 0, 0]]), x)": ["scatter", "9", "2"],
    "x.index_add_(0, torch.tensor([0]), d[:1])": ["index_add_", "float32", "float64"],
    "x.index_copy_(0, torch.tensor([0]), x * 1)": ["index_copy_", "1", "2"],
    "torch.nn.functional.embedding(torch.tensor([3]), x)": ["3", "2"],
    "torch.nn.functional.cross_entropy(x, torch.tensor([0, 3]))": ["3"],
    "x.view(4, 2)": ["[4, 2]", "6"],
    "x.t().view(6)": ["view", "[6]", "[3, 2]", "[1, 3]"],
    "x.reshape(-1, 4)": ["[-1, 4]", "6"],
    "x.permute(0, 0)": ["permute", "dims"],
    "x.transpose(0, 2)": ["[-2, 1]", "2"],
    "x.expand(2, 4)": ["expand", "[2, 4]", "[2, 3]"],
    "x.narrow(0, 1, 2)": ["narrow", "1", "2"],
    "x.squeeze(3)": ["[-2, 1]", "3"],
    "torch.cat([x, v])": ["2", "1"],
    "torch.cat([x, x[:, :2]])": ["3", "2"],
    "torch.stack([x, v])": ["stack", "[2, 3]", "[3]"],
    "x.split([1, 2])": ["split", "[1, 2]", "2"],
    "w.add_(1)": ["add_", "leaf", "[2, 3]"],
    "w[0].mul_(2)": ["mul_", "view of a leaf"],
    "w.t_()": ["t_", "leaf", "[2, 3]"],
    "w.__setitem__(0, 0.0)": ["leaf"],
    "y.unbind()[0].add_(1)": ["add_", "multiple views", "[3]"],
    "y[:1].detach_()": ["detach"],
    "used.backward()": ["second time", "Exp"],
    "once.backward()": ["second time", "Mul"],
    "spoilt.backward()": ["modified by an inplace operation", "[2, 3]", "Mul"],
    "y.backward()": ["scalar", "[2, 3]"],
    "y.sum().backward(v)": ["[3]", "[]"],
    "x.sum().backward()": ["does not require grad", "[]"],
    "torch.autograd.grad(y.sum(), [x])": ["does not require grad"],
    "torch.autograd.grad(y.sum(), [torch.ones(1, requires_grad=True)])": ["not have been used"],
    "i.requires_grad_()": ["floating point", "int64"],
    "y.requires_grad_(False)": ["leaf"],
    "x.retain_grad()": ["requires_grad=False"],
    "w.numpy()": ["numpy", "detach"],
    "spread.add_(1)": ["add_", "single memory location"],
    "x[:, :2].copy_(x[:, 1:])": None,  # no error: the parts have gaps, and PyTorch looks no closer
    "v[1:].add_(v[:2])": ["add_", "single memory location"],
    "torch.add(x, 1, out=i)": ["add", "float32", "int64"],
    "torch.add(w, 1, out=x)": ["add", "out=", "differentiation"],
    "x.item()": ["6 elements"],
    "float(x)": ["float", "[2, 3]"],
    "bool(x)": ["more than one value"],
    "[1, 2, 3][x]": ["index"],
    "x.masked_fill_(i, 1.0)": ["masked_fill", "int64"],
    "x.masked_scatter_(x > 0, v)": ["masked_scatter", "3", "5"],
    "torch.linalg.inv(x)": ["inv", "2", "3"],
    "torch.linalg.cholesky(-torch.eye(2))": ["cholesky", "1"],
    "i // 0": ["floor_divide", "zero"],
    "i.fmod_(torch.zeros(3, dtype=torch.int64))": ["fmod", "zero"],
    "x & x": ["bitwise_and", "float32"],
    "-b": ["bool"],
    "b - b": ["bool"],
    "i.pow(-1)": ["negative integer"],
    "torch.nn.functional.linear(x, x[:, :2])": ["2x3", "2x2"],
    "torch.nn.functional.conv2d(x, x[None, None])": ["conv2d", "[2, 3]"],
    "x.sum(5)": ["[-2, 1]", "5"],
    "x[:0].max(0)": ["max", "dim"],
    "x.softmax(2)": ["[-2, 1]", "2"],
    "torch.arange(3, 0)": ["arange", "3", "0"],
    "torch.zeros(-1)": ["-1"],
    "torch.tensor([[1], [2, 3]])": ["1", "2"],
    "x.add('a')": ["add", "str"],
    "torch.add(x)": [],
    "x.nothing": ["nothing"],
    "x.normal_(0, -1)": ["normal", "-1"],
    "x.bernoulli_(1.5)": ["1.5"],
    "torch.randint(5, 5, (2,))": ["5"],
    "torch.nn.Linear(3, 2)(x.double())": ["float64", "float32"],
    "n.data.add_(torch.ones(2))": ["add", "[3]", "[2]"],
    "x.data = 3": None,
}


def attempt(torch, statement):
    """The tensors and the error of a statement."""
    t = tensors(torch)
    before = {k: look(x) for k, x in t.items()}
    error = None
    try:
        exec(statement, {"torch": torch, **t})
    except Exception as e:
        error = e
    return before, {k: look(x) for k, x in t.items()}, error


def look(x):
    """All that a failed call could have changed."""
    grad = x.grad.tolist() if x.is_leaf and x.grad is not None else None  # reading others warns
    return x.tolist(), grad, x.requires_grad, x.is_leaf, x._version, tuple(x.shape), x.stride()


@agrees
def test_the_type_of_the_exception_is_pytorchs(torch):
    out = {}
    for statement in CASES:
        _, _, error = attempt(torch, statement)
        out[statement] = type(error).__name__.lstrip("_")
    return out


@pytest.mark.parametrize("statement", [s for s, words in CASES.items() if words is not None])
def test_the_message_says_what_was_asked_and_nothing_changed(statement):
    before, after, error = attempt(facula, statement)
    missing = [w for w in CASES[statement] if w not in str(error)]
    assert not missing, f"{type(error).__name__}: {error}"
    assert before == after


@pytest.mark.parametrize("module", ["nn.modules.conv", "optim.adam", "return_types", "Tensor"])
def test_what_is_missing_is_named_wherever_it_is_looked_for(module):
    where = importlib.import_module("facula." + module) if module[0] != "T" else facula.Tensor
    assert not hasattr(where, "nothing_of_this_name")
    with pytest.raises(AttributeError) as caught:
        where.nothing_of_this_name
    assert "nothing_of_this_name" in str(caught.value)
    assert "docs/compatibility.md" in str(caught.value)


def test_the_class_has_the_methods_that_are_imported_late():
    code = "import facula; facula.Tensor.digamma(facula.ones(2)); facula.Tensor.cholesky"
    subprocess.run([sys.executable, "-c", code], check=True)
