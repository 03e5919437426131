"""Operators of PyTorch's top level against what PyTorch gives (tests/generate/native.py)."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

import facula

STORED = json.loads((Path(__file__).resolve().parents[1] / "data" / "ops_native.json").read_text())


def numbers():
    x = (facula.arange(24) * 37 % 23 - 11).reshape(4, 6) / 8
    y = (facula.arange(24) * 29 % 19 - 9).reshape(4, 6) / 8
    w = (facula.arange(36) * 31 % 17 - 8).reshape(6, 6) / 16
    i = facula.tensor([[0, 2, 5], [1, 1, 3]])
    return {"torch": facula, "x": x, "y": y, "w": w, "t": y[:, 0], "i": i}


@pytest.mark.parametrize("expression", STORED)
def test_values(expression):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        got = eval(expression, numbers())
    parts = got if isinstance(got, tuple) else (got,)
    assert len(parts) == len(STORED[expression])
    for part, want in zip(parts, STORED[expression], strict=True):
        assert tuple(part.shape) == np.shape(want)
        np.testing.assert_allclose(np.asarray(part.tolist()), want, rtol=2e-5, atol=1e-6)


def test_in_place_forms_write():
    x = facula.tensor([-1.0, 2.0])
    assert facula.threshold_(x, 0.0, 5.0) is x
    assert x.tolist() == [5.0, 2.0]
    facula.manual_seed(0)
    assert facula.dropout_(x, 1.0, True).tolist() == [0.0, 0.0]
    y = facula.feature_dropout(facula.ones(2, 3, 4), 0.5, True)
    assert set(y.flatten().tolist()) <= {0.0, 2.0}
    assert all(len(set(row)) == 1 for sample in y.tolist() for row in sample)


def test_what_is_refused():
    x = facula.ones(2, 2)
    with pytest.raises(ValueError, match="7 is not a valid value"):
        facula.kl_div(x, x, 7)
    with pytest.raises(RuntimeError, match="w_hh"):
        facula.rnn_tanh_cell(x, x, x, facula.ones(3, 2))
    with pytest.warns(UserWarning, match="non-inplace resize is deprecated"):
        x.resize(4)


def test_kinds_of_values_that_may_replace_each_other():
    x = facula.ones(2)
    like = facula._has_compatible_shallow_copy_type
    assert like(x, facula.ones(3, dtype=facula.int32)) and like(x, facula.nn.Parameter(x))
    for other in (x.to_sparse(), facula.ones(2, device="meta")):
        assert not like(x, other) and not like(other, x)
