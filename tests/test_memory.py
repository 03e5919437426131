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
    assert torch.asarray(s[4:8]).tolist() == [0, 0, 32, 65]
    assert torch.asarray(x.storage()).tolist() == x.tolist()
    with pytest.raises(RuntimeError, match="out of bounds"):
        torch.empty(0).set_(s, 1, (9,), (1,))
    with pytest.raises(RuntimeError, match="expected a storage of"):
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
