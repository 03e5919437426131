"""Philox 4x32-10 against the known answers of Random123, and the layout of streams."""

import numpy as np
import pytest

from facula.philox import philox, philox4x32, philox_uniform

# Counter, key, expected output: the known-answer vectors published with Random123.
KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000",
     "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
     "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]  # fmt: skip


def words(text):
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_known_answers(counter, key, expected):
    result = philox4x32(np.array(words(counter), np.uint32), tuple(words(key)))
    assert result.dtype == np.uint32
    assert result.tolist() == words(expected)


def test_known_answers_through_a_stream():
    seed = 0x299F31D0A4093822
    offset = 0x0370734413198A2E
    start = 4 * 0x85A308D3243F6A88
    assert philox(seed, offset, 4, start).tolist() == words(KNOWN[2][2])
    assert philox(0, 0, 4).tolist() == words(KNOWN[0][2])


def test_many_counters_at_once_are_as_one_by_one():
    counters = np.random.default_rng(0).integers(0, 2**32, (3, 5, 4), dtype=np.uint32)
    together = philox4x32(counters, (1, 2))
    assert together.shape == (3, 5, 4)
    for index in np.ndindex(3, 5):
        assert philox4x32(counters[index], (1, 2)).tolist() == together[index].tolist()


@pytest.mark.parametrize("rounds", [0, 7])
def test_rounds(rounds):
    counter = np.arange(4, dtype=np.uint32)
    changed = philox4x32(counter, (5, 6), rounds).tolist() != counter.tolist()
    assert changed == (rounds > 0)


@pytest.mark.parametrize("n", [0, 1, 3, 4, 5, 100, 40_000])
@pytest.mark.parametrize("start", [0, 1, 4, 7, 32_766])
def test_an_element_depends_on_its_index_only(n, start):
    whole = philox(7, 3, 80_000)
    part = philox(7, 3, n, start)
    assert part.dtype == np.uint32
    assert np.array_equal(part, whole[start : start + n])


def test_block_numbers_beyond_32_bits():
    across = philox(1, 2, 8, 4 * (2**32 - 1))
    low = philox4x32(np.array([0xFFFFFFFF, 0, 2, 0]), (1, 0))
    high = philox4x32(np.array([0, 1, 2, 0]), (1, 0))
    assert across.tolist() == [*low.tolist(), *high.tolist()]


def test_streams_differ():
    streams = {philox(s, o, 4).tobytes() for s in (0, 1, 2**32, -1) for o in (0, 1, 2**32, -1)}
    assert len(streams) == 16
    assert np.array_equal(philox(-1, -1, 9), philox(2**64 - 1, 2**64 - 1, 9))


def test_uniforms_are_the_high_24_bits():
    uniforms = philox_uniform(11, 0, 100_000)
    assert uniforms.dtype == np.float32
    assert np.array_equal(uniforms * np.float32(2**24), philox(11, 0, 100_000) >> 8)
    assert uniforms.min() >= 0 and uniforms.max() < 1
    # 100,000 uniforms: the mean is within five standard errors of a half.
    assert abs(uniforms.mean(dtype=np.float64) - 0.5) < 5 / np.sqrt(12 * 100_000)
    bits = np.unpackbits(philox(11, 0, 100_000).view(np.uint8))
    assert abs(bits.mean() - 0.5) < 5 * 0.5 / np.sqrt(bits.size)


@pytest.mark.parametrize("shape", [(), (3,), (4, 5)])
def test_counters_of_a_wrong_shape(shape):
    with pytest.raises(ValueError, match=r"philox4x32.*\(\.\.\., 4\)"):
        philox4x32(np.zeros(shape, np.uint32), (0, 0))


@pytest.mark.parametrize(("n", "start"), [(-1, 0), (1, -1), (1, 2**66)])
def test_elements_that_do_not_exist(n, start):
    with pytest.raises(ValueError, match="philox"):
        philox(0, 0, n, start)


def test_the_end_of_a_stream():
    assert philox(0, 0, 4, 2**66 - 4).shape == (4,)
