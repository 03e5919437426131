"""Declaring primitives: once each, and again where an interrupt undid a module."""

import importlib
import sys

import pytest

from facula.ops import registry, special


def test_a_name_is_declared_once():
    with pytest.raises(ValueError, match="primitive 'exp' is declared twice"):
        registry.Op("exp", lambda n: n, lambda p, s, a: a)


def test_a_module_whose_import_was_interrupted_is_imported_again(monkeypatch):
    """Ctrl-C in the middle of it removes the module; what it declared so far is there."""
    before = dict(registry.PRIMITIVES)
    monkeypatch.delitem(sys.modules, special.__name__)
    try:
        again = importlib.import_module(special.__name__)
        assert again is not special
        assert registry.PRIMITIVES.keys() == before.keys()
    finally:
        registry.PRIMITIVES.update(before)
        sys.modules["facula.ops"].special = special
