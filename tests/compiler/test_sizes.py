"""Which integers of texts count as changing."""

import pytest

from facula.compiler import sizes


@pytest.fixture(autouse=True)
def nothing_met(monkeypatch):
    monkeypatch.setattr(sizes, "_known", {})


def test_those_that_differed_change():
    assert sizes.varied(b"a", ["1", "2", "3"]) == []
    assert sizes.varied(b"b", ["9", "9"]) == []
    assert sizes.varied(b"a", ["1", "5", "3"]) == [1]
    assert sizes.varied(b"a", ["1", "2", "4"]) == [1, 2]
    assert sizes.varied(b"a", ["1", "2", "3"]) == [1, 2]
    assert sizes.varied(b"b", ["9", "9"]) == []


def test_a_list_that_is_changed_later_is_no_matter():
    first = ["1", "2"]
    sizes.varied(b"a", first)
    first[0] = "x"
    assert sizes.varied(b"a", ["1", "3"]) == [1]


def test_all_of_them(monkeypatch):
    monkeypatch.setattr(sizes, "ALL", True)
    assert sizes.varied(b"a", ["1", "2"]) == [0, 1]


def test_outlines_are_bounded(monkeypatch):
    monkeypatch.setattr(sizes, "MAX_OUTLINES", 2)
    for n in range(9):
        sizes.varied(bytes([n]), ["1"])
    assert len(sizes._known) <= 3
