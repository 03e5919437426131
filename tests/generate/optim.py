"""Store what PyTorch gives for the tables in tests/optim: python tests/generate/optim.py

Run with a Python that has torch 2.13; needs nothing of Facula. The tables are in the test files;
they are imported with stand-ins for pytest and Facula.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import warnings
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import torch

TESTS = Path(__file__).resolve().parent.parent
sys.path[0] = str(TESTS)  # in the place of this folder, where `optim` is this file
for name in ("pytest", "facula"):
    sys.modules.setdefault(name, MagicMock())

from optim import stored  # noqa: E402


def load(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    arrays: dict[str, np.ndarray] = {}
    structures, states, minima = {}, {}, {}
    for path in sorted((TESTS / "optim").rglob("test_*.py")):
        if not any(f"\n{table} = " in path.read_text() for table in ("RUNS", "CASES", "MINIMA")):
            continue
        module = load(path)
        optimiser = getattr(module, "OPTIMISER", None)
        for label, options in getattr(module, "RUNS", {}).items():
            for dtype in stored.dtypes_of(optimiser):
                if not stored.is_run(label, dtype):
                    continue
                key = f"{optimiser}/{label}/{dtype}"
                rows, layout, state = stored.trajectory(torch, optimiser, options, dtype)
                arrays[key] = rows
                if dtype == "float64":
                    structures[f"{optimiser}/{label}"] = layout
                    arrays[f"{key}/state"] = state
        for label, case in getattr(module, "CASES", {}).items():
            rows, state = stored.rates(torch, case)
            arrays[f"rates/{label}"] = np.array(rows)
            states[label] = state
        for label, case in getattr(module, "MINIMA", {}).items():
            minima[label] = module.minimise(torch, *case)
    np.savez_compressed(stored.DATA / "optim.npz", **arrays)
    with open(stored.DATA / "optim.json", "w") as file:
        file.write("{\n")
        parts = {"structure": structures, "schedules": states, "minima": minima}
        for i, (part, rows) in enumerate(parts.items()):
            lines = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in rows.items())
            file.write(f'{"," if i else ""}"{part}": {{\n{lines}\n}}\n')
        file.write("}\n")


if __name__ == "__main__":
    main()
