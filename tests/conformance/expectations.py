"""The list of operations that don't pass yet, and its comparison with what the checker measures.

`not_passing.txt` has one line for each operation of the data that fails in any way:

    operation <TAB> what fails, with commas <TAB> why

What can fail ("aspects"): `forward`, `grad`, `errors`, and each other call form by its name
(`method`, `inplace`, `operator`, `out`, `othername`, `writethrough`, `strided`, `extremal`,
`gradgrad`). An aspect fails when any of its cases fails. An operation that is not in the list
passes in every aspect.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
DATA = HERE / "dev"
LIST = HERE / "not_passing.txt"
CHECKER = HERE / "check.py"

FORMS = (
    "method",
    "inplace",
    "operator",
    "out",
    "othername",
    "writethrough",
    "strided",
    "extremal",
    "gradgrad",
)
ASPECTS = ("forward", "grad", "errors", *FORMS)

# Failures that may come from a busy machine and not from the framework.
UNSETTLED = frozenset({"timeout", "crash"})
# How a reason begins that was written by this module and not by a person.
CATEGORIES = frozenset(
    {
        *("missing", "exception", "structure", "shape", "dtype", "value", "grad", "alias"),
        *("state", "noerror", "wrongerror", "setup", "timeout", "crash"),
    }
)

HEADER = """\
# Operations of tests/conformance/dev that do not pass yet: name, what fails, why.
# The tests compare this list with what they measure; see README.md for how to change it.
"""

Result = dict[str, Any]  # what `check.py --json` writes


class Entry(NamedTuple):
    """One line of the list."""

    op: str
    aspects: tuple[str, ...]
    reason: str

    def __str__(self) -> str:
        return "\t".join([self.op, ",".join(self.aspects), self.reason])

    @property
    def category(self) -> str | None:
        """`value` of `value: 3 elements differ`; None for a reason in a person's own words."""
        head = self.reason.partition(":")[0]
        return head if head in CATEGORIES else None


# ----------------------------------------------------------------------------------------------
# the list
# ----------------------------------------------------------------------------------------------
def read_list(text: str) -> dict[str, Entry]:
    """Parse the list; raises ValueError with the line's number where a line makes no sense."""
    entries: dict[str, Entry] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        where = f"{LIST.name}, line {number}"
        parts = line.split("\t")
        if len(parts) != 3 or not all(p.strip() for p in parts):
            raise ValueError(f"{where}: expected operation, aspects and reason with tabs between")
        op, aspects, reason = parts
        unknown = [a for a in aspects.split(",") if a not in ASPECTS]
        if unknown:
            raise ValueError(f"{where}: {unknown[0]!r} is none of {', '.join(ASPECTS)}")
        if op in entries:
            raise ValueError(f"{where}: {op!r} is listed twice")
        entries[op] = Entry(op, tuple(sorted(aspects.split(","), key=ASPECTS.index)), reason)
    return entries


def write_list(entries: Iterable[Entry]) -> str:
    """The text of the list, in the order of the names."""
    return HEADER + "".join(f"{e}\n" for e in sorted(entries))


# ----------------------------------------------------------------------------------------------
# the measurement
# ----------------------------------------------------------------------------------------------
def run_checker(
    module: str, out: Path, *, folder: Path, only: Iterable[str] = (), procs: int = 2
) -> Result:
    """Run check.py on all the data, or on some operations, and return what it wrote to `out`.

    `folder` is the current folder of the checker and its workers, from which they may import
    the module.
    """
    command = [sys.executable, str(CHECKER), "--module", module, "--data", str(DATA), "--quiet"]
    for op in only:
        command += ["--only", op]
    command += ["--procs", str(procs), "--json", str(out)]
    # Whether results are right is not to depend on how busy the machine is.
    patient = {**os.environ, "CONFORMANCE_CASE_SECONDS": "60"}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=patient)
    if done.returncode != 0:
        raise RuntimeError(f"the conformance checker did not run: {done.stderr.strip()[-2000:]}")
    return json.loads(out.read_text())


def measure(result: Result) -> dict[str, Entry]:
    """The operations that fail in any way, each with its first failure as the reason."""
    entries = {}
    for op, summary in result["ops"].items():
        counts = {
            "forward": summary["fwd"],
            "grad": summary["grad"],
            "errors": summary["error"],
            **summary["side"],
        }
        aspects = tuple(a for a in ASPECTS if a in counts and counts[a][0] < counts[a][1])
        if aspects:
            entries[op] = Entry(op, aspects, _reason(result["cases"][op], aspects[0]))
    return entries


def _reason(cases: list[dict[str, Any]], aspect: str) -> str:
    feature = {"forward": "fwd", "grad": "fwd", "errors": "error"}.get(aspect, aspect)
    for case in cases:
        if case["feat"] != feature:
            continue
        if not case["ok"]:
            return _one_line(case.get("cat", "exception"), case.get("msg", ""))
        if case.get("grad") is False:
            return _one_line("grad", case.get("gmsg", ""))
    return "errors do not count while no forward case passes"  # the only aspect without a case


def _one_line(category: str, message: str) -> str:
    """Short, on one line, without what differs from run to run or machine to machine."""
    message = re.sub(r"\b0x[0-9a-f]+", "0x...", " ".join(message.split()))
    message = re.sub(r"(?<![\w.])/[^\s()':]*/", "", message)  # folders of this machine
    if len(message) > 140:
        message = message[:137] + "..."
    return f"{category}: {message or 'no message'}"


def settle(
    result: Result, listed: dict[str, Entry], rerun: Callable[[list[str]], Result], times: int = 2
) -> Result:
    """Run again what differs from the list and had a timeout or a crash.

    On a busy machine a case can exceed its five seconds without any fault of its own. `rerun`
    runs some operations by themselves and returns the checker's result.
    """
    for _ in range(times):
        measured = measure(result)
        again = [
            op
            for op, cases in result["cases"].items()
            if _failing(measured, op) != _failing(listed, op)
            and not _on_the_edge(listed.get(op))
            and any({c.get("cat"), c.get("gcat")} & UNSETTLED for c in cases)
        ]
        if not again:
            break
        new = rerun(again)
        for key in ("ops", "cases"):
            result[key].update({op: new[key][op] for op in again})
    return result


def _failing(entries: dict[str, Entry], op: str) -> tuple[str, ...]:
    return entries[op].aspects if op in entries else ()


def _on_the_edge(entry: Entry | None) -> bool:
    return entry is not None and entry.category == "timeout"


# ----------------------------------------------------------------------------------------------
# the comparison
# ----------------------------------------------------------------------------------------------
def differences(
    listed: dict[str, Entry], measured: dict[str, Entry], ops: Iterable[str]
) -> list[str]:
    """What must change in the list: lines of a diff, each operation's under a word of why.

    `ops` are the operations that were checked. A line whose reason begins with `timeout:` stands
    for an operation on the edge of its time limit; it may pass or fail.
    """
    checked = set(ops)
    out = []
    for op in sorted(checked | set(listed)):
        before, now = listed.get(op), measured.get(op)
        if op not in checked:
            out += [f"{op}: is not in the data", f"-{before}"]
            continue
        if _on_the_edge(before):
            continue
        was, is_ = _failing(listed, op), _failing(measured, op)
        if was == is_:
            continue
        started = [a for a in was if a not in is_]
        stopped = [a for a in is_ if a not in was]
        words = []
        if started:
            words.append(f"{', '.join(started)} passes now")
        if stopped:
            words.append(f"{', '.join(stopped)} does not pass")
        out.append(f"{op}: {'; '.join(words)}")
        if before is not None:
            out.append(f"-{before}")
        if now is not None:
            out.append(f"+{_merged(before, now)}")
    return out


def updated(listed: dict[str, Entry], measured: dict[str, Entry]) -> dict[str, Entry]:
    """The list as it should be. Reasons in a person's words stay; see `_merged`."""
    return {op: _merged(listed.get(op), now) for op, now in measured.items()}


def _merged(before: Entry | None, now: Entry) -> Entry:
    """`now`, with the old reason while that still fits.

    A person's reason stays until a person changes it. One that the checker gave (it begins with
    the kind of failure) stays only while the kind and what fails are the same, so that numbers in
    messages do not change the file from machine to machine.
    """
    if before is None:
        return now
    stays = before.category is None or (
        before.category == now.category and before.aspects == now.aspects
    )
    return now._replace(reason=before.reason) if stays else now


def summary(result: Result) -> str:
    """Two lines for the end of a test run."""
    totals = result["totals"]
    everything, weighted = totals["all"], totals["weighted"]
    f3, n3, g3, m3 = weighted["w3"]
    return (
        f"conformance: forward {everything['forward_ops']}/{everything['ops']} operations, "
        f"gradients {everything['grad_pass']}/{everything['grad_ops']}\n"
        f"conformance, everyday operations (weight 3): forward {f3}/{n3}, gradients {g3}/{m3}"
    )
