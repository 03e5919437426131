"""Every hostile file at once, in a process of its own with little memory (see hostile.py)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's limits and /proc")
def test_hostile_files_are_refused_within_a_limit_of_memory(tmp_path):
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, str(here / "hostile.py"), str(tmp_path)],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True,
        timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout)
    assert result["wrong"] == {} and result["files"] > 300
    assert result["kilobytes"] < 100_000
    assert result["left"] == ["x.pt"]
