"""`out=`: what it must be, and what it may not share; NumPy's names of arguments."""

from __future__ import annotations

import pickle
import re
import types

import numpy as np
import pytest

import facula as torch
from facula.ops import later


def test_out_is_resized_unless_its_memory_is_numpys():
    out = torch.empty(0)
    assert torch.add(torch.ones(2), 1, out=out) is out
    assert out.tolist() == [2, 2]
    shared = torch.from_numpy(np.zeros(1, np.float32))
    with pytest.raises(RuntimeError, match="not resizable"):
        torch.add(torch.ones(2), 1, out=shared)


def test_out_has_a_type_that_holds_the_result():
    with pytest.raises(RuntimeError, match="can't be cast"):
        torch.add(torch.ones(2), 1, out=torch.empty(2, dtype=torch.int64))
    with pytest.raises(RuntimeError, match="to have dtype"):
        torch.amax(torch.ones(2), 0, out=torch.empty((), dtype=torch.float64))


def test_out_does_not_overlap_itself():
    with pytest.raises(RuntimeError, match="single memory location"):
        torch.add(torch.ones(3), 1, out=torch.ones(1).expand(3))


def test_out_is_no_tensor_that_is_joined():
    x = torch.empty(0)
    with pytest.raises(RuntimeError, match="single memory location"):
        torch.cat([x, torch.ones(2)], out=x)
    assert torch.cat([torch.empty(0), torch.ones(2)], out=x) is x


def test_out_of_several_results():
    values, indices = torch.empty(0), torch.empty(0, dtype=torch.int64)
    got = torch.sort(torch.tensor([2.0, 1.0]), out=(values, indices))
    assert (values.tolist(), indices.tolist()) == ([1, 2], [1, 0])
    assert got.values is values
    assert got.indices is indices


X = torch.tensor([[1.0, 4.0, 2.0], [3.0, 0.0, 5.0]])


@pytest.mark.parametrize(
    ("numpy", "plain"),
    [
        ("X.sum(axis=1)", "X.sum(dim=1)"),
        ("torch.sum(X, axis=1, keepdims=True)", "torch.sum(X, 1, True)"),
        ("torch.softmax(X, axis=1)", "torch.softmax(X, 1)"),
        ("torch.stack([X, X], axis=1)", "torch.stack([X, X], 1)"),
        ("X.argmax(axis=1)", "X.argmax(1)"),
        ("X.max(axis=1)[0]", "X.max(1)[0]"),
        ("X.std(axis=0)", "X.std(0)"),
        ("torch.all(X, axis=1, keepdims=True)", "torch.all(X, 1, True)"),
        ("X.cumsum(axis=0)", "X.cumsum(0)"),
        ("X.unsqueeze(axis=0)", "X.unsqueeze(0)"),
        ("torch.swapaxes(X, axis0=0, axis1=1)", "X.T"),
        ("torch.add(x=X, x2=X)", "X + X"),
        ("torch.maximum(x1=X, x2=-X)", "torch.maximum(X, -X)"),
        ("torch.exp(x=X)", "X.exp()"),
    ],
)
def test_numpys_names_of_arguments(numpy, plain):
    assert torch.equal(eval(numpy), eval(plain))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("torch.matmul(2, X)", "matmul(): argument 'input' must be Tensor, not int"),
        ("torch.cross(X, other=None)", "cross(): argument 'other' must be Tensor, not NoneType"),
        ("X.outer('a')", "outer(): argument 'vec2' must be Tensor, not str"),
        ("torch.sum([1, 2])", "sum(): argument 'input' must be Tensor, not list"),
        ("torch.stack([1, X])", "stack(): argument 'tensors' must be tuple of Tensors, not int"),
        ("X.clone().masked_scatter_(X > 0, 1)", "argument 'source' must be Tensor, not int"),
        ("X.sum(2.5)", "argument 'dim' must be int or tuple of ints, not float"),
    ],
)
def test_what_has_to_be_a_tensor(call, says):
    with pytest.raises(TypeError, match=re.escape(says)):
        eval(call)


def test_a_wrong_name_is_refused():
    with pytest.raises(TypeError, match="axes"):
        X.sum(axes=1)


@pytest.mark.parametrize(
    "make",
    [
        "torch.ones(2, dtype=kind)",
        "torch.full((2,), 1, dtype=kind)",
        "torch.tensor([1], dtype=kind)",
        "torch.as_tensor([1.0], dtype=kind)",
        "torch.arange(3, dtype=kind)",
        "torch.eye(2, dtype=kind)",
        "torch.zeros_like(X, dtype=kind)",
        "X.new_zeros(2, dtype=kind)",
        "X.to(kind)",
        "X.to(dtype=kind)",
        "X.sum(dtype=kind)",
        "torch.cumsum(X, 0, dtype=kind)",
    ],
)
@pytest.mark.parametrize(
    ("kind", "want"), [(int, torch.int64), (float, torch.float64), (bool, torch.bool)]
)
def test_types_of_python_are_dtypes(make, kind, want):
    if "cumsum" in make and kind is bool:
        kind, want = complex, torch.complex128
    assert eval(make, {"torch": torch, "X": X, "kind": kind}).dtype is want


def test_modules_take_types_of_python():
    m = torch.nn.Linear(1, 1, dtype=float)
    assert m.weight.dtype is torch.float64
    m = torch.nn.Linear(1, 1)
    assert m.to(float).weight.dtype is torch.float64
    assert m.float().to(dtype=float).weight.dtype is torch.float64


def test_out_that_is_an_operand_without_elements():
    """It overlaps once the result has elements. Expected is what PyTorch does."""
    for shape in ((0,), (0, 3), (2, 0)):
        x = torch.zeros(shape)
        if shape == (0,):
            assert torch.cat([x, x], out=x).shape == (0,)
        else:
            with pytest.raises(RuntimeError, match="unsupported operation"):
                torch.cat([x, x], out=x)
        assert torch.stack([x, x], out=x).numel() == 0
    x = torch.zeros(0)
    for others in ([torch.ones(2), x], [x, torch.ones(2)]):
        with pytest.raises(RuntimeError, match="unsupported operation"):
            torch.cat(others, out=x)


@pytest.mark.parametrize("space", ["", "nn.functional", "linalg", "fft", "special"])
def test_public_functions_are_pickled_by_their_names(space):
    home = torch
    for part in filter(None, space.split(".")):
        home = getattr(home, part)
    names = {*dir(home), *(later.HOME if home is torch else ())}  # with those not yet loaded
    functions = {n: getattr(home, n, None) for n in names if not n.startswith("_")}
    functions = {n: f for n, f in functions.items() if isinstance(f, types.FunctionType)}
    functions.pop("native_channel_shuffle", None)  # another name of channel_shuffle
    assert len(functions) > 15
    lost = []
    for name, f in functions.items():
        try:
            if pickle.loads(pickle.dumps(f)) is not f:
                lost.append(name)
        except pickle.PicklingError:
            lost.append(name)
    assert not lost
