"""Elementary functions, compiled: errors in units of the last place, and the ends."""

import numpy as np
import pytest

import facula as torch
from facula.interpreter import program

NAN, INF = float("nan"), float("inf")
ENDS = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 1e-45, -1e-45, 1e-30, -1e-30, 3e38, -3e38]
ENDS += [INF, -INF, NAN, 88.7, 89.5, -87.5, -104.5, 10.0, 127.5, 128.5, -149.5, -151.0, 1e10, 4.0]
ENDS += [1.0000001, 0.99999994, -1.0000001, -0.99999994, 0.921875, 16777216.0, 3.0, -3.0]


@pytest.fixture(autouse=True)
def compiled(monkeypatch):
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)


def ulps(got, want):
    """Errors in units of the last place of the exact value."""
    unit = np.spacing(np.abs(want.astype(got.dtype))).astype(np.longdouble)
    return np.abs(got.astype(np.longdouble) - want) / unit


def inputs(rng, dtype, low, high, n=60000):
    """Numbers of all magnitudes, in a range."""
    kind = {np.float32: (np.uint32, 32), np.float64: (np.uint64, 64)}[dtype]
    bits = rng.integers(0, 2 ** kind[1] - 1, n, dtype=kind[0]).view(dtype)
    near = rng.uniform(max(low, -20), min(high, 20), n).astype(dtype)
    far = rng.uniform(low, high, n).astype(dtype)
    x = np.concatenate([bits, near, far, np.asarray(ENDS, dtype)])
    return x[(x >= low) & (x <= high)]


def wide(name):
    """The function in extended precision."""
    from facula.ops.erf import erf, erfc

    table = {"asin": "arcsin", "acos": "arccos", "atan": "arctan"}
    table |= {"asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh"}
    if name == "sigmoid":
        return lambda x: 1 / (1 + np.exp(-x))
    if name in ("erf", "erfc"):
        return lambda x: (erf if name == "erf" else erfc)(x.astype(np.float64))
    return getattr(np, table.get(name, name))


# Function, range, and the error that is allowed, in float32.
SINGLE = [
    ("exp", -104, 89, 1.1),
    ("exp2", -149, 128, 1.01),
    ("expm1", -105, 89, 1.7),
    ("log", 0, 3e38, 1.01),
    ("log2", 0, 3e38, 1.4),
    ("log10", 0, 3e38, 0.51),
    ("log1p", -1, 3e38, 1.5),
    ("sigmoid", -87, 90, 2.1),
    ("tanh", -20, 20, 2.0),
    ("sin", -1e6, 1e6, 1.6),
    ("sin", -8200, 8200, 1.6),
    ("sin", -3e38, 3e38, 1.6),
    ("cos", -1e6, 1e6, 1.6),
    ("cos", -8200, 8200, 1.6),
    ("tan", -1e6, 1e6, 0.51),
    ("sinh", -89, 89, 0.51),
    ("cosh", -89, 89, 0.51),
    ("asin", -1, 1, 0.51),
    ("acos", -1, 1, 0.51),
    ("atan", -3e38, 3e38, 0.51),
    ("asinh", -3e38, 3e38, 0.51),
    ("acosh", 1, 3e38, 0.51),
    ("atanh", -1, 1, 0.51),
    ("erf", -6, 6, 1.5),
    ("erfc", -6, 10.05, 0.51),
]
DOUBLE = [
    ("exp", -745, 709, 1.2),
    ("expm1", -745, 709, 2.0),
    ("log", 0, 1e308, 1.01),
    ("log1p", -1, 1e308, 1.8),
    ("sigmoid", -700, 700, 2.1),
    ("tanh", -30, 30, 2.7),
    ("sin", -1e5, 1e5, 1.8),
    ("cos", -1e5, 1e5, 1.8),
]


@pytest.mark.parametrize(("name", "low", "high", "most"), SINGLE)
def test_errors_in_float32(rng, name, low, high, most):
    x = inputs(rng, np.float32, low, high)
    got = getattr(torch, name)(torch.from_numpy(x)).numpy()
    with np.errstate(all="ignore"):
        want = wide(name)(x.astype(np.float64)).astype(np.longdouble)
    keep = np.isfinite(want) & (np.abs(want) < 3.4e38) & (np.abs(want) > 1e-37)
    errors = ulps(got[keep], want[keep])
    worst = errors.argmax()
    assert errors[worst] <= most, (x[keep][worst], got[keep][worst], want[keep][worst])


@pytest.mark.parametrize(("name", "low"), [("exp", -106), ("exp2", -153)])
def test_what_vanishes_step_by_step(name, low):
    x = np.linspace(low, low + 20, 30001, dtype=np.float32)
    got = getattr(torch, name)(torch.from_numpy(x)).numpy()
    want = getattr(np, name)(x.astype(np.float64))
    assert np.abs(got - want).max() <= 2e-45 + np.spacing(np.float32(want.max()))
    assert got[0] == 0 and (np.diff(got) >= -1e-44).all()


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 60, reason="needs extended precision")
@pytest.mark.parametrize(("name", "low", "high", "most"), DOUBLE)
def test_errors_in_float64(rng, name, low, high, most):
    x = inputs(rng, np.float64, low, high, 20000)
    got = getattr(torch, name)(torch.from_numpy(x)).numpy()
    with np.errstate(all="ignore"):
        want = wide(name)(x.astype(np.longdouble))
    keep = np.isfinite(want) & (np.abs(want) < 1e308) & (np.abs(want) > 1e-300)
    errors = ulps(got[keep], want[keep])
    worst = errors.argmax()
    assert errors[worst] <= most, (x[keep][worst], got[keep][worst], want[keep][worst])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", sorted({n for n, *_ in SINGLE} | {"sqrt", "rsqrt", "reciprocal"}))
def test_ends(name, dtype, monkeypatch):
    x = torch.tensor(ENDS, dtype=dtype)
    got = getattr(torch, name)(x).numpy()
    monkeypatch.setattr(program, "COMPILE_AFTER", 1 << 30)
    want = getattr(torch, name)(x).numpy()
    np.testing.assert_allclose(got, want, rtol=3e-7, atol=2e-45)
    sure = ~np.isnan(want) & (want == 0)
    np.testing.assert_array_equal(np.signbit(got[sure]), np.signbit(want[sure]))


PAIRS = {
    "pow": lambda a, b: a.abs() ** b,
    "pow of any": lambda a, b: a ** b.round(),
    "atan2": torch.atan2,
    "fmod": torch.fmod,
    "remainder": torch.remainder,
    "floor_divide": torch.floor_divide,
    "logaddexp": torch.logaddexp,
    "xlogy": lambda a, b: torch.xlogy(a, b.abs()),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", PAIRS)
def test_functions_of_two(name, dtype, rng, monkeypatch):
    size = 20000
    a, b = [
        torch.from_numpy(rng.standard_normal(size) * 2.0 ** rng.integers(-6, 6, size)).to(dtype)
        for _ in range(2)
    ]
    ends = torch.tensor(ENDS, dtype=dtype)
    n = len(ENDS)
    a = torch.cat([a, ends.repeat(n)])
    b = torch.cat([b, ends.reshape(n, 1).expand(n, n).reshape(-1)])
    torch.synchronize()
    got = PAIRS[name](a, b).numpy()
    monkeypatch.setattr(program, "COMPILE_AFTER", 1 << 30)
    want = PAIRS[name](a, b).numpy()
    atol = 1e-7 if name == "logaddexp" else 2e-45  # the sum may cancel
    np.testing.assert_allclose(got, want, rtol=3e-7, atol=atol)


@pytest.mark.parametrize("exponent", [2, 3, -1, -2, 0.5, -0.5, 1.7, 4, 0, 10, -3.25, 1])
def test_powers_of_a_known_exponent(exponent, rng, monkeypatch):
    x = torch.from_numpy(np.concatenate([rng.standard_normal(500) * 3, ENDS]).astype(np.float32))
    got = [(x**exponent).numpy(), (exponent**x).numpy() if exponent > 0 else x.numpy()]
    monkeypatch.setattr(program, "COMPILE_AFTER", 1 << 30)
    want = [(x**exponent).numpy(), (exponent**x).numpy() if exponent > 0 else x.numpy()]
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=3e-7, atol=2e-45)


def test_binary_logarithms_of_powers_of_two_are_exact(monkeypatch):
    from facula.interpreter import program

    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    x = torch.tensor([2.0**k for k in range(-149, 128)])
    assert x.log2().tolist() == list(range(-149, 128))
