"""What `calls.py` and `drawn.py` share: running what they make on both sides, and showing it.

A framework runs in processes of its own, since a call may end one: `work` of the script goes
through the items from one on and writes a line of JSON for each, `[number, ...]`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

MEMORY = 24 << 30


class TooLong(BaseException):
    """Something that takes more than some seconds."""


def _alarm(*_) -> None:
    raise TooLong


def parser(doc: str) -> argparse.ArgumentParser:
    """The options that both have."""
    made = argparse.ArgumentParser(description=doc.partition("\n")[0])
    made.add_argument("--oracle", help="the Python that has PyTorch")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--count", type=int, default=1000)
    made.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    return made


def prepare() -> None:
    """In a process that runs items: bound its memory, and let alarms end what takes too long."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, _alarm)


def run(script: str, python: str, framework: str, items: list[str], died: list) -> list[list]:
    """What `work` of a script says of every item; of one that ends the process, `died`."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "items")
        Path(path).write_text(json.dumps(items))
        out = Path(f"{path}.{framework}")
        found: dict[int, list] = {}
        while len(found) < len(items):
            command = [python, os.path.abspath(script), "--work", framework, path, str(len(found))]
            quiet = {"stderr": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
            subprocess.run(command, cwd=folder, **quiet)  # some calls write files
            lines = out.read_text().splitlines() if out.exists() else []
            found = {n: rest for n, *rest in map(json.loads, filter(whole, lines))}
            if len(found) < len(items):
                with open(out, "a") as file:
                    print("\n" + json.dumps([len(found), *died]), file=file)
        return [found[n] for n in range(len(items))]


def whole(line: str) -> bool:
    """Whether a line was written to its end."""
    return line.endswith("]")


def compare(
    script: str, oracle: str, items: list[str], died: list, differs: Callable[..., str | None]
) -> tuple[list, list]:
    """Run the items on both sides and print what differs by kind; what came of them."""
    want = run(script, oracle, "torch", items, died)
    got = run(script, sys.executable, "facula", items, died)
    kinds: dict[str, list] = {}
    for item, a, b in zip(items, want, got, strict=True):
        kind = differs(item, a, b)
        if kind:
            kinds.setdefault(kind, []).append((item, a[0], b[0]))
    ordered = sorted(kinds.items(), key=lambda pair: -len(pair[1]))
    for kind, found in ordered:
        print(f"\n== {kind}: {len(found)}")
        for item, a, b in found:
            print(f"{item}\n    {str(a[1:])[1:200]}\n    {str(b[1:])[1:200]}")
    for kind, found in ordered:
        print(f"{len(found):6} {kind}")
    valid = sum(a[0][0] == "ok" for a in want)
    print(f"{len(items)} ({valid} valid), {sum(map(len, kinds.values()))} differ")
    return want, got
