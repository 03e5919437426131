"""Losses and times of training steps on a CUDA device, beside PyTorch's on the same device.

    python benchmarks/cuda.py [facula] [torch]

Both frameworks run the same lines on the same numbers. Losses are compared in float64, those of
models under autocast as they are; a step's time is the wall time of many steps between two
synchronisations, the least of several rounds.
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


def _step(torch: Any, model: Any, loss_of: Any, optimizer: Any, low: str = "") -> Any:
    """`low`: the dtype of autocast; with float16 the loss is scaled."""
    scaler = torch.amp.GradScaler("cuda", enabled=low == "float16")
    dtype = getattr(torch, low or "float16")

    def step() -> Any:
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=dtype, enabled=bool(low)):
            loss = loss_of(model)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return loss.detach()

    return step


def _placed(torch: Any, model: Any, double: bool) -> Any:
    return (model.double() if double else model).to("cuda")


def resnet(torch: Any, double: bool = False, low: str = "") -> Any:
    """ResNet-18 for 64 images of 32 x 32, SGD with momentum."""
    nn, F = torch.nn, torch.nn.functional

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, n: int, m: int, stride: int) -> None:
            super().__init__()
            self.a = nn.Conv2d(n, m, 3, stride, 1, bias=False)
            self.b = nn.Conv2d(m, m, 3, 1, 1, bias=False)
            self.na, self.nb = nn.BatchNorm2d(m), nn.BatchNorm2d(m)
            self.short = None
            if stride != 1:
                conv = nn.Conv2d(n, m, 1, stride, bias=False)
                self.short = nn.Sequential(conv, nn.BatchNorm2d(m))

        def forward(self, x: Any) -> Any:
            y = self.nb(self.b(F.relu(self.na(self.a(x)))))
            return F.relu(y + (x if self.short is None else self.short(x)))

    torch.manual_seed(0)
    layers: list[Any] = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    for n, m, stride in ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)):
        layers += [Block(n, m, stride), Block(m, m, 1)]
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))
    model = _placed(torch, nn.Sequential(*layers, *head), double)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 3, 32, 32)).astype(np.float64 if double else np.float32)
    x, y = [torch.from_numpy(a).to("cuda") for a in (x, rng.integers(0, 10, 64))]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    return _step(torch, model, lambda m: F.cross_entropy(m(x), y), optimizer, low)


def resnet_f16(torch: Any, double: bool = False) -> Any:
    """ResNet-18 under autocast in float16, with scaled losses."""
    return resnet(torch, low="float16")


def gpt(torch: Any, double: bool = False, low: str = "") -> Any:
    """A GPT of 6 layers of 384, 6 heads, 4 texts of 256 characters, AdamW."""
    nn, F = torch.nn, torch.nn.functional

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, n: int) -> None:
            super().__init__()
            self.n1, self.n2 = nn.LayerNorm(n), nn.LayerNorm(n)
            self.qkv, self.out = nn.Linear(n, 3 * n), nn.Linear(n, n)
            self.up, self.down = nn.Linear(n, 4 * n), nn.Linear(4 * n, n)

        def forward(self, x: Any) -> Any:
            b, t, c = x.shape
            q, k, v = [
                a.view(b, t, 6, c // 6).transpose(1, 2) for a in self.qkv(self.n1(x)).split(c, 2)
            ]
            a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(a.transpose(1, 2).reshape(b, t, c))
            return x + self.down(F.gelu(self.up(self.n2(x))))

    class Model(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.token, self.place = nn.Embedding(65, 384), nn.Embedding(256, 384)
            self.blocks = nn.Sequential(*[Block(384) for _ in range(6)])
            self.norm, self.head = nn.LayerNorm(384), nn.Linear(384, 65, bias=False)

        def forward(self, i: Any) -> Any:
            x = self.token(i) + self.place(torch.arange(i.shape[1], device=i.device))
            return self.head(self.norm(self.blocks(x)))

    torch.manual_seed(0)
    model = _placed(torch, Model(), double)
    rng = np.random.default_rng(0)
    i, y = [torch.from_numpy(rng.integers(0, 65, (4, 256))).to("cuda") for _ in range(2)]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)

    def loss_of(m: Any) -> Any:
        return F.cross_entropy(m(i).view(-1, 65), y.view(-1))

    return _step(torch, model, loss_of, optimizer, low)


def gpt_bf16(torch: Any, double: bool = False) -> Any:
    """The GPT under autocast in bfloat16."""
    return gpt(torch, low="bfloat16")


def lstm(torch: Any, double: bool = False) -> Any:
    """Two layers of an LSTM of 256, 32 texts of 64 characters, Adam."""
    nn, F = torch.nn, torch.nn.functional

    class Model(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Embedding(65, 128)
            self.lstm = nn.LSTM(128, 256, 2, batch_first=True)
            self.head = nn.Linear(256, 65)

        def forward(self, i: Any) -> Any:
            return self.head(self.lstm(self.token(i))[0])

    torch.manual_seed(0)
    model = _placed(torch, Model(), double)
    rng = np.random.default_rng(0)
    i, y = [torch.from_numpy(rng.integers(0, 65, (32, 64))).to("cuda") for _ in range(2)]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def loss_of(m: Any) -> Any:
        return F.cross_entropy(m(i).view(-1, 65), y.view(-1))

    return _step(torch, model, loss_of, optimizer)


_ALL = (two_layers, mlp, mlp_norm, large, resnet, resnet_f16, gpt, gpt_bf16, lstm)
MODELS = {f.__name__: f for f in _ALL}
BIG = ("large", "resnet", "resnet_f16", "gpt", "gpt_bf16", "lstm")  # fewer steps


def losses(torch: Any, name: str, steps: int) -> list[float]:
    """Losses in float64."""
    step = MODELS[name](torch, True)
    return [float(step()) for _ in range(steps)]


def timed(torch: Any, name: str) -> tuple[float, float]:
    """Microseconds of a step: until the device has done it, and until the call returns."""
    step = MODELS[name](torch)
    steps = STEPS // 5 if name in BIG else STEPS
    for _ in range(20):
        step()
    done, returned = [], []
    for _ in range(ROUNDS):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(steps):
            step()
        middle = time.perf_counter()
        torch.cuda.synchronize()
        done.append(time.perf_counter() - begin)
        returned.append(middle - begin)
    return min(done) / steps * 1e6, min(returned) / steps * 1e6


def main() -> None:
    """Compare what is asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("frameworks", nargs="*", default=["facula", "torch"])
    parser.add_argument("--models", default=",".join(MODELS))
    args = parser.parse_args()
    found = {name: importlib.import_module(name) for name in args.frameworks}
    for name in args.models.split(","):
        count = 20 if name in BIG else 100
        series = {f: losses(m, name, count) for f, m in found.items() if name != "large"}
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
