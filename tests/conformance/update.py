#!/usr/bin/env python3
"""Bring not_passing.txt up to date.

    python tests/conformance/update.py                   run the checker (minutes), then rewrite
    python tests/conformance/update.py --from FILE.json  use what `check.py --json` wrote
    python tests/conformance/update.py --only 'conv*'    run and rewrite these operations alone

Reasons in a person's own words are kept; new lines get the kind and message of the first failure.
Read the difference before you commit it: a line that appears is something that used to work.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import expectations


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--from", dest="source", type=Path, help="a result of check.py --json")
    parser.add_argument("--only", action="append", default=[], help="a pattern of names")
    parser.add_argument("--module", default="facula")
    parser.add_argument("--list", type=Path, default=expectations.LIST, help="the file to rewrite")
    args = parser.parse_args(argv)

    text = args.list.read_text(encoding="utf-8") if args.list.exists() else ""
    listed = expectations.read_list(text)

    if args.source is not None:
        result = json.loads(args.source.read_text())
    else:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "result.json"

            def run(only: list[str], procs: int = 2) -> expectations.Result:
                return expectations.run_checker(
                    args.module, out, folder=Path.cwd(), only=only, procs=procs
                )

            result = expectations.settle(run(args.only), listed, lambda ops: run(ops, 1))

    new = expectations.updated(listed, expectations.measure(result))
    new |= {op: entry for op, entry in listed.items() if op not in result["ops"] and args.only}
    args.list.write_text(expectations.write_list(new.values()), encoding="utf-8")

    for op in sorted(set(listed) | set(new)):
        before, now = listed.get(op), new.get(op)
        if before != now:
            print("\n".join(f"{s}{e}" for s, e in (("-", before), ("+", now)) if e is not None))
    print(f"{len(new)} of {len(result['ops'])} operations are listed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
