"""The command line: which command is meant, and what is said when none is."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from facula import cli
from facula.run import API_VERSION

ROOT = str(Path(cli.__file__).parents[1])


def facula(folder: Path, *args: str, path: str = "") -> subprocess.CompletedProcess:
    path = os.pathsep.join([path, ROOT] if path else [ROOT])
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "facula", *args],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "s.py").write_text(
        "import os, sys, torch, facula\n"
        "assert torch is facula\n"
        "print(sys.argv, os.environ.get('FACULA_EXPLAIN'))\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    ("args", "argv", "explain"),
    [
        (["run", "s.py", "a", "--b"], ["s.py", "a", "--b"], None),
        (["s.py", "a"], ["s.py", "a"], None),
        (["run", "s.py", "--help"], ["s.py", "--help"], None),
        (["s.py", "run"], ["s.py", "run"], None),
        (["explain", "s.py", "-m"], ["s.py", "-m"], "1"),
    ],
)
def test_commands(folder, args, argv, explain):
    done = facula(folder, *args)
    assert done.returncode == 0, done.stderr
    assert f"{argv} {explain}" in done.stdout.splitlines()


LOOP = """
import torch
x = torch.ones(3)
for _ in range(5):
    x = torch.exp(x - 1)
    print(x.tolist())
"""


@pytest.mark.parametrize("how", ["explain", "variable"])
def test_explain_prints_each_program_once(tmp_path, monkeypatch, how):
    (tmp_path / "loop.py").write_text(LOOP)
    if how == "variable":
        monkeypatch.setenv("FACULA_EXPLAIN", "1")
    done = facula(tmp_path, "explain" if how == "explain" else "run", "loop.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[1.0, 1.0, 1.0]\n" * 5
    assert "program 1: " in done.stderr and "program 3: " not in done.stderr
    assert "exp(" in done.stderr and "loop.py:5" in done.stderr


def test_run_explains_nothing(tmp_path, monkeypatch):
    (tmp_path / "loop.py").write_text(LOOP)
    for value in ("", "0"):
        monkeypatch.setenv("FACULA_EXPLAIN", value)
        assert facula(tmp_path, "run", "loop.py").stderr == ""


@pytest.mark.parametrize("args", [["run", "-m", "s"], ["-m", "s"], ["explain", "-m", "s"]])
def test_modules(folder, args):
    done = facula(folder, *args, "x")
    assert done.returncode == 0, done.stderr
    assert f"{[str(folder / 's.py'), 'x']}"[:-1] in done.stdout


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "no command and no script given"),
        (["run"], "'facula run' needs a script"),
        (["explain"], "'facula explain' needs a script"),
        (["run", "-m"], "-m needs the name of a module"),
        (["run", "--fast", "s.py"], "unknown option '--fast' before the script"),
        (["--fast"], "unknown option '--fast'"),
        (["fun"], "'fun' is neither a command nor a file"),
    ],
)
def test_usage_errors(capsys, args, words):
    with pytest.raises(SystemExit) as stop:
        cli.main(args)
    out, err = capsys.readouterr()
    assert stop.value.code == 2
    assert out == ""
    assert err.startswith(f"facula: {words}") and cli.USAGE.strip() in err


@pytest.mark.parametrize("args", [["missing.py"], ["run", "missing.py"], ["explain", "missing.py"]])
def test_a_missing_script(folder, args):
    done = facula(folder, *args)
    assert done.returncode == 2
    assert done.stderr == f"facula: can't open file {str(folder / 'missing.py')!r}: no such file\n"


@pytest.mark.parametrize("args", [["--help"], ["-h"], ["run", "--help"], ["explain", "-h"]])
def test_help(capsys, args):
    cli.main(args)
    assert capsys.readouterr().out == cli.USAGE


@pytest.mark.parametrize("args", [["--version"], ["-V"]])
def test_version(capsys, args):
    cli.main(args)
    words = capsys.readouterr().out.split()
    assert words[0] == "facula" and words[1][0].isdigit()
    assert API_VERSION in words[-1]


def test_real_pytorch_imported_first_is_refused(folder):
    """Such as by a sitecustomize: nothing of the program runs."""
    (folder / "torch.py").write_text("")
    (folder / "sitecustomize.py").write_text("import torch\n")
    done = facula(folder, "run", "s.py", path=str(folder))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("facula: PyTorch is already imported")


def test_bench_times_facula_alone(tmp_path):
    """Really, in a process of its own; how long anything takes is not looked at."""
    options = [
        "--quick",
        "--threads",
        "1",
        "--only",
        "gt, a number",
        "--cache",
        str(tmp_path / "c"),
    ]
    done = facula(tmp_path, "bench", "operations", *options)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^\| gt, a number \| \d\S* .s \| - \|", done.stdout, re.MULTILINE)
    (written,) = (tmp_path / "c").rglob("operations.json")
    assert set(json.loads(written.read_text())["versions"]) == {"facula"}


def test_bench_measures_steps_unless_told_otherwise(tmp_path):
    done = facula(tmp_path, "bench", "--help")
    assert done.stdout.startswith("usage: facula bench ") and "(default: steps)" in done.stdout
    assert "(default: facula)" in done.stdout
    done = facula(tmp_path, "bench", "stops")
    assert done.returncode == 2 and "unknown: stops" in done.stderr


def test_bench_needs_the_checkout(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cli, "__file__", str(tmp_path / "facula" / "cli.py"))
    with pytest.raises(SystemExit) as stop:
        cli.main(["bench"])
    assert stop.value.code == 1
    assert "the benchmarks are in the source tree" in capsys.readouterr().err
