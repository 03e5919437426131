"""What every test may use: one seed a run, printed, from which each test's own seed follows.

The seed is the same in every run, so that whether a commit passes depends on the commit alone.
`FACULA_TEST_SEED=random python -m pytest` draws another and is how new cases are looked for;
`FACULA_TEST_SEED=1234 python -m pytest tests/test_x.py` repeats a run that failed, and so does
running the failed test alone with that variable: a test's seed depends on the run's seed and on
the test's name, not on what ran before it.
"""

from __future__ import annotations

import os
import random
import zlib

import hypothesis
import numpy as np
import pytest

ENV = "FACULA_TEST_SEED"
ASKED = os.environ.get(ENV) or "0"
RUN_SEED = random.SystemRandom().randrange(2**31) if ASKED == "random" else int(ASKED)

# Example-based search is bounded by the number of examples, not by a clock: the machine that
# runs the tests may be busy. A failing example is printed in a form that repeats it.
hypothesis.settings.register_profile(
    "facula",
    deadline=None,
    print_blob=True,
    max_examples=50,
    database=None,
    derandomize=ASKED == "0",
)
hypothesis.settings.load_profile("facula")


def seed_of(nodeid: str, run_seed: int = RUN_SEED) -> int:
    """The seed of one test: different for every test, the same for one test in every run."""
    return zlib.crc32(f"{run_seed}:{nodeid}".encode())


def pytest_report_header(config: pytest.Config) -> str:
    return f"seed: {ENV}={RUN_SEED}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    report = yield
    if report.failed and {"seed", "rng"} & set(getattr(item, "fixturenames", ())):
        report.sections.append(("seed", f"repeat with {ENV}={RUN_SEED}"))
    return report


@pytest.fixture(params=["interpreted", "compiled"])
def tier(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the test twice, with NumPy and with native code only.

    The two sum in different orders, and a program goes over from one to the other when it has been
    met often enough: a test that compares bits of different programs has to hold one of them.
    """
    from facula.interpreter import program

    monkeypatch.setattr(program, "COMPILE_AFTER", 0 if request.param == "compiled" else 1 << 30)
    return request.param


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """An integer below 2**32 for this test."""
    return seed_of(request.node.nodeid)


@pytest.fixture
def rng(seed: int) -> np.random.Generator:
    """A NumPy generator seeded with this test's seed."""
    return np.random.default_rng(seed)


@pytest.fixture(autouse=True)
def _complain_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that can't be compiled warns once a process; in the tests, in each test."""
    from facula.interpreter import program

    monkeypatch.setattr(program, "_warned", False)
