"""Where the interpreters of the peers come from, and what their processes are told."""

from __future__ import annotations

import sys

import pytest

from benchmarks import peers
from benchmarks.peers import EnvironmentFailed, cache_folder, environment, python_of, version_of


def test_interpreters_that_are_given(tmp_path):
    assert python_of("facula", tmp_path, {}) == sys.executable
    assert python_of("facula", tmp_path, {"facula": "p"}) == "p"
    # by the peer's name, or by its environment's for all peers that live in it
    given = {"torch": "one", "torch-compile": "two", "tensorflow": "three"}
    found = [python_of(p, tmp_path, given) for p in ("torch", "torch-compile", "tf", "tf-xla")]
    assert found == ["one", "two", "three", "three"]
    assert not list(tmp_path.iterdir())


def test_an_environment_is_made_once(tmp_path, monkeypatch):
    commands = []
    monkeypatch.setattr(peers, "_run", lambda c: (commands.append(c), _make_folder(c)))
    first = python_of("jax", tmp_path, {})
    assert [c[1:3] for c in commands] == [["-m", "venv"], ["-m", "pip"]]
    assert commands[1][-2:] == peers.TABLE["environments"]["jax"]
    assert python_of("jax", tmp_path, {}) == first and len(commands) == 2
    # other versions, another environment
    monkeypatch.setitem(peers.TABLE["environments"], "jax", ["jax==0.0.1"])
    assert python_of("jax", tmp_path, {}) != first and len(commands) == 4


def _make_folder(command: list[str]) -> None:
    if "venv" in command:
        peers.Path(command[-1]).mkdir(parents=True)


def test_an_environment_that_cannot_be_made_says_why(tmp_path, monkeypatch):
    def fail(command):
        if "pip" in command:
            raise EnvironmentFailed("no such version")
        _make_folder(command)

    monkeypatch.setattr(peers, "_run", fail)
    for _ in range(2):  # what was begun is not taken for done
        with pytest.raises(EnvironmentFailed, match="no such version"):
            python_of("jax", tmp_path, {})


def test_commands_that_fail_are_named():
    with pytest.raises(EnvironmentFailed, match="too bad"):
        peers._run([sys.executable, "-c", "raise SystemExit('too bad')"])


def test_versions():
    assert "facula" in version_of("facula", sys.executable)
    with pytest.raises(EnvironmentFailed, match="mlx"):
        version_of("mlx", sys.executable)


def test_what_a_process_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("FACULA_EXPLAIN", "1")
    env = environment(3, tmp_path / "caches")
    assert {env[f"{n}_NUM_THREADS"] for n in ("OMP", "MKL", "OPENBLAS", "FACULA")} == {"3"}
    assert env["XDG_CACHE_HOME"] == str(tmp_path / "caches") and (tmp_path / "caches").is_dir()
    assert "FACULA_EXPLAIN" not in env


def test_the_cache_folder_is_outside_of_the_checkout(tmp_path, monkeypatch):
    monkeypatch.delenv("FACULA_BENCHMARKS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder(None) == tmp_path / "facula-benchmarks"
    monkeypatch.setenv("FACULA_BENCHMARKS", str(tmp_path / "b"))
    assert cache_folder(None) == tmp_path / "b"
    assert cache_folder(str(tmp_path / "c")) == tmp_path / "c"
