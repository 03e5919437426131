"""Random graphs of operations, run interpreted and compiled:

    python tests/fuzz/graphs.py [--seed S] [--count N] [--show K]

`graph_maker.py` says what a graph is.
"""

from __future__ import annotations

import argparse
import faulthandler
import sys
import warnings
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent)]

from fuzz import leaves  # noqa: E402
from fuzz.graph_maker import make  # noqa: E402

import facula as torch  # noqa: E402
from facula.interpreter import program as interpreter  # noqa: E402
from facula.trace.recorder import TLS, Recorder  # noqa: E402

# By how much results may differ, in units of the largest magnitude in a result (at least 1).
TOLERANCES = {
    "float32": 2e-5,
    "float64": 2e-13,
    "complex64": 2e-5,
    "complex128": 2e-13,
    "float16": 2e-2,
    "bfloat16": 1.5e-1,
}
NUDGES = 8  # how often inputs are changed in their last bits before a difference is one


def run(graph: dict, compiled: bool) -> dict:
    """The results, and the gradients of their sum, of one tier."""
    TLS.r = Recorder()
    before = interpreter.COMPILE_AFTER
    interpreter.COMPILE_AFTER = 0 if compiled else 1 << 30
    interpreter._warned = False  # that a program can't be compiled is said once
    try:
        return _run(graph)
    finally:
        interpreter.COMPILE_AFTER = before


def _run(graph: dict) -> dict:
    names = {"torch": torch, "leaf": leaves.leaf}
    for s in graph["leaves"]:
        exec(s, names)
    torch.synchronize()
    for s in graph["steps"]:
        exec(s, names)
    kept = {n: names[n] for n in graph["keep"] if n in names}
    inputs = {n: names[n] for n in graph["grads"]}
    names.clear()
    if inputs:
        total = None
        for t in kept.values():
            if t.requires_grad:
                part = t.sum()
                part = part.abs() if part.is_complex() else part
                part = part.double()
                total = part if total is None else total + part
        if total is not None:
            total.backward()
            for n, x in inputs.items():
                if x.grad is not None:
                    kept[f"{n}.grad"] = x.grad
    out = {n: t.detach() for n, t in kept.items()}
    torch.synchronize()
    return out


def difference(
    graph: dict,
    want: dict,
    got: dict,
    others: tuple[dict, ...] = (),
    nudged: tuple[dict, ...] = (),
) -> str | None:
    """The first result on which the tiers disagree by more than rounding; `others` is what both
    become when the inputs change in their last bits: in values that this changes much, such as
    those of a normalisation of equal numbers, the tiers need not agree better. `nudged` is what
    the interpreter makes of several such changes: an element that one of them moves about as far
    (the gradient of an extreme, of which there are two or nearly so) is not looked at."""
    worst = max([TOLERANCES.get(d, 0.0) for d in graph["dtypes"]])
    for name, a in want.items():
        b = got[name]
        if a.shape != b.shape or a.dtype != b.dtype or a.stride() != b.stride():
            return f"{name}: {a.dtype} {a.shape} {a.stride()}, compiled {b.dtype} {b.shape}"
        x, y = _array(a), _array(b)
        kind = x.dtype.kind
        if kind not in "fc":
            if not np.array_equal(x, y):
                return f"{name}: {x.reshape(-1)[:9]}, compiled {y.reshape(-1)[:9]}"
            continue
        with np.errstate(all="ignore"):
            finite = np.isfinite(x)
            if not np.array_equal(finite, np.isfinite(y)):
                return f"{name}: not finite: {x.reshape(-1)[:9]}, compiled {y.reshape(-1)[:9]}"
            if not np.array_equal(x[~finite], y[~finite], equal_nan=True):
                return f"{name}: {x[~finite][:9]}, compiled {y[~finite][:9]}"
            decided = finite
            for other in nudged:
                z = _array(other[name])
                decided = decided & ~(np.abs(x - z) > np.abs(x - y) / 2)
            x, y = x[decided], y[decided]
            if not x.size:
                continue
            off = np.abs(x - y).max() / max(1.0, np.abs(x).max())
            unsure = 0.0
            if off > worst:
                for v, other in zip((x, y), others, strict=False):
                    change = np.abs(v - _array(other[name])[decided]).max()
                    unsure = max(unsure, change / max(1.0, np.abs(x).max()))
        if off > worst and not off <= min(8 * unsure, 1000 * worst):
            at = np.abs(x - y).argmax()
            return f"{name} ({a.dtype}): {x[at]}, compiled {y[at]}; off by {off:.3g}"
    return None


def _array(t):
    if t.dtype.itemsize == 2 and t.dtype.is_floating_point:
        t = t.float()
    return t.numpy().astype(np.float64) if t.dtype.is_floating_point else t.numpy()


def differ(graph: dict) -> str | None:
    """What the tiers disagree on; a failure of either is a difference too."""
    try:
        want = run(graph, False)
    except Exception as e:
        return f"interpreted: {type(e).__name__}: {e}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            got = run(graph, True)
    except Exception as e:
        return f"compiled: {type(e).__name__}: {e}"
    found = difference(graph, want, got)
    if found is None or "off by" not in found:
        return found
    leaves.NUDGE = 1
    try:
        others = (run(graph, False), run(graph, True))
        if difference(graph, want, got, others) is None:
            return None
        nudged = [others[0]]
        for leaves.NUDGE in range(2, NUDGES + 1):
            nudged.append(run(graph, False))
        return difference(graph, want, got, others, tuple(nudged))
    except Exception as e:
        return f"{found}; nudged: {type(e).__name__}: {e}"
    finally:
        leaves.NUDGE = 0


def shrink(graph: dict) -> dict:
    """The graph with as few steps and inputs as still make a difference."""

    def fails(g: dict) -> bool:
        d = differ(g)
        return d is not None and "NameError" not in d

    for part in ("keep", "steps", "keep", "grads", "leaves"):
        for item in list(reversed(graph[part])):
            shorter = {**graph, part: [x for x in graph[part] if x != item]}
            if part == "steps" and " = " in item:
                name = item.split(" = ")[0]
                shorter["keep"] = [n for n in graph["keep"] if n != name]
            if fails(shorter):
                graph = shorter
    return graph


def memory() -> float:
    """The process's memory in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--count", type=int, default=1000)
    p.add_argument("--show", type=int, default=5, help="how many failing graphs to print")
    args = p.parse_args()
    faulthandler.enable()
    warnings.simplefilter("ignore")
    failed = 0
    for k in range(args.count):
        graph = make(args.seed + k)
        found = differ(graph)
        if found:
            failed += 1
            if failed <= args.show:
                print(f"# seed {graph['seed']}: {found}")
                graph = shrink(graph)
                print(f"# shortened: {differ(graph)}")
                print("\n".join(graph["leaves"] + graph["steps"]))
                print(f"# looked at: {graph['keep']}, gradients of {graph['grads']}\n", flush=True)
        if (k + 1) % 500 == 0:
            print(f"{k + 1} graphs, {failed} differ, {memory():.0f} MB", flush=True)
    print(f"{args.count} graphs from seed {args.seed}, {failed} differ, {memory():.0f} MB")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
