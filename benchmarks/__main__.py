"""The command: `python -m benchmarks [section...] [options]`; see benchmarks/README.md."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import report
from benchmarks.machine import describe
from benchmarks.peers import PEERS, ROOT, cache_folder
from benchmarks.sections import run_curves, run_operations, run_products, run_starts
from benchmarks.steps import run_steps

SECTIONS = {
    "steps": run_steps,
    "products": run_products,
    "operations": run_operations,
    "curves": run_curves,
    "starts": run_starts,
}


def _options(
    argv: Sequence[str] | None, prog: str, sections: Sequence[str], peers: Sequence[str]
) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    parser.add_argument(
        "sections",
        nargs="*",
        metavar="section",
        help=f"what to measure: {', '.join(SECTIONS)} (default: {' '.join(sections)}), or readme: "
        "fill the project's README from the kept results",
    )
    parser.add_argument(
        "--only", action="append", metavar="PART", help="workloads with this in their names"
    )
    parser.add_argument(
        "--peers", help=f"comma-separated, of {','.join(PEERS)} (default: {','.join(peers)})"
    )
    parser.add_argument("--threads", type=int, help="for everyone (default: as many as processors)")
    parser.add_argument("--alternations", type=int, help="processes of each (default: 5; quick: 1)")
    parser.add_argument("--quick", action="store_true", help="short; the figures are indications")
    parser.add_argument(
        "--show",
        choices=("step", "best", "cpu"),
        default="step",
        help="medians (step), fastest blocks (best), or processor time (cpu), which says most on a "
        "busy machine, with --threads 1",
    )
    parser.add_argument("--limit", type=float, help="seconds after which a process is given up")
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="PEER=PATH",
        help="the interpreter of a peer or an environment, instead of making one",
    )
    parser.add_argument("--cache", help="folder of the environments (or $FACULA_BENCHMARKS)")
    parser.add_argument("--out", type=Path, help="folder of the results")
    options = parser.parse_args(argv)
    options.cache = cache_folder(options.cache)
    options.sections = options.sections or list(sections)
    options.peers = options.peers.split(",") if options.peers else list(peers)
    unknown = [p for p in options.peers if p not in PEERS]
    unknown += [s for s in options.sections if s not in (*SECTIONS, "readme")]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    options.pythons = dict(text.split("=", 1) for text in options.python)
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    options.threads = options.threads or available
    options.alternations = options.alternations or (1 if options.quick else 5)
    if options.out is None:
        machine = describe(options.threads)
        name = f"{machine['processor']} {options.threads} threads"
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower().replace("(r)", "")).strip("-")
        partial = options.quick or options.only
        base = options.cache / "partial" if partial else ROOT / "benchmarks" / "results"
        options.out = base / slug
    return options


def main(
    argv: Sequence[str] | None = None,
    prog: str = "python -m benchmarks",
    sections: Sequence[str] = tuple(SECTIONS),
    peers: Sequence[str] = tuple(PEERS),
) -> None:
    """Measure, write and print what was asked for; `sections` and `peers` when nothing was."""
    options = _options(argv, prog, sections, peers)
    if options.sections == ["readme"]:
        report.fill_readme(options.out)
        return
    for section in options.sections:
        result = SECTIONS[section](options)
        path = report.write(result, options.out)
        print(report.REPORTS[section](result))
        print(f"\nwritten: {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
