"""One measurement in one fresh process: `python -m benchmarks.worker '{"peer": ...}'`.

Prints progress of no kind; its last line is the result as JSON.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

CHECK = 5  # the step whose loss the peers must agree about
START = 100  # the steps that count as the start
WARM = 0.2  # seconds, at least, before single calls are timed: short ones are compiled late


def resident(field: str) -> float:
    """A figure of this process's memory in MB: VmHWM, the highest so far, or VmRSS, the present.

    Linux hands getrusage's maximum down from the parent, so /proc comes first.
    """
    try:
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith(field + ":"):
                    return int(line.split()[1]) / 1024
    except OSError:
        pass
    import resource

    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def pin(threads: int) -> None:
    """Keep to as many processors as there are threads, where the system can be told so.

    Frameworks that count processors by themselves then use as many threads.
    """
    if hasattr(os, "sched_setaffinity"):
        free = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, free[:threads])


def become(peer: str) -> None:
    """From now on `import torch` gives Facula, if that is the peer."""
    if peer == "facula":
        from facula import run

        run.install()


def time_calls(call: Callable[[], Any], task: dict[str, Any]) -> float:
    """Seconds of one call, after warming up, from blocks of about task["block"] seconds each.

    The median, or what task["show"] asks for instead.
    """
    clock = time.process_time if task["show"] == "cpu" else time.perf_counter
    block = task["block"]
    end = time.perf_counter() + max(2 * block, WARM)
    count = 0
    while count < 12 or time.perf_counter() < end:  # programs are compiled after some occurrences
        begin = time.perf_counter()
        call()
        last = time.perf_counter() - begin
        count += 1
        if time.perf_counter() > end + 20 * block:
            break
    n = max(1, min(100_000, round(block / max(last, 1e-7))))
    times = []
    for _ in range(task["blocks"]):
        begin = clock()
        for _ in range(n):
            call()
        times.append((clock() - begin) / n)
    return statistics.median(times) if task["show"] == "step" else min(times)


def load_programs(task: dict[str, Any]) -> Any:
    """The module with the peer's programs, its framework imported."""
    become(task["peer"])
    programs = importlib.import_module("benchmarks." + task["programs"])
    programs.configure(task["peer"], task["threads"])
    return programs


def steps_until_start(
    run: Callable[[int], Any], value: Callable[[Any], float], wait: Callable[[], Any], limit: float
) -> tuple[int, float]:
    """Do the first steps; how many were done in the time there is, and the loss that is checked."""
    deadline = time.perf_counter() + limit
    loss = value(run(CHECK))
    done = CHECK
    while done < START and time.perf_counter() < deadline:
        run(1)
        done += 1
    wait()
    return done, loss


def measure(task: dict[str, Any], programs: Any) -> dict[str, Any]:
    """The figures of one workload."""
    imported = time.time()
    base = resident("VmRSS")
    if task["workload"] not in programs.BUILDERS:
        raise SystemExit("no such workload")
    run = programs.BUILDERS[task["workload"]]()
    wait = programs.synchronize
    done, loss = steps_until_start(run, programs.value, wait, task["start_limit"])
    started = time.time()

    cpu = float("inf")

    def block(n: int) -> float:
        nonlocal cpu
        begin, cpu_begin = time.perf_counter(), time.process_time()
        run(n)
        wait()
        cpu = min(cpu, (time.process_time() - cpu_begin) / n)
        return (time.perf_counter() - begin) / n

    single = min(block(1) for _ in range(2))
    n = max(1, min(10_000, round(task["block"] / max(single, 1e-6))))
    end = time.perf_counter() + task["warm"]
    fastest = block(n)
    while time.perf_counter() < end:
        fastest = min(fastest, block(n))
    # A block's first step may do what the others need not: enough steps to make it small.
    n = max(1, min(10_000, round(task["block"] / fastest)))
    block(n)
    gc.collect()
    times: list[float] = []
    end = time.perf_counter() + task["seconds"]
    while len(times) < task["blocks"] or time.perf_counter() < end:
        times.append(block(n))
        if time.perf_counter() > end + task["start_limit"]:
            break
    return {
        "step": statistics.median(times),
        "best": min(times),
        "cpu": cpu,
        "blocks": len(times),
        "steps_per_block": n,
        "loss": loss,
        "import": imported - task["spawned"],
        "start": started - task["spawned"] if done == START else None,
        "start_steps": done,
        "peak": resident("VmHWM"),
        "rise": resident("VmHWM") - base,
    }


def main() -> None:
    """Measure what the argument says."""
    task = json.loads(sys.argv[1])
    task["spawned"] = float(os.environ["BENCHMARK_SPAWNED"])
    pin(task["threads"])
    print(json.dumps(measure(task, load_programs(task))))


if __name__ == "__main__":
    main()
