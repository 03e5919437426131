"""The Mersenne Twister engine: words, counters, integers, uniforms, shuffles."""

import subprocess
import sys

import numpy as np
import pytest

from facula import mersenne
from facula.mersenne import Mersenne

# Sizes around a block of 624 words and around the change to NumPy's generator.
SIZES = [0, 1, 2, 623, 624, 625, 1247, 1248, 1249, 8191, 8192, 8193, 20_000]


def reference(seed, n):
    """The stream by NumPy's frozen RandomState."""
    return np.random.RandomState(seed % 2**32).randint(0, 2**32, size=n, dtype=np.uint32)


def test_the_first_words_of_the_published_generator():
    # The first outputs of mt19937ar.c under its default seed, 5489.
    expected = [3499211612, 581869302, 3890346734, 3586334585, 545404204]
    assert Mersenne(5489).words(5).tolist() == expected
    # The 10,000th output that the C++ standard demands of std::mt19937.
    assert Mersenne(5489).words(10_000)[-1] == 4123659995


@pytest.mark.parametrize("seed", [0, 1, 12345, 2**32 - 1, 2**32, 2**40 + 7, 2**64 - 1])
def test_seeds_use_their_low_32_bits(seed):
    assert np.array_equal(Mersenne(seed).words(2000), reference(seed, 2000))


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("drawn", [0, 1, 623, 624, 700])
def test_a_stream_does_not_depend_on_how_it_is_cut(n, drawn):
    engine = Mersenne(3)
    pieces = [engine.words(drawn), engine.words(n), engine.words(5)]
    assert [p.dtype for p in pieces] == [np.uint32] * 3
    assert np.array_equal(np.concatenate(pieces), reference(3, drawn + n + 5))


def test_random_cuts(rng):
    engine = Mersenne(9)
    sizes = rng.choice([*SIZES, 10, 100], 60)
    pieces = [engine.words(int(n)) for n in sizes]
    assert np.array_equal(np.concatenate(pieces), reference(9, int(sizes.sum())))


def test_results_belong_to_the_caller():
    engine, twin = Mersenne(1), Mersenne(1)
    for n in (3, 700, 10_000):
        engine.words(n)[...] = 0
        twin.words(n)
    assert np.array_equal(engine.words(9), twin.words(9))


@pytest.mark.parametrize("n", SIZES)
def test_counters(n):
    engine = Mersenne(5)
    engine.words(n)
    _, next_, left = engine.state()
    # A seeded engine has not made its first block; then `next` counts from 1 to 624.
    expected = (n - 1) % 624 + 1 if n else 0
    assert (next_, left) == (expected, 625 - expected if n else 1)


@pytest.mark.parametrize("n", SIZES)
def test_a_state_can_be_loaded(n):
    engine, other = Mersenne(5), Mersenne(6)
    engine.words(n)
    other.words(17)
    other.load(*engine.state())
    assert other.state()[1:] == engine.state()[1:]
    assert np.array_equal(other.words(9000), engine.words(9000))


def test_a_state_is_a_copy():
    engine, twin = Mersenne(5), Mersenne(5)
    key, next_, left = engine.state()
    other = Mersenne(0)
    other.load(key, next_, left)
    key[...] = 0
    for e in (engine, other):
        assert np.array_equal(e.words(5), reference(5, 5))
    copy = twin.copy()
    twin.words(700)
    assert np.array_equal(copy.words(5), reference(5, 5))


@pytest.mark.parametrize(
    ("size", "next_", "left"),
    [
        (624, 0, 0),
        (624, 0, 2),
        (624, 1, 1),
        (624, 625, 1),
        (624, 1, 625),
        (624, 3, 623),
        (623, 0, 1),
    ],
)
def test_states_that_cannot_be(size, next_, left):
    engine = Mersenne(5)
    with pytest.raises(RuntimeError, match=f"Invalid mt19937 state.*next={next_}, left={left}"):
        engine.load(np.zeros(size, np.uint32), next_, left)
    assert np.array_equal(engine.words(5), reference(5, 5))


def test_numpy_random_is_imported_where_much_is_drawn_only():
    code = (
        "import sys; from facula.mersenne import Mersenne; e = Mersenne(1); e.words(5000);"
        "e.words(100_000); before = 'numpy.random' in sys.modules; e.words(10000);"
        "e.words(200_000);"
        "print(before, 'numpy.random' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    if result.stdout.split()[0] == "True":
        pytest.skip("this NumPy imports numpy.random by itself")
    assert result.stdout.split() == ["False", "True"]


# ---- numbers -----------------------------------------------------------------------------------


def test_words64_are_pairs_with_the_high_half_first():
    words = reference(2, 20).astype(object)
    expected = [(high << 32) | low for high, low in zip(words[::2], words[1::2], strict=True)]
    result = Mersenne(2).words64(10)
    assert result.dtype == np.uint64 and result.tolist() == expected


@pytest.mark.parametrize("limit", [1, 2, 10, 2**28 - 1, 2**28, 2**32 - 1, 2**32, 2**64 - 1])
def test_below(limit):
    engine = Mersenne(2)
    if limit < 2**28:
        expected = [int(w) % limit for w in reference(2, 50)]
    else:
        expected = [int(w) % limit for w in Mersenne(2).words64(50)]
    assert engine.below(50, limit).tolist() == expected


def test_uniforms_keep_the_low_bits():
    single = Mersenne(2).uniform32(50)
    assert single.dtype == np.float32
    assert (single * 2.0**24).tolist() == [int(w) % 2**24 for w in reference(2, 50)]
    double = Mersenne(2).uniform64(50)
    assert double.dtype == np.float64
    expected = [int(w) % 2**53 / 2**53 for w in Mersenne(2).words64(50)]
    assert double.tolist() == expected


@pytest.mark.parametrize("drawn", [0, 1, 2, 3, 10])
def test_serial_normals_wait_in_pairs(drawn):
    whole = Mersenne(4).normal_serial(41)
    engine = Mersenne(4)
    first = engine.normal_serial(drawn)
    assert (engine.next_normal is None) == (drawn % 2 == 0)
    rest = engine.normal_serial(41 - drawn)
    assert np.array_equal(np.concatenate([first, rest]), whole)
    # 21 pairs of uniforms, of two words each.
    assert engine.state()[1] == 84


@pytest.mark.parametrize("n", [16, 17, 31, 32, 1000, 20_001])
def test_normals_by_blocks_redraw_the_end(n):
    extra = 16 if n % 16 else 0
    for name, words, drawn in (
        ("normal_blocks32", 1, n),
        ("normal_blocks64", 2, n),
    ):
        engine = Mersenne(4)
        result = getattr(engine, name)(n)
        assert np.array_equal(engine.words(3), reference(4, words * (drawn + extra) + 3)[-3:])
        full = getattr(Mersenne(4), name)((n + 15) // 16 * 16)
        kept = n - 16 if extra else n
        assert np.array_equal(result[:kept], full[:kept])
    engine = Mersenne(4)
    engine.normal_blocks32(n, by_block=True)
    assert np.array_equal(engine.words(3), reference(4, n // 16 * 16 + extra + 3)[-3:])


def test_normals_are_normal():
    for name in ("normal_blocks32", "normal_blocks64", "normal_serial"):
        sample = getattr(Mersenne(0), name)(400_000).astype(np.float64)
        moments = [(sample**k).mean() for k in (1, 2, 3, 4)]
        # Five standard errors of the mean of each power of a normal.
        errors = [5 * (v / sample.size) ** 0.5 for v in (1, 2, 15, 96)]
        assert (np.abs(np.array(moments) - [0, 1, 0, 3]) < errors).all()


# ---- shuffles ----------------------------------------------------------------------------------


def forward(draws):
    order = list(range(len(draws) + 1))
    for i, draw in enumerate(draws):
        order[i], order[i + draw] = order[i + draw], order[i]
    return order


def inside_out(draws):
    order = []
    for i, draw in enumerate(draws):
        order.append(order[draw] if draw < i else i)
        order[draw] = i
    return order


@pytest.mark.parametrize("n", [2, 3, 10, 255, 256, 257, 258, 1000, 5000])
def test_permutations_are_swaps_in_order(n):
    draws = [int(w) % (n - i) for i, w in enumerate(reference(7, n - 1))]
    result = Mersenne(7).permutation(n)
    assert result.dtype == np.int64 and result.tolist() == forward(draws)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 50, 1000])
def test_shuffles_without_a_loop(monkeypatch, rng, n):
    monkeypatch.setattr(mersenne, "_SMALL_PERMUTATION", 0)
    patterns = [
        lambda bound: rng.integers(0, bound),  # any slot
        lambda bound: rng.integers(0, np.minimum(bound, 2)),  # a near one, for long chains
        lambda bound: bound - 1,  # the last one, for many equal targets
        lambda bound: np.zeros_like(bound),  # itself
    ]
    for pattern in patterns * 5:
        draws = pattern(np.arange(n, 1, -1)).astype(np.int64)
        assert mersenne._forward_shuffle(draws).tolist() == forward(draws.tolist())
        draws = pattern(np.arange(1, n + 1)).astype(np.int64)
        assert mersenne._inside_out_shuffle(draws).tolist() == inside_out(draws.tolist())


def test_large_permutations_use_64_bits(monkeypatch):
    monkeypatch.setattr(mersenne, "_LARGE_PERMUTATION", 300)
    engine = Mersenne(7)
    draws = [int(w) % (i + 1) for i, w in enumerate(Mersenne(7).words64(300))]
    assert engine.permutation(300).tolist() == inside_out(draws)
    assert engine.state()[1] == 600
    assert engine.permutation(299).tolist() != inside_out(draws)[:299]


@pytest.mark.parametrize("n", [0, 1])
def test_permutations_of_nothing_draw_nothing(n):
    engine = Mersenne(7)
    assert engine.permutation(n).tolist() == list(range(n))
    assert engine.state()[1:] == (0, 1)
