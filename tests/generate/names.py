"""The public names of PyTorch's namespaces, for docs/make_compatibility.py.

python tests/generate/names.py    # with PyTorch; writes tests/data/pytorch_names.json
"""

from __future__ import annotations

import importlib
import json
import types
from pathlib import Path

import torch

OUT = Path(__file__).resolve().parents[1] / "data" / "pytorch_names.json"
NAMESPACES = """
    torch torch.Tensor torch.nn torch.nn.functional torch.nn.init torch.nn.utils torch.nn.utils.rnn
    torch.nn.parallel torch.nn.attention torch.optim torch.optim.lr_scheduler torch.utils.data
    torch.utils.checkpoint torch.utils.tensorboard torch.utils.cpp_extension torch.autograd
    torch.autograd.functional torch.autograd.graph torch.autograd.forward_ad torch.func torch.amp
    torch.linalg torch.fft torch.special torch.distributions torch.sparse torch.nested torch.random
    torch.cuda torch.cuda.amp torch.accelerator torch.backends torch.backends.cudnn
    torch.backends.cuda torch.distributed torch.jit torch.hub torch.multiprocessing torch.compiler
    torch.library torch.fx torch.onnx torch.overrides torch.testing torch.profiler torch.mps
    torch.xpu torch.cpu torch.export torch.package torch.quantization torch.futures torch.monitor
"""


def public(name: str) -> list[str]:
    """The names that the namespace means to be used."""
    try:
        space = torch.Tensor if name == "torch.Tensor" else importlib.import_module(name)
    except ImportError:
        return []
    names = getattr(space, "__all__", None)
    names = names if isinstance(names, (list, tuple)) and names else dir(space)
    return sorted(
        n
        for n in set(names)
        if not n.startswith("_") and not isinstance(getattr(space, n, None), types.ModuleType)
    )


def main() -> None:
    """Write the file."""
    found = {name: public(name) for name in NAMESPACES.split()}
    OUT.write_text(json.dumps(found, indent=0) + "\n")


if __name__ == "__main__":
    main()
