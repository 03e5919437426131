"""Looking for a device: quick, quiet, and without loading anything that is not asked for."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

import facula as torch
from facula.cuda import driver, libraries


def _without(monkeypatch: Any) -> None:
    monkeypatch.setattr(driver, "_state", {})
    monkeypatch.setattr(libraries, "open_driver", lambda: None)


def test_without_a_driver_there_is_no_device(monkeypatch: Any) -> None:
    _without(monkeypatch)
    assert not torch.cuda.is_available() and torch.cuda.device_count() == 0
    assert torch.cuda.memory_allocated() == 0 and not torch.cuda.is_initialized()
    with pytest.raises(RuntimeError, match="no CUDA device is available"):
        torch.ones(2).cuda()
    with pytest.raises(RuntimeError, match="no CUDA device is available"):
        torch.cuda.synchronize()


def test_a_library_that_is_missing_is_named(monkeypatch: Any) -> None:
    monkeypatch.setattr(libraries, "_NAMES", {"none": ("libfacula-none.so.12",)})
    with pytest.raises(RuntimeError, match=r"libfacula-none.so.12.*pip install 'facula\[cuda\]'"):
        libraries.open_library("none")


def test_import_loads_nothing_of_cuda() -> None:
    code = (
        "import sys, facula; facula.zeros(3).sum().item(); "
        "bad = [m for m in sys.modules if m.startswith('facula.cuda.')]; assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_errors_of_the_driver_are_exceptions() -> None:
    made: Any = driver.Driver.__new__(driver.Driver)

    def say(what: bytes) -> Any:
        def call(code: int, out: Any) -> int:
            out._obj.value = what
            return 0

        return call

    made.calls = {
        "cuGetErrorName": say(b"CUDA_ERROR_X"),
        "cuGetErrorString": say(b"something happened"),
        "cuInit": lambda flags: 999,
    }
    with pytest.raises(RuntimeError, match=r"something happened \(cuInit: CUDA_ERROR_X\)"):
        made._call("cuInit", 0)
    with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
        made.fail("cuMemAlloc_v2", 2)
