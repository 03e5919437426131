"""The main table: every workload with every peer, in fresh processes, interleaved."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.machine import describe, measure_peaks
from benchmarks.peers import PEERS, EnvironmentFailed, environment, python_of, version_of
from benchmarks.workloads import WORKLOADS
from facula.progress import Progress

# Seconds of one timed block, of warming up and of timing; blocks; seconds for the first steps.
FULL = {"block": 0.1, "warm": 2.0, "seconds": 3.0, "blocks": 7, "start_limit": 120.0}
QUICK = {"block": 0.03, "warm": 0.5, "seconds": 0.5, "blocks": 3, "start_limit": 10.0}
AGREE = 2e-3  # how much losses may differ, of the first peer's


def find_pythons(
    peers: list[str], cache: Path, given: dict[str, str]
) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """The interpreter and the version of every peer that can run, and why the others can't."""
    pythons, versions, missing = {}, {}, {}
    for peer in peers:
        try:
            python = python_of(peer, cache, given)
            versions[peer] = version_of(peer, python)
            pythons[peer] = python
        except EnvironmentFailed as error:
            missing[peer] = str(error)
    return pythons, versions, missing


@contextlib.contextmanager
def kept_caches(cache: Path) -> Iterator[Path]:
    """A folder for the caches of one whole run: cold at its beginning, warm from then on."""
    folder = cache / "compiled" / f"{os.getpid()}-{int(time.time())}"
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_worker(
    python: str, module: str, task: dict[str, Any], env: dict[str, str], limit: float
) -> dict[str, Any]:
    """Run one process and read its result; `{"failure": ...}` if it has none."""
    env = {**env, "BENCHMARK_SPAWNED": repr(time.time())}
    process = subprocess.Popen(
        [python, "-m", f"benchmarks.{module}", json.dumps(task)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        return {"failure": f"not done after {limit:.0f} s"}
    finally:
        # its compiler processes as well, also after Ctrl-C
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if process.returncode:
        lines = [line for line in err.strip().splitlines() if line.strip()]
        said = lines[-1].strip() if lines else f"exit status {process.returncode}, no message"
        return {"failure": said[:300]}
    return json.loads(out.strip().splitlines()[-1])


def run_steps(options: argparse.Namespace) -> dict[str, Any]:
    """Measure; the result as it is written to results/."""
    cache: Path = options.cache
    pythons, versions, missing = find_pythons(options.peers, cache, options.pythons)
    effort = QUICK if options.quick else FULL
    result: dict[str, Any] = {
        "section": "steps",
        "quick": options.quick,
        "shown": options.show,
        "date": time.strftime("%Y-%m-%d"),
        "machine": describe(options.threads),
        "peaks": measure_peaks(options.threads),
        "versions": versions,
        "missing": missing,
        "alternations": options.alternations,
        "runs": [],
    }
    chosen = [w for w in WORKLOADS if not options.only or any(o in w for o in options.only)]
    jobs = [
        (alternation, workload, peer)
        for alternation in range(options.alternations)
        for workload in chosen
        for peer in _rotated(list(pythons), alternation)
    ]
    failed: set[tuple[str, str]] = set()
    shown = Progress("beginning", len(jobs), "process")
    with kept_caches(cache) as caches, shown as progress:
        for done, (alternation, workload, peer) in enumerate(jobs):
            if (workload, peer) in failed:
                continue
            progress.advance(done - progress.done, f"{workload}: {PEERS[peer]['title']}")
            task = {
                "peer": peer,
                "programs": PEERS[peer]["programs"],
                "workload": workload,
                "threads": options.threads,
                **effort,
            }
            if alternation > 1:  # two full starts, cold and warm, are enough of the long ones
                task["start_limit"] = 10.0
            # one folder for each pair, so that no workload finds another's compiled code
            env = environment(options.threads, caches / peer / workload)
            limit = options.limit or (60.0 if options.quick else 900.0)
            got = run_worker(pythons[peer], "worker", task, env, limit)
            if got.get("failure") == "no such workload":
                got["absent"] = True
            if "failure" in got:
                failed.add((workload, peer))
                if "absent" not in got:
                    progress.say(f"{workload}, {PEERS[peer]['title']}: {got['failure']}")
            result["runs"].append(
                {"workload": workload, "peer": peer, "alternation": alternation, **got}
            )
    result["disagreements"] = disagreements(result)
    for line in result["disagreements"]:
        print(line)
    return result


def _rotated(names: list[str], by: int) -> list[str]:
    by %= len(names) or 1
    return names[by:] + names[:by]


def collect(result: dict[str, Any], key: str) -> dict[tuple[str, str], list[Any]]:
    """What the processes measured, by workload and peer."""
    out: dict[tuple[str, str], list[Any]] = {}
    for run in result["runs"]:
        if run.get(key) is not None:
            out.setdefault((run["workload"], run["peer"]), []).append(run[key])
    return out


def times(result: dict[str, Any]) -> dict[tuple[str, str], float]:
    """The time of one step, as this result is to be shown."""
    shown = result.get("shown", "step")
    if shown == "step":
        return medians(result, "step")
    return {k: min(v) for k, v in collect(result, shown).items()}


def medians(result: dict[str, Any], key: str) -> dict[tuple[str, str], float]:
    """The median over the alternations."""
    return {k: statistics.median(v) for k, v in collect(result, key).items()}


def disagreements(result: dict[str, Any]) -> list[str]:
    """Peers whose losses differ from PyTorch's, or from the first peer's where it did not run."""
    out = []
    losses = collect(result, "loss")
    for workload in dict.fromkeys(w for w, _ in losses):
        peers = [p for w, p in losses if w == workload]
        first = "torch" if "torch" in peers else peers[0]
        wanted = losses[workload, first][0]
        for peer in peers:
            for loss in losses[workload, peer]:
                if not abs(loss - wanted) <= AGREE * abs(wanted):
                    out.append(
                        f"{workload}: {PEERS[peer]['title']} computes {loss:.7g}, "
                        f"{PEERS[first]['title']} {wanted:.7g}"
                    )
                    break
    return out
