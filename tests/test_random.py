"""The default generators."""

from __future__ import annotations

import numpy as np
import pytest

from facula import random


@pytest.fixture
def default():
    """The default generator, given back as it was."""
    state = random.default_generator.state_bytes()
    yield random.default_generator
    random.default_generator.set_state_bytes(state)


def test_the_default_generator(default):
    assert random.manual_seed(5) is default
    assert random.initial_seed() == 5
    assert random.manual_seed("7").initial_seed() == 7
    assert random.manual_seed(1.5).initial_seed() == 1
    assert random.seed() == random.initial_seed()


def test_fork_rng(default):
    random.manual_seed(1)
    with random.fork_rng():
        first = default.normal((3,))
        random.manual_seed(2)
    assert random.initial_seed() == 1
    assert np.array_equal(default.normal((3,)), first)


def test_fork_rng_restores_after_an_error(default):
    random.manual_seed(1)
    before = default.state_bytes()
    with pytest.raises(KeyError), random.fork_rng(devices=[]):
        default.uniform((9,))
        raise KeyError
    assert np.array_equal(default.state_bytes(), before)


@pytest.mark.parametrize("arguments", [{"enabled": False}, {"device_type": "meta"}])
def test_fork_rng_that_does_nothing(default, arguments):
    before = default.state_bytes()
    with random.fork_rng(**arguments):
        default.uniform((9,))
    assert not np.array_equal(default.state_bytes(), before)


def test_fork_rng_of_other_devices(default):
    with pytest.raises(NotImplementedError, match=r"fork_rng: devices=\[0\]"), random.fork_rng([0]):
        pass
