"""What Jupyter shows of tensors, modules and autograd graphs, and `%load_ext facula`.

`summary(module, ...)` and `graph(tensor)` work everywhere: printed, they are text. A tensor and a
module show themselves in a notebook; `print` and `repr` are PyTorch's. Whatever is shown is escaped
and bounded, and only a tensor's own values are computed for it.
"""

from __future__ import annotations

from typing import Any

from facula.notebook.graph import Graph, graph
from facula.notebook.summary import Summary, summary

__all__ = [
    "Graph",
    "Summary",
    "graph",
    "load_ipython_extension",
    "summary",
    "unload_ipython_extension",
]


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext facula`: from now on `import torch` gives Facula in this notebook."""
    from facula import run

    run.install()


def unload_ipython_extension(shell: Any) -> None:
    """`%unload_ext facula`: `torch` is nobody's name again."""
    from facula import run

    run.uninstall()
