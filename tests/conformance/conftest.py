"""Shows the conformance totals at the end of a test run."""

from __future__ import annotations

import pytest

TOTALS = pytest.StashKey[str]()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if TOTALS in config.stash:
        terminalreporter.write_line("")
        terminalreporter.write_line(config.stash[TOTALS])


@pytest.fixture
def show_totals(pytestconfig: pytest.Config):
    """A function that keeps a text for the end of the run."""

    def keep(text: str) -> None:
        pytestconfig.stash[TOTALS] = text

    return keep
