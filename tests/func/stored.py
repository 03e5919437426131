"""The cases of tests/generate/func.py, with what PyTorch made of them."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

import facula

TESTS = Path(__file__).parents[1]
_FILE = json.loads((TESTS / "data" / "func.json").read_text())
_spec = importlib.util.spec_from_file_location("generate_func", TESTS / "generate" / "func.py")
_generate = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_generate)


def cases(section):
    """Parameters for a test: the text of a case, and PyTorch's answer."""
    return pytest.mark.parametrize(
        ("text", "expected"), _FILE[section], ids=[text[:60] for text, _ in _FILE[section]]
    )


def check(text, expected, module):
    """Evaluate a case on a module of Facula, and compare."""
    facula.manual_seed(0)
    known = _generate.names(facula, module)
    if "error" in expected:
        with pytest.raises(Exception) as caught:
            eval(text, known)
        kinds = [kind.__name__ for kind in type(caught.value).__mro__]
        assert expected["error"] in kinds, caught.value
    else:
        _same(_generate.plain(eval(text, known)), expected["value"])


def _same(found, expected):
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for k in expected:
            _same(found[k], expected[k])
    elif isinstance(expected, list) and any([isinstance(e, (list, dict)) for e in expected]):
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            _same(a, b)
    else:
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6)
