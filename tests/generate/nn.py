"""Store what PyTorch gives for the cases marked `@agrees`: python tests/generate/nn.py [file ...]

Run with a Python that has torch 2.13; needs nothing of Facula.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import json
import sys
import types
import warnings
from pathlib import Path
from unittest.mock import MagicMock

import torch

TESTS = Path(__file__).resolve().parent.parent
# In place of this folder, where nn.py is this file.
sys.path[0] = str(TESTS)


class StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """What the test files import beside torch; only the cases in them are run here."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("pytest", "facula", "hypothesis"):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return MagicMock()

    def exec_module(self, module):
        pass


sys.meta_path.insert(0, StandIns())

from nn import stored  # noqa: E402


def main(files: list[str]) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    paths = [Path(f) for f in files] or sorted(TESTS.rglob("test_*.py"))
    for path in paths:
        if "stored import" not in path.read_text():
            continue
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        functions = [v for v in vars(module).values() if isinstance(v, types.FunctionType)]
        cases = [f.case for f in functions if hasattr(f, "case")]
        if not cases:
            continue
        results = {case.__name__: stored.run(case, torch) for case in cases}
        out = stored.data_file(path)
        rows = [f"{json.dumps(name)}: {json.dumps(r)}" for name, r in results.items()]
        out.write_text("{\n" + ",\n".join(rows) + "\n}\n")
        print(f"{out.name}: {len(results)} cases, {out.stat().st_size / 1000:.1f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
