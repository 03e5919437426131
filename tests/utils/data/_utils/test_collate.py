"""Batches of samples, by type."""

from __future__ import annotations

from collections import OrderedDict, UserList, defaultdict, namedtuple
from types import MappingProxyType

import numpy as np
import pytest

import facula
from facula import Tensor
from facula.utils.data import default_collate, default_convert
from facula.utils.data._utils.collate import collate, default_collate_fn_map

Point = namedtuple("Point", "x y")


def same(a, b):
    """Whether two structures are equal, with their types and dtypes."""
    if type(a) is not type(b):
        return False
    if isinstance(a, Tensor):
        return a.dtype is b.dtype and a.shape == b.shape and a.tolist() == b.tolist()
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple, UserList)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    return bool(a == b)


t = facula.tensor
NUMBERS = [
    ([1, 2], t([1, 2])),
    ([2**40, 1], t([2**40, 1])),
    ([True, False], t([True, False])),
    ([1.5, 2], t([1.5, 2.0], dtype=facula.float64)),
    ([1, 2.5], t([1.0, 2.5])),
    ([t([1, 2]), t([3, 4])], t([[1, 2], [3, 4]])),
    ([t(1.0, dtype=facula.float16)] * 2, t([1.0, 1.0], dtype=facula.float16)),
    ([np.array([1.5, 2])] * 2, t([[1.5, 2.0]] * 2, dtype=facula.float64)),
    ([np.array(1.5)] * 2, t([1.5, 1.5], dtype=facula.float64)),
    ([np.float32(1), np.float32(2)], t([1.0, 2.0])),
    ([np.bool_(True)] * 2, t([True, True])),
    ([np.int8(3)] * 2, t([3, 3], dtype=facula.int8)),
]
CONTAINERS = [
    (["a", "b"], ["a", "b"]),
    ([b"a", b"b"], [b"a", b"b"]),
    (["ab", 1], ["ab", 1]),
    ([np.str_("x")] * 2, [np.str_("x")] * 2),
    ([(1, "a"), (2, "b")], [t([1, 2]), ("a", "b")]),
    ([[1, "a"], [2, "b"]], [t([1, 2]), ("a", "b")]),
    (((1, 2), (3, 4)), [t([1, 3]), t([2, 4])]),
    ([[1, 2], [3, 4]], [t([1, 3]), t([2, 4])]),
    ([range(2), range(2)], [t([0, 0]), t([1, 1])]),
    ([{"a": 1, "b": 2.0}] * 2, {"a": t([1, 1]), "b": t([2.0] * 2, dtype=facula.float64)}),
    ([{"a": 1}, {"a": 2, "b": 3}], {"a": t([1, 2])}),
    ([OrderedDict(a=1)], OrderedDict(a=t([1]))),
    ([Point(1, 2), Point(3, 4)], Point(t([1, 3]), t([2, 4]))),
    ([UserList([1, 2])] * 2, UserList([t([1, 1]), t([2, 2])])),
    ([MappingProxyType({"a": 1})], MappingProxyType({"a": t([1])})),
    ([(), ()], []),
    ([{"a": (1, {"b": [2]})}], {"a": [t([1]), {"b": [t([2])]}]}),
]


@pytest.mark.parametrize("samples, expected", NUMBERS + CONTAINERS)
def test_default_collate(samples, expected):
    got = default_collate(samples)
    if isinstance(expected, MappingProxyType):
        got, expected = dict(got), dict(expected)
    assert same(got, expected)


def test_a_defaultdict_keeps_its_factory():
    got = default_collate([defaultdict(list, a=1)])
    assert got["a"].tolist() == [1] and got["new"] == []


def test_samples_are_not_changed():
    sample = {"a": [1, 2]}
    default_collate([sample, sample])
    assert sample == {"a": [1, 2]}


@pytest.mark.parametrize(
    "samples, error, text",
    [
        ([None], TypeError, "NoneType"),
        ([1j], TypeError, "complex"),
        ([{1, 2}], TypeError, "set"),
        ([np.array(["a"])], TypeError, "U1"),
        ([np.array([None])], TypeError, "object"),
        ([np.zeros(3, "M8[s]")], TypeError, "datetime"),
        ([[1, 2], [3]], RuntimeError, "sample 0 has 2 elements and sample 1 has 1"),
        ([{"a": 1}, {"b": 2}], KeyError, "a"),
        ([], IndexError, "index"),
        ([facula.zeros(2), facula.zeros(3)], RuntimeError, "stack"),
    ],
)
def test_samples_that_make_no_batch(samples, error, text):
    with pytest.raises(error, match=text):
        default_collate(samples)


def test_functions_for_other_types():
    class Own:
        pass

    def gather(batch, *, collate_fn_map=None):
        return len(batch)

    functions = {**default_collate_fn_map, (Own, set): gather}
    got = collate([(Own(), {1}, 2)] * 3, collate_fn_map=functions)
    assert got[:2] == [3, 3] and got[2].tolist() == [2, 2, 2]
    with pytest.raises(TypeError, match="int"):
        collate([1])


@pytest.mark.parametrize(
    "data, expected",
    [
        (np.array([1]), t([1])),
        (np.float32(2), t(2.0)),
        (3, 3),
        ("s", "s"),
        ([np.array([1]), 3, {"a": np.int64(3)}], [t([1]), 3, {"a": t(3)}]),
        (Point(np.array(1), 2), Point(t(1), 2)),
        ((1, np.array([1.5])), [1, t([1.5], dtype=facula.float64)]),
        (b"x", b"x"),
    ],
)
def test_default_convert(data, expected):
    assert same(default_convert(data), expected)


def test_default_convert_leaves_text_and_tensors():
    text, x = np.array(["s"]), facula.zeros(2)
    assert default_convert(text) is text and default_convert(x) is x
