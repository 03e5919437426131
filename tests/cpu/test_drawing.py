"""Native draws against those that NumPy makes of the same words, bit by bit."""

import numpy as np
import pytest

from facula import boxmuller, mersenne
from facula.cpu import drawing
from facula.mersenne import Mersenne


def pair(monkeypatch, seed, skip, draw):
    """What two engines in one state draw, with NumPy and natively; and their states after."""
    out = []
    for native in (None, drawing.natives()):
        monkeypatch.setattr(mersenne, "natives", lambda n, native=native: native)
        monkeypatch.setattr(boxmuller, "natives", lambda n, native=native: native)
        engine = Mersenne(seed)
        engine.words(skip)
        out.append((draw(engine), *engine.state()))
    return out


DRAWS = {
    "words": lambda e, n: e.words(n),
    "uniform32": lambda e, n: e.uniform32(n),
    "uniform64": lambda e, n: e.uniform64(n),
    "below64": lambda e, n: e.below64(n, 0.3),
    "always": lambda e, n: e.below64(n, 1.0),
    "never": lambda e, n: e.below64(n, 0.0),
    "permutation": lambda e, n: e.permutation(n),
    "normal": lambda e, n: e.normal_blocks32(n, 0.5, 3.0),
    "normal by blocks": lambda e, n: e.normal_blocks32(n, 0.0, 1.0, by_block=True),
}


@pytest.mark.parametrize("size", [8192, 10000, 40007])
@pytest.mark.parametrize("name", DRAWS)
def test_draws(name, size, rng, monkeypatch):
    skip = int(rng.integers(0, 2000))
    (a, *before), (b, *after) = pair(
        monkeypatch, int(rng.integers(2**32)), skip, lambda e: DRAWS[name](e, size)
    )
    assert a.dtype == b.dtype
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(before[0], after[0])
    assert before[1:] == after[1:]


def test_normals_of_every_uniform(monkeypatch):
    uniforms = np.arange(0, 2**24, 37, dtype=np.float32)[: 2**18] * np.float32(2**-24)
    data = np.stack([uniforms.reshape(-1, 8), uniforms[::-1].reshape(-1, 8)], 1).copy()
    natively = data.copy()
    drawing.natives().normal32(natively, 0.0, 1.0)
    monkeypatch.setattr(boxmuller, "natives", lambda n: None)
    boxmuller.box_muller32(data.reshape(-1), 0.0, 1.0)
    np.testing.assert_array_equal(data, natively)


@pytest.mark.parametrize(("a", "b"), [(2.0, -1.0), (0.1, 0.7), (1e-30, 3.0), (np.inf, 1.0)])
def test_fused_products_and_sums(a, b, rng, monkeypatch):
    x = rng.standard_normal(40_003).astype(np.float32)
    natively = drawing.natives().fused32(x, np.float32(a), np.float32(b))
    monkeypatch.setattr(boxmuller, "natives", lambda n: None)
    np.testing.assert_array_equal(boxmuller.fma32(x, a, b), natively)
