"""Promotion by the standard's table, written out, and what the namespace says of itself."""

from __future__ import annotations

import pytest

import facula
import facula.array_api as xp

UNSIGNED = ["uint8", "uint16", "uint32", "uint64"]
SIGNED = ["int8", "int16", "int32", "int64"]
# Rows uint8.., columns int8..: https://data-apis.org/array-api/latest/API_specification/type_promotion.html
MIXED = [
    ["int16", "int16", "int32", "int64"],
    ["int32", "int32", "int32", "int64"],
    ["int64", "int64", "int64", "int64"],
    [None, None, None, None],
]


@pytest.mark.parametrize("u", range(4))
@pytest.mark.parametrize("s", range(4))
def test_unsigned_with_signed(u: int, s: int) -> None:
    a, b, want = getattr(xp, UNSIGNED[u]), getattr(xp, SIGNED[s]), MIXED[u][s]
    if want is None:
        with pytest.raises(TypeError, match="uint64"):
            xp.result_type(a, b)
        assert not xp.can_cast(a, b)
    else:
        assert xp.result_type(a, b) is xp.result_type(b, a) is getattr(xp, want)
        assert xp.can_cast(a, getattr(xp, want))


def test_numbers_give_way() -> None:
    assert xp.result_type(xp.float32, 1) is xp.float32
    assert xp.result_type(xp.zeros(2, dtype=xp.int8), 3) is xp.int8
    assert xp.result_type(xp.float64, 1j) is xp.complex128
    with pytest.raises(ValueError, match="at least one"):
        xp.result_type()


def test_limits_and_kinds() -> None:
    assert xp.finfo(xp.complex64).dtype is xp.float32
    assert xp.finfo(xp.zeros(1)).bits == 32
    assert xp.iinfo(xp.uint16) == (16, 65535, 0, xp.uint16)
    assert xp.isdtype(xp.int8, ("bool", "integral"))
    assert not xp.isdtype(xp.bool, "numeric")
    assert xp.isdtype(xp.bool, xp.bool)


def test_info() -> None:
    info = xp.__array_namespace_info__()
    assert info.devices() == (facula.device("cpu"),)
    assert info.default_dtypes()["real floating"] is xp.float32
    assert set(info.dtypes(kind="bool")) == {"bool"}
    assert len(info.dtypes()) == 13
    assert info.capabilities()["boolean indexing"]
