"""Operations that are imported when they are first used."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import facula as torch
from facula.ops import later, table


@pytest.mark.parametrize("module", sorted(later.MODULES))
def test_each_module_enters_the_names_that_are_listed_for_it(module):
    importlib.import_module(module)
    for name in later.MODULES[module].split():
        assert name in table.FUNCTIONS, name
        assert callable(getattr(torch, name))


@pytest.mark.parametrize("module", sorted(later.METHODS_ONLY))
def test_modules_of_methods_alone(module):
    importlib.import_module(module)
    for name in later.METHODS_ONLY[module].split():
        assert callable(getattr(torch.ones(1), name))
        assert name in table.METHODS and name not in table.FUNCTIONS


def test_all_methods_are_listed():
    code = (
        "import importlib, facula; from facula.ops import later, table\n"
        "known = set(table.METHODS)\n"
        "for m in {**later.MODULES, **later.METHODS_ONLY}: importlib.import_module(m)\n"
        "named = {n + s for n in later.HOME for s in ('', '_')}\n"
        "assert set(later.METHODS) == named & (set(table.METHODS) - known)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_functions_and_methods_are_found_in_a_fresh_interpreter():
    code = (
        "import sys, facula as t; assert 'facula.ops.special' not in sys.modules; "
        "x = t.tensor([4.0]); assert abs(x.lgamma_().item() - 1.791759) < 1e-5; "
        "assert t.digamma(t.ones(1)).item() < 0; assert not hasattr(x, 'no_such_method')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such"):
        torch.ones(1).no_such_method()
    assert later.load("no_such_method") is False
