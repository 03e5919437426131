"""Progress: when it is shown, what it says, and that nothing of it is left."""

from __future__ import annotations

import importlib.util
import io
import re
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from facula import progress
from facula.progress import Progress, wanted


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.delenv("FACULA_PROGRESS", raising=False)
    monkeypatch.setattr(progress, "DELAY", 0.01)
    monkeypatch.setattr(progress, "EVERY", 0.01)
    return standard_error(monkeypatch, Terminal())


def standard_error(monkeypatch, file):
    """What the module takes for standard error; pytest puts its own in sys for every phase."""
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=file, modules=sys.modules))
    return file


@pytest.fixture(params=["tqdm", "plain"])
def bar(request, monkeypatch):
    """Both ways to draw."""
    if request.param == "plain":
        find = importlib.util.find_spec
        monkeypatch.delitem(sys.modules, "tqdm", raising=False)
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda n, *a: None if n == "tqdm" else find(n, *a)
        )
    return request.param


def wait_for(terminal, text: str) -> None:
    end = time.monotonic() + 5
    while text not in terminal.getvalue():
        assert time.monotonic() < end, terminal.getvalue()
        time.sleep(0.005)


def last_line(text: str) -> str:
    """What a terminal shows after its last carriage return has been written over."""
    shown = ""
    for part in text.split("\n")[-1].split("\r"):
        shown = part + shown[len(part) :]
    return shown.strip()


def test_it_counts_and_goes_away(terminal, bar):
    with Progress("packing", total=3, unit="box") as p:
        wait_for(terminal, "packing")
        p.advance(2, "carrying")
        wait_for(terminal, "carrying")
        assert "2/3" in terminal.getvalue()
    assert last_line(terminal.getvalue()) == ""
    assert not [t for t in threading.enumerate() if t is p._thread]


def test_without_a_total_it_says_how_long(terminal, bar):
    with Progress("compiling"):
        wait_for(terminal, "compiling")
    assert re.search(r"compiling: (00:0\d|\d+ s)", terminal.getvalue())
    assert last_line(terminal.getvalue()) == ""


def test_lines_that_stay(terminal, bar):
    with Progress("working", total=1) as p:
        wait_for(terminal, "working")
        p.say("one failed")
        wait_for(terminal, "one failed\n")
    shown = [last_line(line) for line in terminal.getvalue().split("\n")]
    assert shown == ["one failed", ""]


def test_an_error_ends_it(terminal, bar):
    with pytest.raises(ValueError, match="broken"), Progress("working"):
        wait_for(terminal, "working")
        raise ValueError("broken")
    assert last_line(terminal.getvalue()) == ""


def test_short_work_shows_nothing(terminal, bar, monkeypatch):
    monkeypatch.setattr(progress, "DELAY", 60.0)
    with Progress("working", total=1) as p:
        p.advance()
    assert terminal.getvalue() == ""


@pytest.mark.parametrize(
    ("variable", "is_terminal", "shown"),
    [
        (None, True, True),
        (None, False, False),
        ("", True, True),
        ("0", True, False),
        ("1", False, True),
        ("1", True, True),
    ],
)
def test_who_sees_it(monkeypatch, variable, is_terminal, shown):
    monkeypatch.delenv("FACULA_PROGRESS", raising=False)
    if variable is not None:
        monkeypatch.setenv("FACULA_PROGRESS", variable)
    standard_error(monkeypatch, Terminal() if is_terminal else io.StringIO())
    assert wanted() is shown
    with Progress("working") as p:
        assert (p._thread is not None) is shown


def test_no_standard_error(monkeypatch):
    monkeypatch.delenv("FACULA_PROGRESS", raising=False)
    standard_error(monkeypatch, None)
    assert not wanted()
    closed = io.StringIO()
    closed.close()
    standard_error(monkeypatch, closed)
    assert not wanted()


def test_a_long_compilation_is_announced(terminal, monkeypatch):
    import facula
    from facula.compiler import program

    compiled = program.CompiledProgram

    def slow(*args):
        wait_for(terminal, "compiling")
        return compiled(*args)

    monkeypatch.setattr(program, "CompiledProgram", slow)
    monkeypatch.setattr("facula.interpreter.program.COMPILE_AFTER", 0)
    x = facula.ones(7, 3)
    assert (x * 2 + 1).exp().sum().item() == pytest.approx(21 * 20.0855, rel=1e-5)
    assert re.search(r"compiling \d+ operations", terminal.getvalue())
    assert last_line(terminal.getvalue()) == ""
