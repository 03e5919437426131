"""Losses and times of training steps on a CUDA device, beside PyTorch's on the same device.

    python benchmarks/cuda.py [facula] [torch]

Both frameworks run the same lines on the same numbers. Losses are compared in float64; a step's
time is the wall time of many steps between two synchronisations, the least of several rounds.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import time
from typing import Any

import numpy as np

ROUNDS, STEPS = 5, 200


def two_layers(torch: Any, double: bool = False) -> Any:
    """The README's network: forward, backward, update by hand."""
    rng = np.random.default_rng(0)
    kind = np.float64 if double else np.float32
    x, y, w1, w2 = [
        torch.from_numpy(rng.standard_normal(s).astype(kind)).to("cuda")
        for s in ((64, 1000), (64, 10), (1000, 100), (100, 10))
    ]
    w1.requires_grad_()
    w2.requires_grad_()

    def step() -> Any:
        loss = (x.mm(w1).clamp(min=0).mm(w2) - y).pow(2).sum()
        loss.backward()
        with torch.no_grad():
            for w in (w1, w2):
                w -= 1e-6 * w.grad
                w.grad.zero_()
        return loss

    return step


def _network(torch: Any, sizes: list[int], batch: int, double: bool, normal: bool) -> Any:
    rng = np.random.default_rng(0)
    kind = np.float64 if double else np.float32
    nn = torch.nn
    layers: list[Any] = []
    for i, (n, m) in enumerate(itertools.pairwise(sizes)):
        layer = nn.Linear(n, m)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy((rng.random((m, n)) * 2 - 1) / n**0.5))
            layer.bias.copy_(torch.from_numpy((rng.random(m) * 2 - 1) / n**0.5))
        layers.append(layer)
        if i < len(sizes) - 2:
            layers += [nn.LayerNorm(m), nn.GELU()] if normal else [nn.ReLU()]
    model = nn.Sequential(*layers)
    model = (model.double() if double else model.float()).to("cuda")
    x = torch.from_numpy(rng.standard_normal((batch, sizes[0])).astype(kind)).to("cuda")
    y = torch.from_numpy(rng.integers(0, sizes[-1], batch)).to("cuda")
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step() -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def mlp(torch: Any, double: bool = False) -> Any:
    """Linear layers with ReLU, cross-entropy, Adam."""
    return _network(torch, [784, 512, 512, 10], 128, double, False)


def mlp_norm(torch: Any, double: bool = False) -> Any:
    """The same with layer norms and GELU."""
    return _network(torch, [784, 512, 512, 10], 128, double, True)


def large(torch: Any, double: bool = False) -> Any:
    """An MLP that is bound by its products."""
    return _network(torch, [2048, 4096, 4096, 1000], 1024, double, False)


MODELS = {f.__name__: f for f in (two_layers, mlp, mlp_norm, large)}


def losses(torch: Any, name: str, steps: int = 100) -> list[float]:
    """Losses in float64."""
    step = MODELS[name](torch, True)
    return [float(step()) for _ in range(steps)]


def timed(torch: Any, name: str) -> tuple[float, float]:
    """Microseconds of a step: until the device has done it, and until the call returns."""
    step = MODELS[name](torch)
    for _ in range(20):
        step()
    done, returned = [], []
    for _ in range(ROUNDS):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(STEPS):
            step()
        middle = time.perf_counter()
        torch.cuda.synchronize()
        done.append(time.perf_counter() - begin)
        returned.append(middle - begin)
    return min(done) / STEPS * 1e6, min(returned) / STEPS * 1e6


def main() -> None:
    """Compare what is asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("frameworks", nargs="*", default=["facula", "torch"])
    parser.add_argument("--models", default=",".join(MODELS))
    args = parser.parse_args()
    found = {name: importlib.import_module(name) for name in args.frameworks}
    for name in args.models.split(","):
        series = {f: losses(m, name) for f, m in found.items() if name != "large"}
        line = [f"{name:12}"]
        if len(series) > 1:
            a, b = [np.array(s) for s in series.values()]
            line.append(f"losses differ by {np.max(np.abs(a - b) / np.abs(b)):.1e}")
        for f, m in found.items():
            done, returned = timed(m, name)
            line.append(f"{f} {done:.0f} us a step ({returned:.0f} on the host)")
        print("; ".join(line), flush=True)


if __name__ == "__main__":
    main()
