"""The sections beside the main one: products, operations, curves, starts; Facula and PyTorch."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks.curves import POINTS
from benchmarks.machine import describe, measure_peaks
from benchmarks.peers import PEERS, environment
from benchmarks.products import SHAPES, label
from benchmarks.steps import find_pythons, kept_caches, run_worker
from facula.progress import Progress

PAIR = ("facula", "torch")


def _begin(section: str, options: argparse.Namespace) -> dict[str, Any]:
    """What every result starts with."""
    pythons, versions, missing = find_pythons(
        [p for p in PAIR if p in options.peers], options.cache, options.pythons
    )
    return {
        "section": section,
        "quick": options.quick,
        "shown": options.show,
        "date": time.strftime("%Y-%m-%d"),
        "machine": describe(options.threads),
        "versions": versions,
        "missing": missing,
        "alternations": options.alternations,
        "pythons": pythons,
    }


def _run(
    result: dict[str, Any],
    options: argparse.Namespace,
    module: str,
    tasks: list[tuple[str, dict[str, Any]]],
    keep: Callable[[str, dict[str, Any], dict[str, Any]], None],
) -> None:
    """Run (peer, task) by turns, as often as there are alternations, in processes of their own."""
    pythons = result.pop("pythons")
    jobs = [job for _ in range(options.alternations) for job in tasks if job[0] in pythons]
    limit = options.limit or (120.0 if options.quick else 1200.0)
    result["failures"] = []
    shown = Progress("beginning", len(jobs), "process")
    with kept_caches(options.cache) as caches, shown as progress:
        for done, (peer, task) in enumerate(jobs):
            what = task.get("curve") or task.get("module") or module
            progress.advance(done - progress.done, f"{what}: {PEERS[peer]['title']}")
            env = environment(options.threads, caches / peer)
            task = {"peer": peer, "threads": options.threads, "show": options.show, **task}
            got = run_worker(pythons[peer], module, task, env, limit)
            if "failure" in got:
                failure = f"{what} {task.get('n', '')}, {PEERS[peer]['title']}: {got['failure']}"
                result["failures"].append(failure)
                progress.say(failure)
            else:
                keep(peer, task, got)


def _wanted(options: argparse.Namespace, name: str) -> bool:
    return not options.only or any(o in name for o in options.only)


def run_products(options: argparse.Namespace) -> dict[str, Any]:
    """40 matrix products."""
    result = _begin("products", options)
    result["peaks"] = measure_peaks(options.threads)
    effort = {"block": 0.01, "blocks": 3} if options.quick else {"block": 0.05, "blocks": 7}
    indices = [i for i in range(len(SHAPES)) if _wanted(options, label(SHAPES[i]))]
    times: dict[str, dict[str, list[float]]] = {}

    def keep(peer: str, task: dict[str, Any], got: dict[str, Any]) -> None:
        for index, seconds in got["times"].items():
            times.setdefault(index, {}).setdefault(peer, []).append(seconds)

    _run(result, options, "products", [(p, {"indices": indices, **effort}) for p in PAIR], keep)
    result["times"] = times
    return result


def run_operations(options: argparse.Namespace) -> dict[str, Any]:
    """Single operations on a million elements."""
    result = _begin("operations", options)
    effort = {"block": 0.005, "blocks": 3} if options.quick else {"block": 0.03, "blocks": 7}
    times: dict[str, dict[str, list[float]]] = {}
    failures: dict[str, str] = {}

    def keep(peer: str, task: dict[str, Any], got: dict[str, Any]) -> None:
        for name, seconds in got["times"].items():
            times.setdefault(name, {}).setdefault(peer, []).append(seconds)
        for name, error in got["failures"].items():
            failures[f"{name}, {PEERS[peer]['title']}"] = error

    tasks = [(p, {"only": options.only, **effort}) for p in PAIR]
    _run(result, options, "operations", tasks, keep)
    result["times"] = times
    result["failures"] += [f"{name}: {error}" for name, error in failures.items()]
    return result


def run_curves(options: argparse.Namespace) -> dict[str, Any]:
    """Long traces."""
    result = _begin("curves", options)
    tasks = [
        (peer, {"curve": curve, "n": n, "seconds": 0.5 if options.quick else 3.0})
        for curve, points in POINTS.items()
        if _wanted(options, curve)
        for n in (points[:3] if options.quick else points)
        for peer in PAIR
    ]
    found: dict[tuple[str, int, str], list[dict[str, Any]]] = {}

    def keep(peer: str, task: dict[str, Any], got: dict[str, Any]) -> None:
        found.setdefault((task["curve"], task["n"], peer), []).append(got)

    _run(result, options, "curves", tasks, keep)
    result["points"] = [
        {
            "curve": curve,
            "n": n,
            "peer": peer,
            **{
                key: None if got[0][key] is None else statistics.median([g[key] for g in got])
                for key in got[0]
            },
        }
        for (curve, n, peer), got in found.items()
    ]
    return result


def run_starts(options: argparse.Namespace) -> dict[str, Any]:
    """Imports and the first step."""
    result = _begin("starts", options)
    options = argparse.Namespace(**vars(options))
    options.alternations *= 4  # they are short
    tasks = [("facula", {"module": m}) for m in ("numpy", "facula")]
    tasks.append(("torch", {"module": "torch"}))
    found: dict[str, list[dict[str, Any]]] = {}

    def keep(peer: str, task: dict[str, Any], got: dict[str, Any]) -> None:
        found.setdefault(task["module"], []).append(got)

    _run(result, options, "starts", tasks, keep)
    result["starts"] = found
    return result
