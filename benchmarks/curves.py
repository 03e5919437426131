"""Long traces: how time and memory grow from 100 to 20,000 recorded operations.

A training step of an LSTM over n steps, written with a cell in a loop, and of a transformer of n
layers. `lost` is what the first steps took more than later ones: compiling, and running meanwhile.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from typing import Any

from benchmarks.worker import become, pin, resident

# Lengths and numbers of layers: from about 100 recorded operations to about 20,000.
POINTS = {"lstm": (2, 8, 32, 128, 512), "transformer": (1, 4, 16, 48, 128)}
FIRST = 12  # steps until a program is compiled for certain


def lstm(torch: Any, n: int) -> tuple[Any, Any]:
    """An LSTM of width 32 over n steps: the loss as a function, and the parameters."""
    cell, head = torch.nn.LSTMCell(32, 32), torch.nn.Linear(32, 8)
    x = torch.randn(n, 8, 32)

    def loss() -> Any:
        state = torch.zeros(8, 32), torch.zeros(8, 32)
        for t in range(n):
            state = cell(x[t], state)
        return head(state[0]).square().mean()

    return loss, [*cell.parameters(), *head.parameters()]


def transformer(torch: Any, n: int) -> tuple[Any, Any]:
    """A transformer of n layers of width 32: the loss as a function, and the parameters."""
    layers = [
        torch.nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True) for _ in range(n)
    ]
    model = torch.nn.Sequential(*layers)
    x = torch.randn(2, 16, 32)
    return lambda: model(x).square().mean(), list(model.parameters())


def pending() -> int | None:
    """How many operations Facula has recorded and not run; None for PyTorch."""
    if "facula" not in sys.modules:
        return None
    from facula.trace.recorder import TLS

    return TLS.r.cur.index


def measure(task: dict[str, Any]) -> dict[str, Any]:
    """The figures of one length."""
    import torch

    torch.set_num_threads(task["threads"])
    torch.manual_seed(0)
    synchronize = getattr(torch, "synchronize", lambda: None)
    base = resident("VmRSS")
    loss_of, parameters = {"lstm": lstm, "transformer": transformer}[task["curve"]](
        torch, task["n"]
    )
    optimiser = torch.optim.SGD(parameters, lr=1e-3)
    operations = None

    def step() -> tuple[float, float]:
        """Seconds of recording and of running; PyTorch does both at once."""
        nonlocal operations
        begin = time.perf_counter()
        optimiser.zero_grad()
        loss = loss_of()
        loss.backward()
        optimiser.step()
        between = time.perf_counter()
        operations = pending()
        begin_run = time.perf_counter()
        synchronize()
        return between - begin, time.perf_counter() - begin_run

    first = [sum(step()) for _ in range(FIRST)]
    records, runs = [], []
    end = time.perf_counter() + task["seconds"]
    while len(records) < 5 or time.perf_counter() < end:
        record, run = step()
        records.append(record)
        runs.append(run)
    record, run = statistics.median(records), statistics.median(runs)
    return {
        "operations": operations,
        "record": record,
        "run": run,
        "first": first[0],
        "lost": sum(first) - FIRST * (record + run),
        "memory": resident("VmHWM") - base,
    }


def main() -> None:
    """Measure what the argument says."""
    task = json.loads(sys.argv[1])
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    pin(task["threads"])
    become(task["peer"])
    print(json.dumps(measure(task)))


if __name__ == "__main__":
    main()
