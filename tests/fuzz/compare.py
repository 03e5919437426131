"""Run random programs with Facula and with PyTorch and compare:

    python tests/fuzz/compare.py --oracle PYTHON [--seed S] [--count N] [--show K]

PYTHON is an interpreter that has PyTorch; it runs `execute.py`. A program on which the two differ
is shortened while they differ, and printed as Python that can be run.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import math
import re
import signal
import subprocess
import sys
import threading
import traceback
import warnings
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent)]

from fuzz import conjugates, execute, isolated, programs, rare, turns, usual, wide  # noqa: E402


class TooLong(BaseException):
    """A program that does not end."""


class Oracle:
    """PyTorch in a process of its own; another one where that ends, or answers nothing of sense."""

    def __init__(self, python: str) -> None:
        self.python = python
        self.batch: list[dict] = []
        self._begin()

    def _begin(self) -> None:
        self.process = subprocess.Popen(
            [self.python, str(HERE / "execute.py"), "torch"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def start(self, batch: list[dict]) -> None:
        self.batch = batch
        with contextlib.suppress(OSError):  # `finish` finds that it has ended
            isolated.send(self.process.stdin.fileno(), batch)

    def finish(self) -> list[dict]:
        try:
            return isolated.receive(self.process.stdout.fileno(), 3 * execute.PATIENCE)
        except (EOFError, isolated.Unreadable) as e:
            print(f"# no answer of the oracle: {e!r}", flush=True)
            self.process.kill()
            self.process.wait()
            self._begin()
            batch = self.batch
            if len(batch) == 1:
                return [{"outcomes": [], "final": {}, "spoilt": "the oracle ends"}]
            return [self.run(program) for program in batch]

    def run(self, program: dict) -> dict:
        self.start([program])
        return self.finish()[0]


def close(a, b, tolerance: float, scale: float) -> bool:
    """Whether two nested lists of numbers agree; NaN equals NaN."""
    if isinstance(a, (list, tuple)):
        return (
            isinstance(b, (list, tuple))
            and len(a) == len(b)
            and all(close(x, y, tolerance, scale) for x, y in zip(a, b))
        )
    if isinstance(a, float) and isinstance(b, float):
        if math.isnan(a) or math.isnan(b):
            return math.isnan(a) and math.isnan(b)
        if math.isinf(a) or math.isinf(b):
            return a == b
        return abs(a - b) <= tolerance * max(abs(a), abs(b), scale)
    if isinstance(a, complex) and isinstance(b, complex):
        if a != a or b != b:
            return a != a and b != b  # which part is NaN depends on how a product was added
        return all(close(x, y, tolerance, scale) for x, y in ((a.real, b.real), (a.imag, b.imag)))
    return type(a) is type(b) and a == b


def largest(x) -> float:
    """The largest finite magnitude in nested lists, at least 1."""
    if isinstance(x, (list, tuple)):
        return max([1.0, *[largest(y) for y in x]])
    if isinstance(x, complex):
        return max(largest(x.real), largest(x.imag))
    return max(1.0, abs(x)) if isinstance(x, float) and math.isfinite(x) else 1.0


OFTEN = re.compile(r"torch\.optim\.(?!SGD)")
GIVEN = ("= some(", "= held(", "= torch.func.", "= torch.autograd.", "= torch.vmap(")
TOLERANCES = {"float32": 1e-5, "complex64": 1e-5, "float16": 1e-2, "bfloat16": 6e-2}


def difference(ours: dict, theirs: dict, statements: list[str]) -> str | None:
    """The first thing that two reports disagree on."""
    states = [s for s in theirs["final"].values() if isinstance(s, dict)]
    met = {s["dtype"] for s in states}
    text = "".join(statements)
    tolerance = max([t for d, t in TOLERANCES.items() if d in met or d in text], default=1e-9)
    told = max(tolerance, 1e-5) if "int" in text else tolerance  # results of integers are float32
    for source, a, b in zip(statements, ours["outcomes"], theirs["outcomes"], strict=True):
        if not close(a, b, told, largest(b)):
            return f"{source}: Facula {a}, PyTorch {b}"
    # How a gradient lies in memory is up to the formulas; programs see the values.
    grads = {s.split()[0] for s in statements if any([f in s for f in GIVEN])}
    # Nor how often most optimisers write.
    trained = any([OFTEN.search(s) for s in statements])
    for name, b in theirs["final"].items():
        a = ours["final"].get(name)
        if isinstance(a, str) or isinstance(b, str):
            if a != b:
                return f"{name}: Facula {a}, PyTorch {b}"
            continue
        if trained:
            a, b = {**a, "version": a["version"] > 0}, {**b, "version": b["version"] > 0}
        d = _state(name, a, b, tolerance, layout=name not in grads)
        if d:
            return d
    return None


HISTORY = ("requires_grad", "grad_fn", "is_leaf")


def _state(name: str, a: dict, b: dict, tolerance: float, layout: bool) -> str | None:
    for key, y in b.items():
        x = a.get(key)
        if key == "grad" and isinstance(x, dict) and isinstance(y, dict):
            d = _state(f"{name}.grad", x, y, tolerance, layout=False)
            if d:
                return d
        elif key == "strides":
            if layout and _steps(a) != _steps(b):
                return f"{name} strides: Facula {x}, PyTorch {y}"
        elif key == "view":
            continue
        elif key == "offset" and (not b["view"] or 0 in a["shape"]):
            continue  # where a fresh result begins is nobody's business
        elif key in ("version", "offset") and (not layout or 0 in a["shape"]):
            continue
        elif key in HISTORY and 0 in a["shape"]:
            continue  # nothing flows through a tensor without elements
        elif not (close(x, y, tolerance, largest(y)) if key == "values" else x == y):
            return f"{name} {key}: Facula {x}, PyTorch {y}"
    return None


def _steps(a: dict) -> list[int]:
    """The strides that mean something: those of dimensions of more than one element."""
    if 0 in a["shape"]:
        return []
    return [s for s, n in zip(a["strides"], a["shape"]) if n != 1]


def ours(program: dict, rounds: int = 2) -> list[dict]:
    """Facula's reports of a program that is run again: what was recorded is then followed.

    A failure of the engine itself is a report too.
    """
    import facula
    from facula.trace.recorder import TLS, Recorder

    def late(*_):
        raise TooLong(f"more than {execute.PATIENCE} seconds")

    TLS.r = Recorder()  # programs are not to depend on each other
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGALRM, late) if main else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            signal.alarm(execute.PATIENCE if main else 0)
            return [execute.run(program, facula) for _ in range(rounds)]
    except (Exception, TooLong):
        return [{"crash": traceback.format_exc()}]
    finally:
        signal.alarm(0)
        if main:
            signal.signal(signal.SIGALRM, before)


def isolated_ours(batch: list[dict]) -> list[list[dict]]:
    """`ours` of several programs, where one may end the process."""
    dead = [{"crash": f"Facula died, or took more than {execute.PATIENCE} seconds"}]
    return isolated.results(batch, ours, 2 * execute.PATIENCE, dead)


def verdict(program: dict, mine: list[dict], theirs: dict) -> str | None:
    """What the first report that differs disagrees on."""
    for i, report in enumerate(mine):
        if "crash" in report:
            return report["crash"].strip().splitlines()[-1]
        d = difference(report, theirs, program["bases"] + program["steps"])
        if d:
            return d if i == 0 else f"when run again: {d}"
    return None


ROUNDING = "the last bits of intermediate results decide"


def by_rounding(program: dict, theirs: dict, found: str, oracle: Oracle) -> bool:
    """Whether PyTorch disagrees with itself there when what rounding decides is another."""
    where = found.removeprefix("when run again: ").partition(": Facula")[0]
    for how in execute.NUDGES:
        nudged = oracle.run({**program, "nudged": how})
        other = verdict(program, [nudged], theirs) if nudged["final"] else None
        if other is not None and other.partition(": Facula")[0] == where:
            return True
    return False


def differ(program: dict, oracle: Oracle) -> str | None:
    """What Facula and PyTorch disagree on in a program."""
    theirs = oracle.run(program)
    found = None if theirs["spoilt"] else verdict(program, isolated_ours([program])[0], theirs)
    return None if found and by_rounding(program, theirs, found, oracle) else found


def shrink(program: dict, oracle: Oracle) -> dict:
    """The program with as few steps as still make a difference."""
    size = max(1, len(program["steps"]) // 2)
    while size:
        at = 0
        while at < len(program["steps"]):
            steps = program["steps"][:at] + program["steps"][at + size :]
            shorter = {**program, "steps": steps}
            if differ(shorter, oracle):
                program = shorter
            else:
                at += size
        size //= 2
    for base in list(program["bases"]):
        shorter = {**program, "bases": [b for b in program["bases"] if b != base]}
        if differ(shorter, oracle):
            program = shorter
    return program


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--oracle", required=True)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--count", type=int, default=1000)
    p.add_argument("--show", type=int, default=5, help="stop after so many that differ")
    p.add_argument("--batch", type=int, default=50)
    p.add_argument("--wide", action="store_true", help="with the statements of wide.py")
    p.add_argument("--usual", action="store_true", help="with those of usual.py")
    p.add_argument("--rare", action="store_true", help="with those of rare.py too")
    p.add_argument("--conjugates", action="store_true", help="those of conjugates.py alone")
    p.add_argument("--turns", action="store_true", help="the loops of turns.py")
    args = p.parse_args()
    warnings.simplefilter("ignore")
    importlib.import_module("facula")  # once, for all children
    oracle = Oracle(args.oracle)
    makers = {"conjugates": conjugates, "rare": rare, "turns": turns, "usual": usual, "wide": wide}
    make = next((m for n, m in makers.items() if getattr(args, n)), programs).make
    failed, skipped, kinds, done = 0, Counter(), Counter(), 0
    end = args.seed + args.count
    for first in range(args.seed, end, args.batch):
        batch = [make(s) for s in range(first, min(first + args.batch, end))]
        oracle.start(batch)
        mine = isolated_ours(batch)
        for q, a, b in zip(batch, mine, oracle.finish(), strict=True):
            done += 1
            kinds.update(o if isinstance(o, str) else "ok" for o in b["outcomes"])
            if b["spoilt"]:
                skipped[str(b["spoilt"])] += 1
                continue
            d = verdict(q, a, b)
            if d and by_rounding(q, b, d, oracle):
                skipped[ROUNDING] += 1
            elif d:
                failed += 1
                show(q, oracle)
        if done % 1000 < args.batch:
            print(f"{done} programs, {failed} differ", flush=True)
        if failed >= args.show:
            break
    print(
        f"{done} programs from seed {args.seed}, {failed} differ; without a right answer: "
        f"{dict(skipped)}; PyTorch's outcomes: {dict(kinds)}"
    )
    sys.exit(bool(failed))


def show(program: dict, oracle: Oracle) -> None:
    """Print what differs, in a program that is as short as it can be."""
    short = shrink(program, oracle)
    print(f"# seed {program['seed']}: {differ(short, oracle)}")
    print("\n".join(short["bases"] + short["steps"]), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
