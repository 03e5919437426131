"""Generators against PyTorch's numbers (tests/generate/random_numbers.py), states and errors."""

import copy
import json
import math
import pathlib
import pickle
import threading
import zlib

import ml_dtypes
import numpy as np
import pytest

import facula
from facula import generator, random
from facula.generator import Generator

DATA = np.load(pathlib.Path(__file__).parent / "data" / "random_numbers.npz")
CASES = json.loads(DATA["cases"].tobytes())["cases"]
# Draws that go through functions of the C library, which may differ in the last bits elsewhere.
# A float32 normal of at least 16 contiguous elements does not.
LIBRARY = {"exponential", "cauchy", "log_normal"}


def np_dtype(name):
    return np.dtype(getattr(ml_dtypes, name, None) or name)


def ramp(shape, dtype):
    size = math.prod(shape)
    return (
        ((np.arange(size) * 7 % 13 + 0.5).astype(np.float32) / np.float32(13.5))
        .reshape(shape)
        .astype(np_dtype(dtype))
    )


def probes(size):
    inner = [size * k // 17 + k for k in range(1, 17)]
    return np.array([*range(24), *inner, *range(size - 24, size)])


def perform(draw, g):
    """The draw that a stored case describes."""
    d = {k: v for k, v in draw.items() if k not in ("method", "crc32", "sum")}
    if "dtype" in d:
        d["dtype"] = np_dtype(d["dtype"])
    for key in ("shape", "strides"):
        if key in d:
            d[key] = tuple(d[key])
    if draw["method"] == "normal":
        for key in ("mean", "std"):
            if d.get(key) == "ramp":
                d[key] = ramp(d["shape"], draw["dtype"])
    if draw["method"] == "bernoulli" and "ramp" in d:
        d["p"] = ramp(d["shape"], d.pop("ramp"))
    if draw["method"] == "multinomial":
        d["weights"] = ramp(d.pop("rows"), draw["dtype"])
        del d["dtype"]
    return getattr(g, draw["method"])(**d)


def is_exact(draw):
    if draw["method"] == "normal":
        blocks = math.prod(draw["shape"]) >= 16 and "strides" not in draw
        return blocks and draw["dtype"] not in ("float64", "complex128", "complex64")
    return draw["method"] not in LIBRARY


def name_of(case):
    draws = case["draws"]
    parts = [str(v) for k, v in draws[0].items() if k not in ("crc32", "sum")]
    return "-".join(parts) + ("-and-more" if len(draws) > 1 else "")


@pytest.mark.filterwarnings("ignore:random_.* holds every integer:UserWarning")
@pytest.mark.parametrize("i", range(len(CASES)), ids=[name_of(c) for c in CASES])
def test_draws_are_pytorchs(i):
    case = CASES[i]
    g = Generator().manual_seed(case["seed"])
    for j, draw in enumerate(case["draws"]):
        result = perform(draw, g)
        expected = DATA[f"{i}_{j}"]
        if draw["method"] == "multinomial":
            assert result.dtype == np.int64
        else:
            assert result.dtype == np_dtype(draw["dtype"])
        if "shape" in draw:
            assert result.shape == tuple(draw["shape"])
        flat = np.ascontiguousarray(result).reshape(-1)
        if "sum" in draw:
            total = flat.astype(np.float64).sum()
            size = np.abs(flat.astype(np.float64)).sum()
            assert abs(total - draw["sum"]) <= 1e-12 * size
            if is_exact(draw):
                assert zlib.crc32(flat.view(np.uint8)) == draw["crc32"]
            flat = flat[probes(flat.size)]
        expected = expected.reshape(-1).view(flat.dtype)
        if is_exact(draw):
            assert flat.tobytes() == expected.tobytes()
        else:
            check_close(flat, expected)
    assert_state(g, case)


def check_close(result, expected):
    """Equal but for a few units in the last place."""
    eps = ml_dtypes.finfo(result.dtype).eps
    wide = np.complex128 if result.dtype.kind == "c" else np.float64
    result, expected = result.astype(wide), expected.astype(wide)
    finite = np.isfinite(expected)
    assert np.array_equal(finite, np.isfinite(result))
    assert np.array_equal(result[~finite], expected[~finite])
    # Adding a mean may cancel, so the error is not relative to the smallest numbers.
    allowed = 4 * float(eps) * np.maximum(np.abs(expected), 2.0**-10)
    assert (np.abs(result - expected)[finite] <= allowed[finite]).all()


def assert_state(g, case):
    state = g.state_bytes()
    assert state[8:12].view(np.int32)[0] == case["left"]
    assert state[16:24].view(np.int64)[0] == case["next"]
    assert bool(state[5040]) == (case["cached"] is not None)
    if case["cached"] is not None:
        assert state[5024:5032].view(np.float64)[0] == pytest.approx(case["cached"], rel=1e-14)


def test_the_table_covers_every_method():
    methods = {draw["method"] for case in CASES for draw in case["draws"]}
    assert methods == {
        "uniform", "normal", "integers", "random_full", "permutation", "bernoulli", "multinomial",
        "exponential", "cauchy", "log_normal", "geometric",
    }  # fmt: skip


def test_the_first_numbers_of_seed_0():
    g = Generator().manual_seed(0)
    expected = [0.49625659, 0.76822180, 0.08847743, 0.13203049, 0.30742282]
    assert np.allclose(g.uniform((5,)), expected, rtol=0, atol=5e-9)


# ---- seeds and states --------------------------------------------------------------------------


def test_a_state_of_pytorchs():
    g = Generator()
    g.set_state_bytes(DATA["state"])
    assert g.initial_seed() == 2**40 + 3
    assert np.array_equal(g.state_bytes(), DATA["state"])
    assert np.allclose(g.normal((5,), np.float64), DATA["state_draw"], rtol=1e-14, atol=0)


def test_the_same_draws_give_pytorchs_state():
    g = Generator().manual_seed(2**40 + 3)
    g.uniform((1001,))
    g.normal((3,))
    ours, theirs = g.state_bytes(), DATA["state"]
    cached = slice(5024, 5032)
    assert ours[cached].view(np.float64) == pytest.approx(theirs[cached].view(np.float64))
    ours[cached] = theirs[cached]
    assert np.array_equal(ours, theirs)


def test_a_fresh_generator():
    g = Generator()
    assert g.initial_seed() == 67280421310721
    state = g.state_bytes()
    assert state.shape == (5056,) and state.dtype == np.uint8
    assert state[8:24].view(np.int32).tolist() == [1, 1, 0, 0]
    assert str(g.device) == "cpu" and g.device.type == "cpu"


@pytest.mark.parametrize(
    ("seed", "initial"),
    [(0, 0), (-1, 2**64 - 1), (-(2**63), 2**63), (2**64 - 1, 2**64 - 1), (np.int64(3), 3)],
)
def test_seeds(seed, initial):
    g = Generator()
    assert g.manual_seed(seed) is g
    assert g.initial_seed() == initial


@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1, 10**30])
def test_seeds_out_of_range(seed):
    g = Generator().manual_seed(1)
    for call in (g.manual_seed, random.manual_seed):
        with pytest.raises(ValueError, match=str(seed)):
            call(seed)
    assert g.initial_seed() == 1


@pytest.mark.parametrize("seed", [1.5, "a", None, True])
def test_seeds_of_another_type(seed):
    with pytest.raises(RuntimeError, match=rf"manual_seed.*{type(seed).__name__}"):
        Generator().manual_seed(seed)


def test_reseeding_drops_the_waiting_normal():
    g = Generator().manual_seed(3)
    first = g.normal((1,))
    assert g.state_bytes()[5040] == 1
    g.manual_seed(3)
    assert g.state_bytes()[5040] == 0
    assert np.array_equal(g.normal((1,)), first)


def test_seed_is_not_predictable():
    g = Generator()
    seeds = {g.seed() for _ in range(4)}
    assert len(seeds) == 4 and all(0 <= seed < 2**53 for seed in seeds)
    assert g.initial_seed() in seeds


def same_stream(a, b):
    return all(np.array_equal(a.normal((n,)), b.normal((n,))) for n in (3, 700, 20_000, 1))


@pytest.mark.parametrize(
    "duplicate",
    [
        Generator.clone_state,
        copy.deepcopy,
        copy.copy,
        lambda g: pickle.loads(pickle.dumps(g)),
        lambda g: (new := Generator(), new.set_state_bytes(g.state_bytes()))[0],
    ],
)
@pytest.mark.parametrize("drawn", [0, 3, 624, 625, 30_000])
def test_a_copy_goes_on_alike_and_apart(duplicate, drawn):
    g = Generator().manual_seed(11)
    g.uniform((drawn,))
    g.normal((1,))
    twin = duplicate(g)
    assert twin is not g and twin.initial_seed() == 11
    before = twin.state_bytes()
    g.uniform((5,))
    assert np.array_equal(twin.state_bytes(), before)
    g.set_state_bytes(before)
    assert same_stream(g, twin)


def test_the_unused_float_normal_survives_a_round_trip():
    state = Generator().state_bytes()
    state[5048:5052] = np.array([0.25], np.float32).view(np.uint8)
    state[5052] = 1
    g = Generator()
    g.set_state_bytes(state)
    assert np.array_equal(g.state_bytes(), state)
    assert np.array_equal(g.clone_state().state_bytes(), state)


def broken(position, width, value):
    state = Generator().state_bytes()
    state[position : position + width].view(f"i{width}")[...] = value
    return state


@pytest.mark.parametrize(
    ("state", "error", "text"),
    [
        (np.zeros(5056, np.int8), TypeError, "uint8"),
        (np.zeros(5055, np.uint8), RuntimeError, "5056 bytes, but got 5055"),
        (np.zeros(5056, np.uint8), RuntimeError, "Invalid mt19937 state"),
        (broken(8, 4, 0), RuntimeError, "Invalid mt19937 state"),
        (broken(8, 4, 625), RuntimeError, "Invalid mt19937 state"),
        (broken(16, 8, 9), RuntimeError, "Invalid mt19937 state.*next=9, left=1"),
    ],
)
def test_states_that_are_refused(state, error, text):
    g = Generator().manual_seed(4)
    before = g.state_bytes()
    with pytest.raises(error, match=text):
        g.set_state_bytes(state)
    assert np.array_equal(g.state_bytes(), before)


@pytest.mark.parametrize("state", ["x", None, np.zeros(5056, np.uint8)])
def test_a_state_must_be_a_tensor(state):
    for call in (Generator().set_state, random.set_rng_state):
        with pytest.raises(TypeError, match=f"uint8 tensor, but got {type(state).__name__}"):
            call(state)


class Tensor:
    """As much of a tensor as set_state needs."""

    def __init__(self, array):
        self.array = array

    def numpy(self):
        return self.array


def test_a_state_may_come_as_a_tensor():
    g = Generator().manual_seed(8)
    state = g.state_bytes()
    first = g.uniform((3,))
    g.set_state(Tensor(state))
    assert np.array_equal(g.uniform((3,)), first)


def test_a_state_is_given_as_a_tensor():
    g = Generator().manual_seed(8)
    for state in (g.get_state(), random.default_generator.get_state(), random.get_rng_state()):
        assert isinstance(state, facula.Tensor)
        assert state.dtype is facula.uint8 and tuple(state.shape) == (5056,)
    state = g.get_state()
    assert np.array_equal(state.numpy(), g.state_bytes())
    first = g.normal((3,))
    g.set_state(state)
    assert np.array_equal(g.normal((3,)), first)


def test_the_state_is_copied():
    g = Generator()
    state = g.state_bytes()
    g.set_state_bytes(state)
    state[...] = 0
    assert np.array_equal(g.state_bytes(), Generator().state_bytes())


@pytest.mark.parametrize("device", ["cuda", "mps", "foo", 0])
def test_other_devices(device):
    with pytest.raises(RuntimeError):
        Generator(device)


def test_offsets_are_for_other_generators():
    for call in (lambda g: g.get_offset(), lambda g: g.set_offset(1)):
        with pytest.raises(RuntimeError, match="offset"):
            call(Generator())


# ---- the default generator ---------------------------------------------------------------------


# ---- arguments ---------------------------------------------------------------------------------

F4, I8, NAN, INF = np.float32, np.int64, math.nan, math.inf
WEIGHTS = np.array([0.1, 0.2, 0.0, 0.3], np.float32)
ERRORS = [
    ("uniform", ((3,), F4, 1.0, 0.0), RuntimeError, "from <= to.*from=1.0 and to=0.0"),
    ("uniform", ((3,), F4, 0.0, NAN), RuntimeError, "to=nan are out of range for float32"),
    ("uniform", ((3,), F4, 0.0, 1e39), RuntimeError, "out of range"),
    ("uniform", ((3,), np.float16, 0.0, 7e4), RuntimeError, "out of range for float16"),
    ("uniform", ((3,), F4, -3e38, 3e38), RuntimeError, "to - from"),
    ("uniform", ((3,), I8), NotImplementedError, "uniform_.*int64"),
    ("normal", ((3,), F4, 0.0, -1.0), RuntimeError, "std >= 0.0.*-1.0"),
    ("normal", ((3,), F4, 0.0, NAN), RuntimeError, "std >= 0.0.*nan"),
    ("normal", ((3,), np.complex64, 0.0, -1.0), RuntimeError, "std >= 0.0"),
    ("normal", ((30,), I8), NotImplementedError, "normal_.*int64"),
    ("normal", (None, F4, 0.0, np.array([1.0, -1.0])), RuntimeError, "all elements of std"),
    ("normal", (None, F4, 0.0, np.array([1.0, NAN])), RuntimeError, "all elements of std"),
    ("normal", (None, F4, 0.0, np.ones(2, np.complex64)), RuntimeError, "real standard dev"),
    ("normal", (None, I8, np.zeros(3, I8), 1.0), NotImplementedError, "int64"),
    ("integers", ((3,), 5, 5), RuntimeError, "from=5, to=5.*from < to"),
    ("integers", ((0,), 5, 5), RuntimeError, "from < to"),
    ("integers", ((3,), -5, 20, np.uint8), RuntimeError, "uint8 holds 0 to 255"),
    ("integers", ((3,), 0, 257, np.uint8), RuntimeError, "uint8 holds 0 to 255"),
    ("integers", ((3,), 0, 100, np.bool_), RuntimeError, "bool holds 0 to 1"),
    ("integers", ((3,), 0, 2**40, np.float16), RuntimeError, "float16 holds"),
    ("integers", ((3,), 2**24, None, F4), RuntimeError, "float32 holds no two"),
    ("integers", ((3,), 300, None, np.uint8), RuntimeError, "uint8 holds"),
    ("integers", ((3,), 3, None, np.uint64), RuntimeError, "upper bound is missing"),
    ("integers", ((3,), 0, 9, np.complex64), RuntimeError, "complex64"),
    ("integers", ((3,), -(2**63), None, np.int32), RuntimeError, "64 bits.*int32"),
    ("integers", ((3,), -(2**63), None, np.float16), NotImplementedError, "64 bits.*float16"),
    ("random_full", ((3,), np.uint16), NotImplementedError, "random_.*uint16"),
    ("random_full", ((3,), np.complex64), NotImplementedError, "random_.*complex64"),
    ("permutation", (-1,), RuntimeError, "n=-1"),
    ("permutation", (257, np.uint8), RuntimeError, "n=257.*uint8.*256"),
    ("permutation", (129, np.int8), RuntimeError, "n=129.*int8.*128"),
    ("permutation", (2050, np.float16), RuntimeError, "n=2050.*float16.*2049"),
    ("permutation", (2**24 + 2, F4), RuntimeError, "float32"),
    ("permutation", (3, np.bool_), NotImplementedError, "randperm.*bool"),
    ("permutation", (3, np.uint16), NotImplementedError, "randperm.*uint16"),
    ("bernoulli", (1.5, (3,)), RuntimeError, "p in .*1.5"),
    ("bernoulli", (NAN, (3,)), RuntimeError, "p in .*nan"),
    ("bernoulli", (np.array([0.5, 2.0]),), RuntimeError, "p in "),
    ("bernoulli", (np.array([0.5, NAN]),), RuntimeError, "p in "),
    ("bernoulli", (np.array([1, 0]),), NotImplementedError, "bernoulli.*int64"),
    ("bernoulli", (0.5, (3,), np.complex64), NotImplementedError, "bernoulli.*complex64"),
    ("exponential", ((3,), F4, 0.0), RuntimeError, "lambda > 0.0.*lambda=0.0"),
    ("exponential", ((3,), F4, NAN), RuntimeError, "lambda > 0.0"),
    ("exponential", ((3,), I8), RuntimeError, "exponential_.*int64"),
    ("cauchy", ((3,), F4, 0.0, 0.0), RuntimeError, "sigma > 0.0.*sigma=0.0"),
    ("cauchy", ((3,), I8), RuntimeError, "cauchy_.*int64"),
    ("log_normal", ((3,), F4, 0.0, 0.0), RuntimeError, "std > 0.0.*std=0.0"),
    ("log_normal", ((3,), I8), NotImplementedError, "log_normal_.*int64"),
    ("geometric", ((3,), F4, 0.0), RuntimeError, r"\(0, 1\).*p=0.0"),
    ("geometric", ((3,), F4, 1.0), RuntimeError, r"\(0, 1\).*p=1.0"),
    ("geometric", ((3,), np.bool_, 0.5), NotImplementedError, "geometric_.*bool"),
    ("multinomial", (WEIGHTS, 5), RuntimeError, "n=5: only 4"),
    ("multinomial", (WEIGHTS, 0), RuntimeError, "n > 0"),
    ("multinomial", (WEIGHTS.astype(I8), 1), RuntimeError, "int64"),
    ("multinomial", (WEIGHTS.reshape(1, 2, 2), 1), RuntimeError, "1 or 2 dimensions"),
    ("multinomial", (WEIGHTS[0], 1), RuntimeError, "1 or 2 dimensions"),
    ("multinomial", (-WEIGHTS, 2, True), RuntimeError, "negative"),
    ("multinomial", (WEIGHTS * 0, 2, True), RuntimeError, "not positive"),
    ("multinomial", (np.array([1.0, INF]), 2, True), RuntimeError, "infinite"),
    ("multinomial", (WEIGHTS * F4(NAN), 2), RuntimeError, "NaN"),
    ("multinomial", (np.zeros((3, 0), F4), 1, True), RuntimeError, "nothing to draw from"),
]


@pytest.mark.parametrize(("method", "arguments", "error", "text"), ERRORS)
def test_bad_arguments(method, arguments, error, text):
    g = Generator().manual_seed(6)
    before = g.state_bytes()
    with pytest.raises(error, match=text):
        getattr(g, method)(*arguments)
    assert np.array_equal(g.state_bytes(), before)


def test_a_range_that_float32_cannot_hold_warns():
    g = Generator().manual_seed(0)
    with pytest.warns(UserWarning, match=r"float32 holds every integer in \[-\(2\*\*24\)"):
        g.integers((3,), 0, 2**30, np.float32)


EMPTY = [
    ("uniform", ((0,),), (0,)),
    ("normal", ((2, 0),), (2, 0)),
    ("normal", (None, F4, np.zeros(0, F4), 1.0), (0,)),
    ("integers", ((0, 3), 0, 5), (0, 3)),
    ("random_full", ((0,),), (0,)),
    ("permutation", (0,), (0,)),
    ("permutation", (1,), (1,)),
    ("bernoulli", (0.5, (0,)), (0,)),
    ("bernoulli", (np.zeros((0, 2)),), (0, 2)),
    ("exponential", ((0,),), (0,)),
    ("multinomial", (np.zeros((0, 3), F4), 2), (0, 2)),
]


@pytest.mark.parametrize(("method", "arguments", "shape"), EMPTY)
def test_empty_results_draw_nothing(method, arguments, shape):
    g = Generator().manual_seed(6)
    before = g.state_bytes()
    assert getattr(g, method)(*arguments).shape == shape
    assert np.array_equal(g.state_bytes(), before)


def test_scalars():
    g = Generator()
    zero = np.zeros((), np.float32)
    results = [
        g.uniform(()),
        g.normal(()),
        g.normal(None, np.float32, zero, 1.0),
        g.normal(None, np.float32, 0.0, zero),
        g.normal((), np.complex64),
        g.integers((), 0, 5),
        g.random_full(()),
        g.bernoulli(0.5),
        g.bernoulli(zero),
        g.exponential(()),
        g.geometric((), np.int8, 0.5),
    ]
    assert [(type(r), r.shape) for r in results] == [(np.ndarray, ())] * len(results)


# ---- properties --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_uniform_never_reaches_the_upper_bound(dtype):
    g = Generator().manual_seed(0)
    values = g.uniform((100_000,), np_dtype(dtype), -0.25, 0.5).astype(np.float64)
    assert values.min() >= -0.25 and values.max() < 0.5


def test_extreme_parameters_do_not_warn():
    g = Generator().manual_seed(0)
    assert np.isinf(g.log_normal((4,), np.float32, 1000.0, 1.0)).all()
    assert np.isinf(g.normal((20,), np.float16, 1e6, 1.0)).all()
    assert np.isnan(g.normal((20,), np.float32, math.nan, 1.0)).all()
    assert np.isposinf(g.normal((20,), np.float32, math.inf, 1.0)).all()
    assert np.isposinf(g.normal((5,), np.float64, math.inf, 1.0)).all()
    assert (g.exponential((4,), np.float32, math.inf) == 0).all()
    assert np.isinf(g.cauchy((4,), np.float32, math.inf)).all()


def test_geometric_at_a_zero_uniform(monkeypatch):
    # log(0) is -inf: the number of trials is infinite, not an error.
    monkeypatch.setattr(generator.Mersenne, "uniform64", lambda self, n: np.zeros(n))
    assert np.isposinf(Generator().geometric((3,), np.float64, 0.5)).all()


@pytest.mark.parametrize("rows", [(), (5,)])
@pytest.mark.parametrize("n", [2, 20, 300])
def test_multinomial_without_replacement_is_a_choice(rng, rows, n):
    weights = rng.random((*rows, 400)) * (rng.random((*rows, 400)) < 0.9)
    drawn = Generator().manual_seed(1).multinomial(weights, n)
    assert drawn.shape == (*rows, n) and drawn.dtype == np.int64
    for row, row_weights in zip(drawn.reshape(-1, n), weights.reshape(-1, 400), strict=True):
        assert len(set(row.tolist())) == n
        assert (row_weights[row] > 0).all()


def test_multinomial_takes_zero_weights_last_in_order():
    weights = np.array([0, 0.5, 0, 0, 0.5, 0])
    drawn = Generator().multinomial(weights, 6)
    assert sorted(drawn[:2].tolist()) == [1, 4]
    assert drawn[2:].tolist() == [0, 2, 3, 5]


def test_multinomial_follows_the_weights():
    weights = np.array([1.0, 2.0, 0.0, 5.0])
    drawn = Generator().manual_seed(0).multinomial(weights, 80_000, True)
    counts = np.bincount(drawn, minlength=4)
    assert counts[2] == 0
    assert np.abs(counts / 10_000 - weights).max() < 0.06


def test_threads_share_a_stream_without_loss():
    g = Generator().manual_seed(0)
    results = []

    def draw():
        results.extend(g.random_full((37,)) for _ in range(200))

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    together = Generator().manual_seed(0).random_full((800 * 37,)).reshape(800, 37)
    assert {r.tobytes() for r in results} == {row.tobytes() for row in together}
