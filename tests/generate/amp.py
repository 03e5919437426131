"""Store what PyTorch does under autocast and with its GradScaler: python tests/generate/amp.py

Run with a Python that has torch 2.13; needs nothing of Facula.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS / "amp"))
import autocast_cases as cases  # noqa: E402


def operations() -> dict[str, list[str]]:
    """For each operation the dtypes that float32 and bfloat16 arguments give ('' for an error)."""
    check = cases.checker()
    framework = check.FW("torch")
    out = {}
    for path in sorted((cases.CONFORMANCE / "dev").glob("*.zip")):
        archive = check.Archive(path)
        case = cases.first_case(check, archive)
        if case is None:
            continue
        row = []
        for low in (False, True):
            try:
                row.append(cases.run(check, framework, archive, case, low))
            except Exception:
                row.append("")
        out[path.stem] = row
    return out


def training() -> dict[str, list[float]]:
    """Losses and gradients of small networks trained under autocast, and what a scaler does."""
    out: dict[str, list[float]] = {}
    for name in ("bfloat16", "float16"):
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.GELU(), torch.nn.Linear(16, 4))
        x, y = torch.randn(32, 8), torch.randn(32, 4)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=3)
        losses, scales = [], []
        for i in range(10):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=getattr(torch, name)):
                loss = torch.nn.functional.mse_loss(net(x), y)
            scaler.scale(loss).backward()
            if i == 5:  # a step that is skipped
                net[0].weight.grad[0, 0] = float("inf")
            scaler.step(optimizer)
            scaler.update()
            losses.append(loss.item())
            scales.append(scaler.get_scale())
        out[f"{name} losses"], out[f"{name} scales"] = losses, scales
        out[f"{name} weight"] = net[0].weight.detach().flatten()[:6].tolist()
    return out


def main() -> None:
    """Write tests/data/amp.json."""
    text = json.dumps({"operations": operations(), "training": training()}, indent=0)
    (TESTS / "data" / "amp.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
