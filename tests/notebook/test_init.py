"""`%load_ext facula`, as IPython calls it."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import importlib, sys
module = importlib.import_module("facula")      # what %load_ext does
module.load_ipython_extension(None)
import torch
from torch import nn
assert torch is module and nn is module.nn
module.load_ipython_extension(None)             # %reload_ext
module.unload_ipython_extension(None)
assert "torch" not in sys.modules
print("done")
"""


def test_import_torch_gives_facula():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_pytorch_that_is_imported_already_is_refused(tmp_path):
    (tmp_path / "torch.py").write_text("")
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import torch, facula\n"
        "facula.load_ipython_extension(None)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1 and "PyTorch is already imported" in done.stderr
