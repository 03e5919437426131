"""The operations, one file a family (see README.md); and `torch.ops`, what libraries bring."""

from __future__ import annotations

import sys
from typing import Any


def __getattr__(name: str) -> Any:
    if name == "load_library" or (not name.startswith("__") and _brought(name)):
        from facula import library

        return library.load_library if name == "load_library" else library.namespace(name)
    from facula.errors import missing_name

    raise missing_name(__name__, name)


def _brought(name: str) -> bool:
    """Whether a library has brought operators under this name; PyTorch's own are "aten"."""
    if name == "aten":
        return True
    library = sys.modules.get("facula.library")
    return library is not None and library.has_namespace(name)
