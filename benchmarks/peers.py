"""The peers and their virtual environments, made once and kept for later runs."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TABLE = tomllib.loads((ROOT / "benchmarks" / "peers.toml").read_text())
PEERS: dict[str, dict[str, Any]] = {
    "facula": {"title": "Facula", "programs": "programs_torch", "package": "facula"},
    **TABLE["peers"],
}


def cache_folder(option: str | None) -> Path:
    """Where environments and caches of compiled code are kept: outside of the checkout."""
    chosen = option or os.environ.get("FACULA_BENCHMARKS")
    if chosen:
        return Path(chosen).resolve()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "facula-benchmarks"


class EnvironmentFailed(Exception):
    """An environment can't be made; says why."""


def python_of(peer: str, cache: Path, given: dict[str, str]) -> str:
    """The Python that runs a peer; its environment is made now if there is none.

    `given` has the interpreters that were named by option, by peer or by environment.
    """
    if peer == "facula":
        return given.get(peer, sys.executable)
    name = PEERS[peer]["environment"]
    if peer in given or name in given:
        return given.get(peer, given.get(name, ""))
    wanted: list[str] = TABLE["environments"][name]
    mark = hashlib.sha256("\n".join([sys.version, *wanted]).encode()).hexdigest()[:12]
    folder = cache / "environments" / f"{name}-{mark}"
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    if (folder / "complete").exists():
        return str(python)
    shutil.rmtree(folder, ignore_errors=True)
    print(f"making the environment of {name}: {' '.join(wanted)}", file=sys.stderr)
    _run([sys.executable, "-m", "venv", str(folder)])
    _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted])
    (folder / "complete").touch()
    return str(python)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr + done.stdout).strip().splitlines() or ["no message"]
        raise EnvironmentFailed(f"{' '.join(command[1:4])}: {lines[-1]}")


def version_of(peer: str, python: str) -> str:
    """The version of the peer's package in an environment."""
    code = f"import {PEERS[peer]['package']} as m; print(getattr(m, '__version__', '?'))"
    if peer in ("mlx", "tinygrad"):
        code = f"import importlib.metadata as m; print(m.version('{PEERS[peer]['package']}'))"
    done = subprocess.run(
        [python, "-c", code], capture_output=True, text=True, check=False, env=environment(1)
    )
    if done.returncode:
        raise EnvironmentFailed((done.stderr.strip().splitlines() or ["no message"])[-1])
    return done.stdout.strip().splitlines()[-1]


def environment(threads: int, caches: Path | None = None) -> dict[str, str]:
    """The environment variables of a measuring process.

    With `caches`, whatever a framework keeps of compiled code is kept there.
    """
    env = dict(os.environ)
    env["PYTHONPATH"] = str(ROOT)
    env["PYTHONWARNINGS"] = "ignore"
    for name in ("OMP", "MKL", "OPENBLAS", "FACULA"):
        env[name + "_NUM_THREADS"] = str(threads)
    env["TF_CPP_MIN_LOG_LEVEL"] = "3"
    env["JAX_PLATFORMS"] = "cpu"
    env["CUDA_VISIBLE_DEVICES"] = ""
    env.pop("FACULA_EXPLAIN", None)
    if caches is not None:
        caches.mkdir(parents=True, exist_ok=True)
        env["XDG_CACHE_HOME"] = str(caches)
        env["TORCHINDUCTOR_CACHE_DIR"] = str(caches / "torchinductor")
    return env
