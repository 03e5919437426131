"""Programs for PyTorch's mobile runtime: not in Facula, and it says so.

The module is here because programs import it beside other ways of export that they don't take.
"""

from __future__ import annotations

from typing import Any, NoReturn

from facula.errors import honest, refuse

__all__ = ["optimize_for_mobile"]


def optimize_for_mobile(*args: Any, **kwargs: Any) -> NoReturn:
    """NotImplementedError: there is no mobile runtime to export to."""
    refuse("torch.utils.mobile_optimizer.optimize_for_mobile", "export is not in Facula")


__getattr__ = honest(__name__)
