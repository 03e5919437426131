"""Tensors of data: what is copied and what is shared."""

from __future__ import annotations

import numpy as np
import pytest

import facula as torch


def test_asarray_copies_where_it_is_told_to():
    x = torch.ones(2)
    assert torch.asarray(x) is x
    assert torch.asarray(x, copy=True) is not x
    assert torch.asarray(x, dtype=torch.int8).dtype is torch.int8
    a = np.zeros(2)
    shared = torch.asarray(a)
    a[0] = 1.0
    assert shared.tolist() == [1.0, 0.0]
    assert torch.asarray(bytearray(8), dtype=torch.int32).tolist() == [0, 0]
    leaf = torch.ones(2, requires_grad=True)
    assert torch.asarray(leaf) is leaf
    assert not torch.asarray(leaf, requires_grad=False).requires_grad
    assert torch.asarray([1.0], requires_grad=True).requires_grad
    with pytest.raises(ValueError, match=r"float32 into dtype torch\.float64"):
        torch.asarray(x, dtype=torch.float64, copy=False)
    with pytest.raises(ValueError, match="arbitrary sequence"):
        torch.asarray([1.0], copy=False)


@pytest.mark.parametrize("make", [torch.tensor, torch.as_tensor])
@pytest.mark.parametrize("array", [np.array([1.5, True], dtype=object), np.array(["1", "2"])])
def test_arrays_of_objects_and_texts_are_refused_whatever_type_is_asked_for(make, array):
    with pytest.raises(TypeError, match=r"can't convert np\.ndarray"):
        make(array, dtype=torch.float32)


def test_a_file_is_seen_as_a_tensor(tmp_path):
    name = str(tmp_path / "numbers")
    with pytest.raises(RuntimeError, match="numbers"):
        torch.from_file(name, size=1)
    shared = torch.from_file(name, shared=True, size=4)
    shared.fill_(3)
    assert np.fromfile(name, np.float32).tolist() == [3, 3, 3, 3]
    own = torch.from_file(name, size=2, dtype=torch.float32)
    own.fill_(5)
    assert (own.tolist(), shared.tolist()) == ([5, 5], [3, 3, 3, 3])
    assert np.fromfile(name, np.float32).tolist() == [3, 3, 3, 3]
    assert torch.from_file(name).shape == (0,)
    with pytest.raises(RuntimeError, match="<16> is smaller than the required mapping size <40>"):
        torch.from_file(name, size=5, dtype=torch.int64)


NESTED = {
    "one element in a list": (lambda t: [t([1.5])], [1], "float32"),
    "several": (lambda t: [t([1.5]), t([1.5])], [2], "float32"),
    "deep in lists": (lambda t: [[[t([1.5])]], [[t([1.5])]]], [2, 1, 1], "float32"),
    "of two dimensions": (lambda t: [[t([[1.5]])]], [1, 1], "float32"),
    "among numbers": (lambda t: [1.5, t([1.5])], [2], "float32"),
    "among integers": (lambda t: [t([1]), t(1.5), True], [3], "float32"),
    "integers": (lambda t: [t([1]), t([1])], [2], "int64"),
    "without dimensions": (lambda t: [[t(1.5)], [t(1.5)]], [2, 1], "float32"),
}


@pytest.mark.parametrize("make", [torch.tensor, torch.as_tensor], ids=["tensor", "as_tensor"])
@pytest.mark.parametrize("data, shape, dtype", NESTED.values(), ids=NESTED)
def test_tensors_in_lists_are_numbers(make, data, shape, dtype):
    made = make(data(torch.tensor))
    assert list(made.shape) == shape
    assert made.dtype is getattr(torch, dtype)
    assert set(made.flatten().tolist()) <= {1.5, 1}


def test_tensors_in_lists_that_are_no_numbers():
    with pytest.raises(ValueError, match="only one element tensors"):
        torch.tensor([torch.ones(2)])
    with pytest.raises(TypeError, match="only integer tensors of a single element"):
        torch.tensor([torch.ones(1)], dtype=torch.int64)
    assert torch.tensor([torch.ones(1)], dtype=torch.float64).tolist() == [1.0]


def test_memory_that_can_not_be_written_is_copied_with_a_warning():
    with pytest.warns(UserWarning, match="buffer is not writable"):
        t = torch.frombuffer(b"abc", dtype=torch.uint8)
    t[0] = 1
    assert t.tolist() == [1, 98, 99] and torch.ones(1).item() == 1
    masked = torch.from_numpy(np.ma.array([1, 2]))
    assert masked.tolist() == [1, 2]


def test_asarray_of_a_capsule_and_of_a_numpy_number():
    x = torch.arange(3.0)
    y = torch.asarray(torch.utils.dlpack.to_dlpack(x))
    x[0] = 5
    assert y.tolist() == [5, 1, 2]
    with pytest.raises(RuntimeError, match="can't alias NumPy scalars"):
        torch.asarray(np.float64(0.5), copy=False)


def test_a_list_that_holds_itself():
    data = [0]
    data.append(data)
    with pytest.raises(TypeError, match="holds itself"):
        torch.tensor(data)


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        ([[1, 2], [3]], ValueError, r"expected sequence of length 2 at dim 1 \(got 1\)"),
        ([np.ones(2), np.ones(3)], ValueError, r"of length 2 at dim 1 \(got 3\)"),
        ([[np.ones((3, 3)), np.ones((3, 2))]], ValueError, r"of length 3 at dim 3 \(got 2\)"),
        ([np.ones((3, 3)), np.ones((3, 0))], ValueError, r"of length 3 at dim 2 \(got 0\)"),
        ([[1], 2], TypeError, "not a sequence"),
        ([1, [2]], TypeError, "expected an integer"),
        ([1.0, [2]], TypeError, "expected a real number"),
    ],
)
def test_sequences_of_several_lengths(data, error, words):
    with pytest.raises(error, match=words):
        torch.tensor(data)


@pytest.mark.parametrize(
    ("buffer", "given", "words"),
    [
        ([1, 2], {}, "does not implement Python buffer protocol"),
        (bytearray(4), {"offset": -1}, r"offset \(-1 bytes\) must be non-negative"),
        (bytearray(4), {"offset": 4}, r"offset \(4 bytes\) must be"),
        (bytearray(4), {"count": 3}, r"requested buffer length \(3 \* 2 bytes\) after offset"),
        (bytearray(4), {"offset": 3}, r"must be a multiple of element size \(2\)"),
        (bytearray(0), {}, "must not be 0"),
    ],
)
def test_buffers_that_do_not_fit(buffer, given, words):
    with pytest.raises(ValueError, match=words):
        torch.frombuffer(buffer, dtype=torch.int16, **given)


def test_large_tensors_begin_at_a_line_of_the_caches():
    def lines(x):
        torch.synchronize()
        return x.data_ptr() % 64

    a = np.arange(40_000.0).reshape(200, 200)
    x = torch.tensor(a)
    kept = [x, torch.tensor(a, dtype=torch.float32), torch.randn(200, 200), x + 1]
    for _ in range(3):  # not by chance
        assert [lines(t) for t in kept] == [0] * 4
        kept = [t.clone() for t in kept]
    np.testing.assert_array_equal(x.numpy(), a)
    a[0, 0] = 7
    assert x[0, 0].item() == 0  # a copy
