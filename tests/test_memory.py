"""Storages as programs see them: where memory is, how large it is, who shares it."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import facula as torch


def test_bytes_of_all_of_the_memory():
    x = torch.arange(6.0).reshape(2, 3)
    y = x[1:]
    for t in (x, y, x.t(), y[:, 0], x.detach()):
        s = t.untyped_storage()
        assert type(s) is torch.UntypedStorage is torch.storage.UntypedStorage
        assert len(s) == s.nbytes() == s.size() == 24 and s.element_size() == 1
        assert s.data_ptr() == s._cdata == x.data_ptr()
    assert y.data_ptr() == y.untyped_storage().data_ptr() + 12
    assert s[4:8].tolist() == [0, 0, 128, 63] and s[7] == 63 and s[-17] == 63
    assert bytes(s) == np.arange(6, dtype=np.float32).tobytes()
    assert torch.ones(3).untyped_storage().data_ptr() != s.data_ptr()


def test_writes_go_either_way(tier):
    x = torch.arange(6.0).reshape(2, 3)
    s, typed = x.untyped_storage(), x[1:].storage()
    x[0, 0] = 7
    assert s[0:4].tolist() == [0, 0, 224, 64] and typed[0] == 7
    s[3] = 0xC0
    typed[5] = 9
    s[8:12] = 0
    assert x.tolist() == [[-7, 1, 0], [3, 4, 9]]
    typed.fill_(2)
    assert x.sum() == 12 and list(typed) == typed.tolist() == [2] * 6
    s.copy_(torch.zeros(6).untyped_storage())
    copy = s.clone()
    copy.fill_(1)
    assert not x.any() and copy.tolist() == [1] * 24


def test_pending_and_training_values():
    x = torch.ones(3, requires_grad=True)
    y = x * 2
    assert x.untyped_storage().nbytes() == y.untyped_storage().nbytes() == 12
    assert y.storage().tolist() == [2, 2, 2]
    y.sum().backward()
    assert x.grad.tolist() == [2, 2, 2]


@pytest.mark.parametrize("shape", [(0,), (2, 0, 3)])
def test_no_memory(shape):
    s = torch.zeros(shape).untyped_storage()
    assert len(s) == 0 and s.data_ptr() == 0 and s.tolist() == []


def test_layouts():
    x = torch.zeros(2, 3, 2, 2).to(memory_format=torch.channels_last)
    assert len(x.untyped_storage()) == 96 and len(x.storage()) == 24
    assert len(torch.ones(1, 3).expand(4, 3).untyped_storage()) == 12
    assert len(torch.tensor(1.0).untyped_storage()) == 4
    with pytest.raises(NotImplementedError, match="gaps"):
        torch.from_numpy(np.zeros((4, 4))[:, :2]).untyped_storage()


def test_tensors_over_a_storage():
    x = torch.arange(6.0)
    s = x.untyped_storage()
    assert torch.empty(0).set_(s).tolist() == x.tolist()
    assert torch.empty(0).set_(x.storage(), 2, (3,)).tolist() == [2, 3, 4]
    y = torch.empty(0).set_(x, 1, (2, 2), (2, 1))
    assert y.tolist() == [[1, 2], [3, 4]] and y.storage_offset() == 1
    y.mul_(10)
    assert x.tolist() == [0, 10, 20, 30, 40, 5]
    assert torch.empty(0, dtype=torch.int32).set_(s, 1, (1,)).tolist() == [0x41200000]
    assert torch.asarray(s[4:12], dtype=torch.float32).tolist() == [10, 20]
    assert torch.asarray(s[8:16]).tolist() == [4751297607976878080]
    assert torch.asarray(x.storage()).tolist() == x.tolist()
    with pytest.raises(RuntimeError, match="out of bounds"):
        torch.empty(0).set_(s, 1, (9,), (1,))
    with pytest.raises(RuntimeError, match="Expected a Storage of type"):
        torch.empty(0, dtype=torch.int64).set_(x.storage())
    with pytest.raises(TypeError, match="set_"):
        torch.empty(0).set_(None, 1)


def test_new_storages(tmp_path):
    assert torch.UntypedStorage([1, 2]).tolist() == [1, 2] and len(torch.UntypedStorage()) == 0
    assert len(torch.UntypedStorage(5)) == 5
    path = tmp_path / "bytes"
    path.write_bytes(b"abcdef")
    s = torch.UntypedStorage.from_file(str(path), shared=False, nbytes=4)
    s[0] = ord("x")
    assert bytes(s) == b"xbcd" and path.read_bytes() == b"abcdef"
    assert len(torch.UntypedStorage.from_file(path, False, 0)) == 0
    with pytest.raises(NotImplementedError, match="shared"):
        torch.UntypedStorage.from_file(path, True, 4)


def test_texts():
    s = torch.tensor([1, 2], dtype=torch.uint8)
    end = "(device=cpu) of size 2]"
    assert repr(s.untyped_storage()) == f" 1\n 2\n[torch.storage.UntypedStorage{end}"
    assert repr(s.storage()).endswith("TypedStorage(dtype=torch.uint8, device=cpu) of size 2]")


ERRORS = [
    (lambda s: s[24], IndexError, "index 24 out of range for storage of size 24"),
    (lambda s: s["a"], TypeError, "storage with str"),
    (lambda s: s[::2], RuntimeError, "step of 1"),
    (lambda s: s.copy_(torch.UntypedStorage(3)), RuntimeError, "24 bytes but src was 3"),
    (lambda s: s.resize_(3), NotImplementedError, "resize_"),
    (lambda s: torch.UntypedStorage(-1), RuntimeError, "negative"),
    (lambda s: torch.UntypedStorage("x"), TypeError, "got str"),
    (lambda s: torch.UntypedStorage(1, 2), TypeError, "2 arguments"),
    (lambda s: torch.zeros(2).storage()[:1], RuntimeError, "slices"),
]


@pytest.mark.parametrize("ask, error, text", ERRORS)
def test_errors(ask, error, text):
    with pytest.raises(error, match=text):
        ask(torch.zeros(6).untyped_storage())


def test_equal_constants_have_memory_of_their_own(tier):
    """A compiled program keeps a constant once; whoever looks at memory gets some to himself."""
    for _ in range(3):
        a, b, other = torch.zeros(4), torch.zeros(4), torch.ones(4).exp()
        torch.synchronize()
        view = b.view(2, 2)
        b.numpy()[1] = 5
        assert view.tolist() == [[0, 5], [0, 0]] and not a.any()
        c, d, other = torch.zeros(4), torch.zeros(4), torch.ones(4).exp()
        torch.synchronize()
        assert c.data_ptr() != d.data_ptr() != a.data_ptr()
        assert d.untyped_storage().data_ptr() == d.data_ptr() != other.data_ptr()


def test_untyped_storages_are_storages():
    assert isinstance(torch.ones(1).untyped_storage(), torch.StorageBase)
    assert not isinstance(torch.ones(1), torch.StorageBase)


def test_what_a_storage_takes_is_its_bytes():
    x = torch.zeros(1000)
    for storage in (x.untyped_storage(), x.storage()):
        assert 4000 <= sys.getsizeof(storage) < 4200


CASTS = {
    "float": ("FloatStorage", [-1, 0, 1, 2]),
    "half": ("HalfStorage", [-1, 0, 1, 2]),
    "bfloat16": ("BFloat16Storage", [-1, 0, 1, 2]),
    "double": ("DoubleStorage", [-1, 0, 1, 2]),
    "long": ("LongStorage", [-1, 0, 1, 2]),
    "short": ("ShortStorage", [-1, 0, 1, 2]),
    "char": ("CharStorage", [-1, 0, 1, 2]),
    "byte": ("ByteStorage", [255, 0, 1, 2]),
    "bool": ("BoolStorage", [True, False, True, True]),
    "complex_float": ("ComplexFloatStorage", [-1, 0, 1, 2]),
    "complex_double": ("ComplexDoubleStorage", [-1, 0, 1, 2]),
}


@pytest.mark.parametrize("name", CASTS)
def test_storages_of_other_numbers(name):
    kind, values = CASTS[name]
    made = getattr(torch.IntStorage([-1, 0, 1, 2]), name)()
    assert made.type() == f"torch.{kind}" and made.pickle_storage_type() == kind
    assert made.tolist() == values and isinstance(made, getattr(torch, kind))
    assert made.untyped().type() == "torch.storage.UntypedStorage"
    assert getattr(torch.UntypedStorage([255, 1]), name)().tolist() is not None


def test_typed_storages():
    assert torch.TypedStorage([1, 2], dtype=torch.int16).nbytes() == 4
    assert torch.TypedStorage(3).dtype is torch.float32 and len(torch.TypedStorage()) == 0
    s = torch.TypedStorage([1, 2], dtype=torch.int16)
    assert not s.is_shared() and not s.is_cuda and not s.is_pinned() and s.filename is None
    assert s.share_memory_() is s and s.is_shared() and s.get_device() is None
    assert s.to(device="cpu") is s and s.cpu() is s
    again = torch.ShortStorage(wrap_storage=s.untyped(), _internal=True)
    again[1] = 9
    assert s.tolist() == [1, 9] and torch.ShortStorage._dtype is torch.int16
    meta = torch.TypedStorage([1, 2, 3], dtype=torch.int16, device="meta")
    assert meta.device.type == "meta" and meta.nbytes() == 6 and meta.data_ptr() == 0
    assert meta.resize_(10).size() == 10 and "meta" in repr(meta)
    assert torch.tensor(s, dtype=torch.int16).tolist() == [1, 9]
    assert torch.tensor(torch.tensor([1.0, 2.0]).untyped_storage(), dtype=torch.float32)[1] == 2


BUFFERS = [
    ("ShortStorage", bytes([1, 2, 3, 4]), ("big",), [258, 772]),
    ("IntStorage", bytes([1, 2, 3, 4]), ("little",), [67305985]),
    ("FloatStorage", bytes([0x40, 0x10, 0, 0]), ("big",), [2.25]),
    ("BoolStorage", b"\0x4A", ("big",), [False, True, True, True]),
    ("ByteStorage", b"abc", (), [97, 98, 99]),
    ("ShortStorage", b"abcdef", ("little", 2), [25185, 25699]),
    ("ShortStorage", b"abcdef", ("little", -1, 2), [25699, 26213]),
    ("ShortStorage", b"abc", ("little",), ValueError),
    ("ShortStorage", b"abcdef", ("big", 7), ValueError),
    ("ShortStorage", b"abcdef", ("other",), ValueError),
    ("ByteStorage", b"abc", ("big", -1, 5), ValueError),
]


@pytest.mark.parametrize("name, data, options, expected", BUFFERS)
def test_storages_of_buffers(name, data, options, expected):
    make = getattr(torch, name).from_buffer
    if expected is ValueError:
        with pytest.raises(ValueError, match="from_buffer"):
            make(data, *options)
    else:
        assert make(bytearray(data), *options).tolist() == expected


def test_order_of_bytes():
    s = torch.UntypedStorage(list(range(16)))
    s.byteswap(torch.complex64)
    assert s.tolist() == [3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12]
    s.byteswap(torch.uint8)
    assert s[:4].tolist() == [3, 2, 1, 0] and s.new().tolist() == []


TYPED_ERRORS = [
    (lambda s: torch.ByteStorage(device="cpu"), RuntimeError, "'device' cannot be specified"),
    (lambda s: torch.ByteStorage(dtype=torch.int8), RuntimeError, "'dtype' cannot be specified"),
    (lambda s: torch.ByteStorage(size=3), TypeError, "unexpected keyword"),
    (lambda s: torch.ByteStorage(0, 0), RuntimeError, "Too many positional arguments"),
    (lambda s: torch.ByteStorage(torch.ones(1)), TypeError, "Argument type not recognized"),
    (lambda s: torch.TypedStorage(0, wrap_storage=s, dtype=torch.int8), RuntimeError, "No posit"),
    (lambda s: torch.TypedStorage(wrap_storage=s), RuntimeError, "'dtype' must be specified"),
    (lambda s: torch.TypedStorage(wrap_storage=s, dtype=0), TypeError, "must be torch.dtype"),
    (lambda s: torch.FloatStorage(wrap_storage=s.float()), TypeError, "must be UntypedStorage"),
    (lambda s: s.float().fill_(s.float()), RuntimeError, "cannot set item"),
    (lambda s: torch.tensor(s.float(), dtype=torch.int8), RuntimeError, "Expected a Storage of"),
    (lambda s: torch.UntypedStorage(3, device="meta")[0], NotImplementedError, "Not available"),
    (lambda s: torch.UntypedStorage(3, device="meta").tolist(), NotImplementedError, "Not avail"),
]


@pytest.mark.parametrize("ask, error, text", TYPED_ERRORS)
def test_errors_of_typed_storages(ask, error, text):
    with pytest.raises(error, match=text):
        ask(torch.zeros(6).untyped_storage())
