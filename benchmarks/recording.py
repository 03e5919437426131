"""What recording costs, beside PyTorch's figures for the same calls where PyTorch is installed.

    python benchmarks/recording.py

Prints microseconds: the median of several alternations, one thread, small tensors.
"""

from __future__ import annotations

import gc
import platform
import statistics
import subprocess
import sys
import time

REPEAT = 9
LENGTH = 100


def median(f, count: int) -> float:
    """Median time of one call, in microseconds."""
    times = []
    for _ in range(REPEAT):
        gc.collect()
        begin = time.perf_counter()
        for _ in range(count):
            f()
        times.append((time.perf_counter() - begin) / count * 1e6)
    return statistics.median(times)


def measure(name: str) -> dict[str, float]:
    """The figures of one framework; Facula's programs are dropped instead of run."""
    if name == "torch":
        import torch

        torch.set_num_threads(1)
        drop = fresh = lambda: None
    else:
        import facula as torch
        from facula.trace.node import INPUT
        from facula.trace.recorder import TLS

        def drop() -> None:
            r = TLS.r
            for t, _, _ in r.inputs:
                if t.node.op is INPUT:
                    t.node = t.node.leaf
            for h in r.handles:
                if h.node.rec is r and h._data is not None:
                    n = h.node
                    h.node = leaf(n.shape, n.dtype, n.strides, h._leaf_rg)
            r.reset()

        from facula.trace.node import leaf

        def fresh() -> None:
            TLS.r.roots.clear()
            TLS.r.reset()

    x, y = torch.randn(8), torch.randn(8)

    def chain() -> None:
        z = x
        for _ in range(LENGTH):
            z = z * y
        drop()

    def chain_new() -> None:
        fresh()
        chain()

    w1 = torch.randn(1000, 100, requires_grad=True)
    w2 = torch.randn(100, 10, requires_grad=True)
    a, b = torch.randn(64, 1000), torch.randn(64, 10)
    w1.grad, w2.grad = torch.zeros(1000, 100), torch.zeros(100, 10)
    for t in (w1.grad, w2.grad):
        t.numpy()
        t._exported = None

    def step() -> None:
        y_pred = a.mm(w1).clamp(min=0).mm(w2)
        loss = (y_pred - b).pow(2).sum()
        loss.backward()
        with torch.no_grad():
            w1.__isub__(1e-6 * w1.grad)
            w2.__isub__(1e-6 * w2.grad)
            w1.grad.zero_()
            w2.grad.zero_()
        del y_pred, loss
        drop()

    chain()
    step()
    step()
    out = {"pointwise, known trace": median(chain, 200) / LENGTH}
    out["pointwise, new trace"] = median(chain_new, 50) / LENGTH
    out["one iteration of the two-layer network"] = median(step, 100)
    return out


def main() -> None:
    """Measure both and print a table."""
    if len(sys.argv) > 1:
        for key, value in measure(sys.argv[1]).items():
            print(f"{key}\t{value}")
        return
    print(f"Python {platform.python_version()}, {platform.machine()}; microseconds")
    table: dict[str, dict[str, float]] = {}
    for name in ("facula", "torch"):
        done = subprocess.run(
            [sys.executable, __file__, name], capture_output=True, text=True, check=False
        )
        if done.returncode:
            print(f"{name}: not measured ({(done.stderr.strip().splitlines() or ['?'])[-1]})")
            continue
        for line in done.stdout.splitlines():
            key, value = line.split("\t")
            table.setdefault(key, {})[name] = float(value)
    print(f"{'':42}{'facula':>10}{'torch':>10}   (torch also computes)")
    for key, row in table.items():
        print(
            f"{key:42}"
            + "".join(f"{row[n]:10.2f}" if n in row else f"{'-':>10}" for n in ("facula", "torch"))
        )


if __name__ == "__main__":
    main()
