"""The pages of docs/ whose code runs: in order, in one program, printing what stands under it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = ["docs/adding_an_operation.md"]
BLOCK = re.compile(r"^```(python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

RUNNER = """
import contextlib, io, json, sys

names = {"__name__": "page"}
printed = []
for at, code in enumerate(json.load(sys.stdin)):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, f"block {at}", "exec"), names)
    printed.append(out.getvalue())
print(json.dumps(printed))
"""


def blocks(page: str) -> list[tuple[str, str]]:
    """Each piece of code with what it prints."""
    found: list[tuple[str, str]] = []
    for kind, text in BLOCK.findall((ROOT / page).read_text(encoding="utf-8")):
        if kind == "python":
            found.append((text, ""))
        else:
            found[-1] = (found[-1][0], text)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_prints_what_the_page_says(page):
    found = blocks(page)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUNNER],
        input=json.dumps([code for code, _ in found]),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [text for _, text in found]
