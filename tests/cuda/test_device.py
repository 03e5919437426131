"""What only a real device can show. Without one these are skipped."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import facula as torch

ROOT = Path(__file__).parents[2]


def test_the_example_runs_on_the_device(real: Any) -> None:
    script = ROOT / "examples" / "two_layer_net.py"
    done = subprocess.run(
        [sys.executable, "-m", "facula", "run", str(script)],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert lines[0] == "cuda"
    losses = [float(line.split()[-1]) for line in lines[1:]]
    assert len(losses) == 5 and losses == sorted(losses, reverse=True) and losses[-1] < 1e-3


def test_an_allocation_that_is_too_large(real: Any) -> None:
    with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
        torch.ones(1 << 42, device="cuda").cpu()
    assert torch.ones(3, device="cuda").sum().item() == 3


def test_machine_code_comes_from_the_cache(real: Any, monkeypatch: Any, tmp_path: Any) -> None:
    from facula.cuda import nvrtc
    from facula.cuda.modules import module

    monkeypatch.setenv("FACULA_CACHE_DIR", str(tmp_path))
    text, _ = module(['extern "C" __global__ void NAME(int* p) { *p = 1; }\n'])
    first = nvrtc.compiled(text, "sm_90", real.version())
    monkeypatch.setattr(nvrtc, "_compile", lambda *args: pytest.fail("compiled again"))
    assert nvrtc.compiled(text, "sm_90", real.version()) == first
