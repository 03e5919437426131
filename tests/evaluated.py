"""Cases that a script of tests/generate keeps with what PyTorch made of them.

A script `generate/NAME.py` has `names(...)`, what its cases speak of, and `plain(value)`, nested
lists; `data/NAME.json` has sections of cases with answers, a value or an error.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

import facula

TESTS = Path(__file__).parent


class Stored:
    """The cases of one script, evaluated on Facula's modules."""

    def __init__(self, name, *modules):
        path = TESTS / "generate" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"generate_{name}", path)
        self.script = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.script)
        self.sections = json.loads((TESTS / "data" / f"{name}.json").read_text())
        self.modules = (facula, *modules)

    def cases(self, section):
        """Parameters for a test: the text of a case, and PyTorch's answer."""
        found = self.sections[section]
        ids = [text[:60] for text, _ in found]
        return pytest.mark.parametrize(("text", "expected"), found, ids=ids)

    def check(self, text, expected):
        """Evaluate a case and compare; the error's message is returned, where there is one."""
        facula.manual_seed(0)
        known = self.script.names(*self.modules)
        if "error" not in expected:
            same(self.script.plain(eval(text, known)), expected["value"])
            return ""
        with pytest.raises(Exception) as caught:
            eval(text, known)
        kinds = [kind.__name__ for kind in type(caught.value).__mro__]
        assert expected["error"] in kinds, caught.value
        return str(caught.value)


def same(found, expected):
    """Compare nested lists and dictionaries of numbers."""
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for k in expected:
            same(found[k], expected[k])
    elif isinstance(expected, list) and any([not isinstance(e, (int, float)) for e in expected]):
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            same(a, b)
    elif isinstance(expected, (bool, str)) or expected is None:
        assert found == expected
    else:
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6)
