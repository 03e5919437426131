"""Store how PyTorch prints tensors under each set of options: python tests/generate/printing.py

Run with a Python that has torch 2.13; needs nothing of Facula.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

OUT = Path(__file__).resolve().parents[1] / "data" / "printing.json"
OPTIONS = [
    {},
    {"precision": 2},
    {"precision": 8},
    {"precision": 0},
    {"sci_mode": True},
    {"sci_mode": False},
    {"threshold": 5},
    {"threshold": 0, "edgeitems": 1},
    {"threshold": 3, "edgeitems": 2, "linewidth": 40},
    {"linewidth": 30},
    {"linewidth": 200, "precision": 6},
    {"profile": "short"},
    {"profile": "full"},
    {"profile": "short", "precision": 3, "sci_mode": True},
]
TENSORS = [
    "torch.tensor(3.14159)",
    "torch.tensor(7)",
    "torch.tensor(True)",
    "torch.tensor([])",
    "torch.zeros(2, 0, 3)",
    "torch.zeros(0, dtype=torch.int64)",
    "torch.tensor([1.0, 2.0, 3.0])",
    "torch.tensor([1.5, 2.25, -3.125])",
    "torch.tensor([1e-5, 1.0])",
    "torch.tensor([1e8, 1.0])",
    "torch.tensor([1e8, 2e9])",
    "torch.tensor([1e-3, 999.0])",
    "torch.tensor([123456.789, 0.001])",
    "torch.tensor([float('nan'), float('inf'), -float('inf'), 1.0])",
    "torch.tensor([float('nan'), float('inf')])",
    "torch.tensor([0.0, -0.0])",
    "torch.tensor([1e-40, 1e38])",
    "torch.tensor([1, -20, 300])",
    "torch.tensor([[True, False], [False, True]])",
    "torch.arange(12).reshape(3, 4)",
    "torch.arange(24.0).reshape(2, 3, 4) / 7",
    "torch.arange(1001)",
    "torch.arange(1100.0).reshape(10, 110)",
    "torch.arange(1200).reshape(2, 20, 30)",
    "torch.arange(30.0)",
    "torch.arange(30) * 1000",
    "torch.tensor([1.5, -2.0], dtype=torch.float64)",
    "torch.tensor([1.1, 2.2, 3.3], dtype=torch.float16)",
    "torch.tensor([1.1, 2.2, 3.3], dtype=torch.bfloat16)",
    "torch.tensor([1, 2], dtype=torch.uint8)",
    "torch.tensor([1 + 2j, -0.5 - 0.25j])",
    "torch.tensor([1e-6 + 2j, 3 - 1e7j])",
    "torch.tensor([[1 + 2j], [3.5 + 0j]], dtype=torch.complex128)",
    "torch.tensor([1.0, 2.0], requires_grad=True)",
    "torch.ones(2, requires_grad=True) * 3",
    "torch.nn.Parameter(torch.tensor([[0.5]]))",
    "torch.ones(1, 1, 1, 1, 5)",
    "torch.tensor([0.1234567891234, 12.3456789], dtype=torch.float64)",
    "torch.eye(3)",
    "torch.tensor([[1e-5, 1.0, 1e5], [1.0, 10.0, 100.0]])",
]


def main() -> None:
    """Write tests/data/printing.json."""
    texts = []
    for options in OPTIONS:
        torch.set_printoptions(profile="default")
        torch.set_printoptions(**options)
        texts.append([repr(eval(t)) for t in TENSORS])
    data = {"options": OPTIONS, "tensors": TENSORS, "texts": texts}
    OUT.write_text(json.dumps(data, indent=0) + "\n")


if __name__ == "__main__":
    main()
