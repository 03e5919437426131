"""Matrix products of 40 shapes, beside PyTorch's and the machine's peak."""

from __future__ import annotations

import json
import sys
from typing import Any

from benchmarks.data import normal
from benchmarks.worker import become, pin, time_calls

# batch (0: none), rows, inner, columns, and which operands are transposed
SHAPES: list[tuple[int, int, int, int, str]] = [
    # square
    (0, 32, 32, 32, ""),
    (0, 64, 64, 64, ""),
    (0, 128, 128, 128, ""),
    (0, 256, 256, 256, ""),
    (0, 512, 512, 512, ""),
    (0, 1000, 1000, 1000, ""),
    (0, 1024, 1024, 1024, ""),
    (0, 1536, 1536, 1536, ""),
    # layers, forward
    (0, 64, 1000, 100, ""),
    (0, 64, 100, 10, ""),
    (0, 256, 784, 512, ""),
    (0, 32, 64, 64, ""),
    (0, 1024, 128, 384, ""),
    (0, 1024, 512, 128, ""),
    (0, 1024, 384, 1536, ""),
    (0, 1024, 1536, 384, ""),
    (0, 2048, 256, 1024, ""),
    (0, 32, 256, 1024, ""),
    # gradients of weights
    (0, 1000, 64, 100, "a"),
    (0, 784, 256, 512, "a"),
    (0, 128, 1024, 384, "a"),
    (0, 384, 1024, 1536, "a"),
    (0, 512, 512, 512, "a"),
    # gradients of inputs, and weights stored as (out, in)
    (0, 256, 512, 784, "b"),
    (0, 1024, 384, 128, "b"),
    (0, 1024, 1536, 384, "b"),
    (0, 512, 512, 512, "b"),
    (0, 64, 1000, 100, "b"),
    (0, 512, 512, 512, "ab"),
    # thin, and matrix with vector
    (0, 1, 784, 512, ""),
    (0, 1, 384, 1536, "b"),
    (0, 1000, 1000, 1, ""),
    (0, 8, 2048, 2048, ""),
    (0, 2048, 2048, 8, ""),
    (0, 4096, 16, 4096, ""),
    # batched
    (64, 64, 32, 64, "b"),
    (64, 64, 64, 32, ""),
    (24, 256, 64, 256, "b"),
    (24, 256, 256, 64, ""),
    (128, 32, 32, 32, ""),
]


def label(shape: tuple[int, int, int, int, str]) -> str:
    """A shape as the table shows it."""
    batch, m, k, n, transposed = shape
    text = (f"{batch} x " if batch else "") + f"{m} x {k} x {n}"
    if transposed:
        text += ", transposed " + " and ".join(transposed.upper())
    return text


def measure(task: dict[str, Any]) -> dict[str, Any]:
    """Seconds per product, in this process."""
    import torch

    torch.set_num_threads(task["threads"])
    synchronize = getattr(torch, "synchronize", lambda: None)
    out = {}
    for index in task["indices"]:
        batch, m, k, n, transposed = SHAPES[index]
        lead = (batch,) if batch else ()
        a = torch.tensor(normal("a", *lead, *((k, m) if "a" in transposed else (m, k))))
        b = torch.tensor(normal("b", *lead, *((n, k) if "b" in transposed else (k, n))))
        a = a.transpose(-1, -2) if "a" in transposed else a
        b = b.transpose(-1, -2) if "b" in transposed else b

        def call(a: Any = a, b: Any = b) -> None:
            c = torch.matmul(a, b)
            synchronize()
            del c

        out[str(index)] = time_calls(call, task)
    return {"times": out}


def main() -> None:
    """Measure what the argument says."""
    task = json.loads(sys.argv[1])
    pin(task["threads"])
    become(task["peer"])
    print(json.dumps(measure(task)))


if __name__ == "__main__":
    main()
