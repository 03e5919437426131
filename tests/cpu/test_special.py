"""Special functions, compiled: errors against the bodies in float64, and the ends."""

import numpy as np
import pytest

import facula as torch
from facula.interpreter import program
from facula.ops import bessel, gamma, normal

BODIES = {
    "gammaln": gamma.lgamma,
    "digamma": gamma.digamma,
    "erfinv": normal.erfinv,
    "ndtri": normal.ndtri,
    "i0": lambda x: bessel.i(0, x),
    "i0e": lambda x: bessel.ie(0, x),
    "i1": lambda x: bessel.i(1, x),
    "i1e": lambda x: bessel.ie(1, x),
}
ENDS = [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 2.5, -2.5, 8.0, -8.0, -3.0, -170.5]
ENDS += [np.inf, -np.inf, np.nan, 3e38, -3e38, 1e-45, -1e-45, 1e-30, 1 - 2**-24, 0.49999997]


def inputs(rng, name, dtype):
    """Numbers of where a function is defined."""
    near, small = rng.uniform(-10, 10, 3000), 10 ** rng.uniform(-30, 0, 1000)
    if name == "erfinv":
        x = np.concatenate([rng.uniform(-1, 1, 3000), small, 1 - small])
    elif name == "ndtri":
        x = np.concatenate([rng.uniform(0, 1, 3000), small])
    else:
        x = np.concatenate([near, small, -small, rng.uniform(-80, 80, 3000)])
    return np.concatenate([x.astype(dtype), np.asarray(ENDS, dtype)])


def computed(name, x, monkeypatch, after):
    monkeypatch.setattr(program, "COMPILE_AFTER", after)
    return getattr(torch.special, name)(torch.from_numpy(x)).numpy().copy()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", BODIES)
def test_values(name, dtype, rng, monkeypatch):
    x = inputs(rng, name, dtype)
    plain = computed(name, x, monkeypatch, 1 << 30)
    got = computed(name, x, monkeypatch, 0)
    with np.errstate(all="ignore"):
        want = BODIES[name](x.astype(np.float64))
    np.testing.assert_array_equal(np.isnan(got), np.isnan(plain))
    there = np.isfinite(plain)
    np.testing.assert_array_equal(got[~there], plain[~there])
    np.testing.assert_array_equal(np.signbit(got[plain == 0]), np.signbit(plain[plain == 0]))
    if dtype is np.float32:
        off = np.abs(got[there] - want[there]) / np.spacing(np.abs(plain[there])).astype(float)
        assert off.max() <= 0.51, x[there][off.argmax()]
    else:  # near its zeros the error of lgamma and digamma is absolute
        np.testing.assert_allclose(got[there], want[there], rtol=4e-15, atol=2e-14)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["gammaln", "i0e", "erfinv"])
def test_narrow_numbers(name, dtype, monkeypatch):
    x = (torch.arange(200) / 201).to(dtype)
    torch.synchronize()
    out = []
    for after in (1 << 30, 0):
        monkeypatch.setattr(program, "COMPILE_AFTER", after)
        out.append(getattr(torch.special, name)(x).tolist())
    assert out[0] == out[1]
