"""Runs a program written for PyTorch under PyTorch and under Facula, and compares them.

    python tests/programs/compare.py [options] script.py [its arguments]

    --torch PYTHON     a Python that has PyTorch (default: $TORCH_PYTHON, else this one)
    --facula PYTHON    a Python that has Facula (default: this one)
    --steps N          end the program after N calls of backward (default 20; 0: let it end)
    --seed N           what all random numbers start from (default 0)
    --double           compute in float64, where rounding makes no difference grow
    --dropout          leave dropout as it is (its random numbers differ)
    --tolerance X      largest relative difference of two losses that is no difference (1e-3)
    --time             take the time too, in runs of their own in which no loss is read
    --path FOLDER      a folder to put on the path of both (may be repeated)
    --output           compare what the programs print as well, number by number
    --json             print the result as one line of JSON

It answers: does the program run, are the losses the same, how fast is it, what is missing? Where
float32 parts, it looks at float64, and at how far PyTorch parts from itself there. The
exit status is 0 when the losses agree. The program is not changed and is not asked to help.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


@dataclass
class Run:
    """What one framework made of the program."""

    status: int = 0
    losses: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)  # of each step, since the start
    imported: float = 0.0
    seconds: float = 0.0
    cpu: float = 0.0  # of the processor, starting Python included
    output: str = ""
    error: str = ""


def run(command: list[str], options: argparse.Namespace, read: bool, moved: bool = False) -> Run:
    """Run the program once; `command` is what starts Python.

    With `moved`, its weights are moved by 16 units of their last place after the first step.
    """
    with tempfile.TemporaryDirectory() as folder:
        report, settings = Path(folder, "report.json"), Path(folder, "options.json")
        settings.write_text(
            json.dumps(
                {
                    "steps": options.steps,
                    "seed": options.seed,
                    "dropout": options.dropout,
                    "read": read,
                    "double": options.double,
                    "moved": moved,
                }
            )
        )
        paths = [*options.path, os.environ.get("PYTHONPATH", "")]
        if "facula" in command:
            paths.insert(0, str(ROOT))
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in paths if p)}
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [
                *command,
                str(HERE / "watch.py"),
                str(report),
                str(settings),
                options.script,
                *options.arguments,
            ],
            env=env,
            capture_output=True,
            text=True,
            timeout=options.timeout,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found = json.loads(report.read_text()) if report.exists() else {}
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(status=done.returncode, output=done.stdout, error=done.stderr, cpu=cpu, **found)


def difference(a: list[float], b: list[float]) -> float:
    """The largest relative difference of two lists of numbers of one length."""
    worst = 0.0
    for x, y in zip(a, b):
        if x != x and y != y:
            continue
        if x != x or y != y:
            return float("inf")
        scale = max(abs(x), abs(y))
        worst = max(worst, abs(x - y) / scale if scale else 0.0)
    return worst


NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?")


def numbers(text: str) -> list[float]:
    """The numbers in what a program printed."""
    return [float(x) for x in NUMBER.findall(text)]


@dataclass
class Result:
    """How the two runs compare."""

    script: str
    same: bool
    steps: int
    worst: float
    # Looked at where float32 differs: the same in float64, and PyTorch compared with itself in
    # float64 after its weights were moved by 16 units of their last place.
    double: float | None
    own: float | None
    first_difference: int | None
    printed: float | None
    missing: list[str]
    error: str
    cpu: dict[str, float]
    seconds: dict[str, float]
    step: dict[str, float]

    def describe(self) -> str:
        """The result for a reader."""
        lines = [f"{self.script}: " + ("the same" if self.same else "DIFFERENT")]
        lines.append(f"  steps compared: {self.steps}, largest difference {self.worst:.2e}")
        if self.first_difference is not None:
            lines.append(f"  first difference at step {self.first_difference}")
        if self.double is not None:
            lines.append(f"  in float64, where rounding is too small to grow: {self.double:.2e}")
        if self.own is not None:
            lines.append(f"  PyTorch from itself, weights moved by 16 ulp: {self.own:.2e}")
        if self.printed is not None:
            lines.append(f"  largest difference of the printed numbers: {self.printed:.2e}")
        lines.append(
            f"  processor time with starting Python: Facula {self.cpu['facula']:.2f} s, "
            f"PyTorch {self.cpu['torch']:.2f} s"
        )
        if self.seconds:
            ratio = self.seconds["facula"] / self.seconds["torch"]
            lines.append(
                f"  whole run: Facula {self.seconds['facula']:.2f} s, "
                f"PyTorch {self.seconds['torch']:.2f} s, ratio {ratio:.2f}"
            )
        if self.step:
            ratio = self.step["facula"] / self.step["torch"]
            lines.append(
                f"  a step (median of the last half): Facula {1e3 * self.step['facula']:.2f} ms, "
                f"PyTorch {1e3 * self.step['torch']:.2f} ms, ratio {ratio:.2f}"
            )
        if self.missing:
            lines.append(f"  not in Facula: {', '.join(self.missing)}")
        if self.error:
            lines.append("  " + self.error.replace("\n", "\n  "))
        return "\n".join(lines)


def in_float64(options: argparse.Namespace, ours: list[str]) -> tuple[float | None, float | None]:
    """The difference in float64, and PyTorch's from itself where rounding grows even there."""
    wide = argparse.Namespace(**{**vars(options), "double": True})
    a, b = run(ours, wide, read=True), run([options.torch], wide, read=True)
    if not a.losses or len(a.losses) != len(b.losses):
        return None, None  # the program has no float64 form
    double = difference(a.losses, b.losses)
    if 1e3 * double <= options.tolerance:
        return double, None
    moved = run([options.torch], wide, read=True, moved=True)
    if len(moved.losses) != len(b.losses):
        return double, None
    return double, difference(moved.losses, b.losses)


def is_rounding(double: float | None, own: float | None, tolerance: float) -> bool:
    """Whether what parts in float32 is rounding that grows: the rest is what float64 says.

    A step that multiplies rounding by some factor does so in both frameworks; a fault of an
    operation is as large in float64 as in float32.
    """
    if double is None:
        return False
    return 1e3 * double <= tolerance or (own is not None and double <= 10 * own)


def compare(options: argparse.Namespace) -> Result:
    """Run the program under both frameworks and compare what they did."""
    ours_command = [options.facula, "-m", "facula", "run"]
    theirs = run([options.torch], options, read=True)
    ours = run(ours_command, options, read=True)
    n = min(len(ours.losses), len(theirs.losses))
    worst = difference(ours.losses, theirs.losses)
    first = next(
        (
            i
            for i in range(n)
            if difference(ours.losses[i : i + 1], theirs.losses[i : i + 1]) > options.tolerance
        ),
        None,
    )
    printed = None
    if options.output:
        a, b = numbers(ours.output), numbers(theirs.output)
        printed = difference(a, b) if len(a) == len(b) else float("inf")
    error = ""
    for name, r in (("PyTorch", theirs), ("Facula", ours)):
        if r.status:
            error += f"{name} ended with status {r.status}:\n{last_lines(r.error)}\n"
    double = own = None
    if worst > options.tolerance and not options.double and not ours.status + theirs.status:
        double, own = in_float64(options, ours_command)
    same = (
        not ours.status
        and not theirs.status
        and len(ours.losses) == len(theirs.losses)
        and (worst <= options.tolerance or is_rounding(double, own, options.tolerance))
        and (printed is None or printed <= options.tolerance)
    )
    seconds: dict[str, float] = {}
    step: dict[str, float] = {}
    if options.time and not ours.status and not theirs.status:
        for name, command in (("torch", [options.torch]), ("facula", ours_command)):
            timed = run(command, options, read=False)
            seconds[name] = timed.seconds
            half = timed.times[len(timed.times) // 2 :]
            gaps = sorted(b - a for a, b in itertools.pairwise(half))
            if gaps:
                step[name] = gaps[len(gaps) // 2]
    return Result(
        script=options.script,
        same=same,
        steps=n,
        worst=worst,
        double=double,
        own=own,
        first_difference=first,
        printed=printed,
        missing=sorted(set(re.findall(r"(torch[\w.]*\.\w+) is not in Facula", ours.error))),
        error=error.rstrip(),
        cpu={"torch": theirs.cpu, "facula": ours.cpu},
        seconds=seconds,
        step=step,
    )


def last_lines(text: str, count: int = 12) -> str:
    """The end of what a program wrote to standard error."""
    return "\n".join(text.rstrip().splitlines()[-count:])


def options_of(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, read."""
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--torch", default=os.environ.get("TORCH_PYTHON", sys.executable))
    p.add_argument("--facula", default=sys.executable)
    p.add_argument("--steps", type=int, default=20)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--double", action="store_true")
    p.add_argument("--dropout", action="store_true")
    p.add_argument("--tolerance", type=float, default=1e-3)
    p.add_argument("--timeout", type=float, default=600)
    p.add_argument("--time", action="store_true")
    p.add_argument("--path", action="append", default=[])
    p.add_argument("--output", action="store_true")
    p.add_argument("--json", action="store_true")
    p.add_argument("script")
    p.add_argument("arguments", nargs=argparse.REMAINDER)
    return p.parse_args(argv)


def main() -> None:
    """The command."""
    options = options_of()
    result = compare(options)
    print(json.dumps(asdict(result)) if options.json else result.describe())
    raise SystemExit(0 if result.same else 1)


if __name__ == "__main__":
    main()
