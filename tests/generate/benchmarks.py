"""The losses of the benchmarks' programs under PyTorch.

python tests/generate/benchmarks.py    # writes tests/data/benchmarks.json; with PyTorch for the CPU
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks import programs_torch  # noqa: E402
from benchmarks.worker import CHECK  # noqa: E402
from benchmarks.workloads import WORKLOADS  # noqa: E402


def main() -> None:
    """Run every workload for as many steps as the peers are compared after."""
    programs_torch.configure("torch", 1)
    losses = {
        name: programs_torch.value(programs_torch.BUILDERS[name]()(CHECK)) for name in WORKLOADS
    }
    out = ROOT / "tests" / "data" / "benchmarks.json"
    out.write_text(json.dumps(losses, indent=1) + "\n")


if __name__ == "__main__":
    main()
