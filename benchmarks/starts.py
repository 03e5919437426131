"""The start: how long an import takes, and the first step of the two-layer network after it."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from benchmarks.worker import pin


def measure(task: dict[str, Any]) -> dict[str, Any]:
    """Seconds of the import, and from there to the loss of the first step."""
    begin = time.perf_counter()
    if task["module"] == "numpy":
        import numpy as module
    elif task["module"] == "facula":
        import facula as module
    else:
        import torch as module
    imported = time.perf_counter()
    out: dict[str, Any] = {
        "import": imported - begin,
        "modules": len(sys.modules),
        "llvmlite": "llvmlite" in sys.modules,
    }
    if task["module"] == "numpy":
        return out
    torch: Any = module
    x, y = torch.randn(64, 1000), torch.randn(64, 10)
    w1 = torch.randn(1000, 100, requires_grad=True)
    w2 = torch.randn(100, 10, requires_grad=True)
    loss = (x.mm(w1).clamp(min=0).mm(w2) - y).pow(2).sum()
    loss.backward()
    with torch.no_grad():
        w1 -= 1e-6 * w1.grad
        w2 -= 1e-6 * w2.grad
        w1.grad.zero_()
        w2.grad.zero_()
    loss.item()
    getattr(torch, "synchronize", lambda: None)()
    return out | {"first": time.perf_counter() - imported}


def main() -> None:
    """Measure what the argument says."""
    task = json.loads(sys.argv[1])
    pin(task["threads"])
    out = measure(task)
    out["process"] = time.time() - float(os.environ["BENCHMARK_SPAWNED"])
    print(json.dumps(out))


if __name__ == "__main__":
    main()
