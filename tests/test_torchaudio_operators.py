"""The operators of torchaudio's compiled part that are here in Python."""

from __future__ import annotations

import numpy as np
import pytest

import facula as torch
from facula import library


@pytest.fixture(autouse=True)
def _operators():
    before = dict(library._OPERATORS)
    torch.ops.load_library("/some/where/torchaudio/lib/_torchaudio.abi3.so")
    yield
    library._OPERATORS.clear()
    library._OPERATORS.update(before)


def test_filters_are_recurrences(rng):
    x, a = rng.normal(size=(2, 3, 10)), rng.normal(size=(3, 3)) / 4
    a[:, -1] = 1
    out = torch.zeros(2, 3, 12, dtype=torch.float64)
    torch.ops.torchaudio._lfilter_core_loop(torch.tensor(x), torch.tensor(a), out)
    want = np.zeros((2, 3, 12))
    for b, c, t in np.ndindex(x.shape):
        want[b, c, t + 2] = x[b, c, t] - a[c, 0] * want[b, c, t] - a[c, 1] * want[b, c, t + 1]
    np.testing.assert_allclose(out.numpy(), want)


def test_overdrive_keeps_what_it_is_given(rng):
    x, y = rng.normal(size=(2, 3, 6))
    first, last = torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    out = torch.zeros(3, 6, dtype=torch.float64)
    torch.ops.torchaudio._overdrive_core_loop(torch.tensor(x), torch.tensor(y), first, last, out)
    kept = np.zeros((3, 7))
    for t in range(6):
        kept[:, t + 1] = y[:, t] - (y[:, t - 1] if t else 0) + 0.995 * kept[:, t]
    np.testing.assert_allclose(out.numpy(), x * 0.5 + kept[:, 1:] * 0.75)
    assert first.tolist() == last.tolist() == [0, 0, 0]


def test_what_was_compiled_and_what_is_refused():
    assert torch.ops._torchaudio.cuda_version() is None
    assert torch.ops._torchaudio.is_align_available() is False
    with pytest.raises(NotImplementedError, match=r"torchaudio\.rnnt_loss_forward"):
        torch.ops.torchaudio.rnnt_loss_forward()
