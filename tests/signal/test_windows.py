"""Window functions against NumPy's and by hand."""

from __future__ import annotations

import numpy as np
import pytest

import facula as torch

windows = torch.signal.windows


@pytest.mark.parametrize("name", ["bartlett", "blackman", "hamming", "kaiser"])
@pytest.mark.parametrize("m", [0, 1, 2, 7])
def test_symmetric_windows_against_numpy(name, m):
    beta = {"beta": 5.0} if name == "kaiser" else {}
    got = getattr(windows, name)(m, dtype=torch.float64, **beta)
    np.testing.assert_allclose(got.numpy(), getattr(np, name)(m, *beta.values()), atol=1e-15)


@pytest.mark.parametrize("name", [n for n in windows.__all__ if n != "general_cosine"])
def test_a_period_is_a_longer_window_without_its_end(name):
    f = getattr(windows, name)
    np.testing.assert_allclose(f(6, sym=False).numpy(), f(7).numpy()[:-1], atol=1e-6)


def test_by_hand():
    assert windows.hann(3).tolist() == [0, 1, 0]
    assert windows.cosine(2, dtype=torch.float64).tolist() == pytest.approx([0.5**0.5] * 2)
    assert windows.exponential(3, tau=1.0).tolist() == pytest.approx([np.exp(-1), 1, np.exp(-1)])
    assert windows.gaussian(3, std=1.0).tolist() == pytest.approx([np.exp(-0.5), 1, np.exp(-0.5)])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: windows.hann(-1), "non-negative"),
        (lambda: windows.hann(3, dtype=torch.int64), "float32 or float64"),
        (lambda: windows.kaiser(3, beta=-1), "beta"),
        (lambda: windows.gaussian(3, std=0), "Standard deviation"),
        (lambda: windows.exponential(3, center=1), "Center"),
        (lambda: windows.general_cosine(3, a=[]), "empty"),
    ],
)
def test_what_is_out_of_range(call, message):
    with pytest.raises(ValueError, match=message):
        call()
