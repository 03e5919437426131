"""The stored cases of `tests/conformance` on a CUDA device: what has no kernel, and what is wrong.

    PYTHONPATH=. python -m tests.cuda.conformance [--emulated] [--only add] [--procs 8]

Every tensor of a case is moved to the device first, so the results of the CPU, which the
conformance tests hold, are those of the device too. Prints one line for each operation that does
not pass: its name, how many cases fail, and the first reason of each kind.
"""

from __future__ import annotations

import argparse
import collections
import fnmatch
import multiprocessing
import pickle
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

CONFORMANCE = Path(__file__).parents[1] / "conformance"
FORMS = ("fwd", "grad", "method", "inplace", "operator")
KINDS = ("value", "module", "optim")


def framework() -> Any:
    """The framework under test, whose tensors and modules go to the device."""
    sys.path.insert(0, str(CONFORMANCE))
    from checker.framework import FW

    class OnDevice(FW):  # type: ignore[misc]
        def resolve(self, path: str) -> Any:
            found = super().resolve(path)
            if isinstance(found, type) and issubclass(found, self.m.nn.Module):
                return lambda *a, **k: found(*a, **k).to("cuda")
            return found

        def make(self, a: Any, dt: str, perm: Any = None) -> Any:
            return super().make(a, dt, perm).to("cuda")

        def numpy(self, t: Any) -> Any:
            return super().numpy(t.cpu())

    return OnDevice("facula")


def wanted(c: dict[str, Any], dtypes: list[str]) -> bool:
    """Whether a case is about values that a device computes."""
    form = c["id"].split("/")[2] if c["kind"] == "value" else "fwd"
    return c["kind"] in KINDS and c["dtype"] in dtypes and form in FORMS


def run(todo: tuple[str, list[str], bool, int]) -> tuple[str, int, list[tuple[str, str, str]]]:
    """One operation: its name, how many cases ran, and (case, kind of failure, message)."""
    op, dtypes, emulated, most = todo
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    if not _state:
        if emulated:
            from tests.cuda import emulator

            emulator.install()
        _state["fw"] = framework()
        _state["fw"].m.set_num_threads(1)
        _state["fw"].m.backends.cudnn.allow_tf32 = False
    from checker.cases import run_case
    from checker.data import Archive

    arch = Archive(CONFORMANCE / "dev" / f"{op}.zip")
    failed = []
    cases = [c for c in arch.cases if wanted(c, dtypes)][:most]
    for c in cases:
        r = run_case(_state["fw"], arch, c, 120.0)
        if not r["ok"]:
            failed.append((c["id"], r.get("cat", "?"), r.get("msg", "")))
        elif "grad" in c and not r["grad"]:
            failed.append((c["id"], "gradient " + r.get("gcat", "?"), r.get("gmsg", "")))
    return op, len(cases), failed


_state: dict[str, Any] = {}


def show(op: str, count: int, failed: list[tuple[str, str, str]]) -> None:
    """Say what fails of an operation."""
    if not failed:
        return
    kinds: dict[Any, tuple[str, str]] = {}
    for name, kind, message in failed:
        kinds.setdefault((kind, message[:40]), (name, message))
    print(f"{op}: {len(failed)} of {count}")
    for (kind, _), (name, message) in list(kinds.items())[:4]:
        print(f"    {kind} ({name}): {message[:150]}", flush=True)


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--emulated", action="store_true", help="without a device")
    parser.add_argument("--only", action="append", default=[], help="a pattern of names")
    parser.add_argument("--dtype", action="append", default=[])
    parser.add_argument("--most", type=int, default=10**6, help="cases of an operation")
    parser.add_argument("--procs", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1e9, help="begin nothing after these")
    parser.add_argument("--save", help="a file for all failures")
    args = parser.parse_args()
    names = sorted(p.stem for p in (CONFORMANCE / "dev").glob("*.zip"))
    if args.only:
        names = [n for n in names if any(fnmatch.fnmatch(n, o) for o in args.only)]
    dtypes = args.dtype or ["float32", "float64", "int64", "bool"]
    todo = [(n, dtypes, args.emulated, args.most) for n in names]
    begin, results = time.time(), []
    context = multiprocessing.get_context("spawn")
    with context.Pool(args.procs) as pool:
        for found in pool.imap_unordered(run, todo):
            results.append(found)
            show(*found)
            if time.time() - begin > args.seconds:
                pool.terminate()
                break
    if args.save:
        Path(args.save).write_bytes(pickle.dumps(results))
    reasons = collections.Counter(kind for _, _, f in results for _, kind, _ in f)
    cases, bad = sum(n for _, n, _ in results), sum(len(f) for _, _, f in results)
    whole = sum(not f for _, _, f in results)
    print(f"{whole} of {len(names)} operations pass in all cases; {bad} of {cases} cases fail")
    print(dict(reasons), f"{len(names) - len(results)} not run")


if __name__ == "__main__":
    main()
