"""Elementary functions of compiled programs against float64, in units in the last place."""

import numpy as np
import pytest
from scipy import special

import facula as torch
from facula.interpreter import program

FUNCTIONS = {
    "exp": (np.exp, -104, 90),
    "log": (np.log, 1e-42, 3e38),
    "tanh": (np.tanh, -12, 12),
    "sigmoid": (special.expit, -87, 90),
    "erf": (special.erf, -6, 6),
}
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 1.0, -1.0, 3.4e38, -3.4e38]


def values(low: float, high: float, rng) -> np.ndarray:
    spread = rng.uniform(low, high, 20_000)
    small = np.geomspace(1e-40, 1, 2_000) * rng.choice([-1, 1], 2_000)
    if low > 0:
        spread, small = np.exp(rng.uniform(np.log(low), np.log(high), 20_000)), np.abs(small)
    return np.concatenate([spread, small]).astype(np.float32)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_within_two_ulp(name, rng, monkeypatch):
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    f, low, high = FUNCTIONS[name]
    x = values(low, high, rng)
    got = getattr(torch, name)(torch.from_numpy(x.copy())).numpy().astype(np.float64)
    with np.errstate(all="ignore"):
        want = f(x.astype(np.float64))
        near = want.astype(np.float32)
        ulp = np.spacing(np.maximum(np.abs(near), np.float32(1.2e-38))).astype(np.float64)
        off = np.abs(got - want) / ulp
    whole = np.isfinite(near)
    worst = np.argmax(np.where(whole, off, 0))
    assert off[whole].max() <= (2.5 if name == "sigmoid" else 2), (
        x[worst],
        got[worst],
        want[worst],
    )
    assert np.array_equal(got[~whole], near[~whole])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_special_values(name, monkeypatch):
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    x = np.array(SPECIAL * 3, np.float32)
    got = getattr(torch, name)(torch.from_numpy(x)).numpy()
    with np.errstate(all="ignore"):
        want = FUNCTIONS[name][0](x.astype(np.float64)).astype(np.float32)
    # What is below the normal numbers may be off by one step of the smallest.
    assert np.allclose(got, want, rtol=3e-7, atol=2e-45, equal_nan=True)
    assert np.array_equal(np.signbit(got[want == 0]), np.signbit(want[want == 0]))
