"""Dictionaries of weak references to tensors."""

import copy

import pytest

import facula as torch
from facula.utils.weak import TensorWeakRef, WeakIdRef, WeakTensorKeyDictionary


def test_keys_are_known_by_identity_and_not_kept():
    a, b = torch.ones(2), torch.ones(2)
    d = WeakTensorKeyDictionary()
    d[a], d[b] = "a", "b"
    assert (d[a], d[b], len(d)) == ("a", "b", 2) and a in d and torch.ones(2) not in d
    assert 3 not in d  # no weak reference to it
    d[a] = "new"
    assert d[a] == "new" and len(d) == 2 and {id(k) for k in d} == {id(a), id(b)}
    with pytest.raises(KeyError):
        d[torch.ones(2)]
    del b
    torch.synchronize()  # what is pending is kept
    assert list(d.values()) == ["new"] and len(d) == 1 and len(d.keyrefs()) == 1
    assert d.pop(a) == "new" and d.get(a) is None and a not in d


def test_copies_and_unions():
    a, b = torch.ones(2), torch.ones(2)
    d = WeakTensorKeyDictionary({})
    d[a] = [1]
    e = d | {}
    e[b] = [2]
    assert d.copy() == d != e and copy.copy(d)[a] is d[a] and copy.deepcopy(d)[a] is not d[a]
    assert copy.deepcopy(d) == d and (d | e) == (e | d) == e and len(d) == 1
    d |= e
    assert d == e and d != 3 and repr(d).startswith("<WeakIdKeyDictionary at 0x")
    with pytest.raises(TypeError):
        hash(d)
    assert len({} | e) == 2


def test_references():
    t = torch.ones(2)
    ref, same = TensorWeakRef(t), WeakIdRef(t)
    assert ref() is t and same == WeakIdRef(t) and hash(same) == hash(WeakIdRef(t))
    assert same != WeakIdRef(torch.ones(2)) and same != t
    del t
    torch.synchronize()
    assert ref() is None and same() is None and same == same
    with pytest.raises(TypeError, match="expects a Tensor, got int"):
        TensorWeakRef(3)
