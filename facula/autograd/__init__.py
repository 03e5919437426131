"""Automatic differentiation. Source: https://pytorch.org/docs/stable/autograd.html"""

from __future__ import annotations

from typing import Any

from facula.autograd.gradcheck import gradcheck, gradgradcheck
from facula.trace.recorder import TLS
from facula.warned import warn

# name -> module: loaded when first used, because the engine and the tensors need each other.
_WHERE = {
    "Function": "facula.autograd.function",
    "SavedTensor": "facula.autograd.saved",
    "Variable": "facula.autograd.variable",
    "backward": "facula.autograd.calls",
    "grad": "facula.autograd.calls",
    "enable_grad": "facula.grad_mode",
    "inference_mode": "facula.grad_mode",
    "is_multithreading_enabled": "facula.grad_mode",
    "no_grad": "facula.grad_mode",
    "set_grad_enabled": "facula.grad_mode",
    "set_multithreading_enabled": "facula.grad_mode",
}
_MODULES = {
    *("anomaly_mode", "forward_ad", "function", "functional", "grad_mode", "graph", "profiler"),
    "variable",
}
__all__ = ["detect_anomaly", "gradcheck", "gradgradcheck", "set_detect_anomaly"]
__all__.extend(_WHERE)


class set_detect_anomaly:
    """Check gradients for NaN, and name the forward line that made one."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        for name, value in (("enabled", mode), ("check_nan", check_nan)):
            if not isinstance(value, bool):
                raise TypeError(
                    f"set_anomaly_enabled(): argument '{name}' must be bool, not "
                    f"{type(value).__name__}"
                )
        self.before = TLS.r.anomaly
        TLS.r.anomaly = mode and check_nan

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exc: object) -> None:
        TLS.r.anomaly = self.before


class detect_anomaly:
    """Inside, a backward that makes NaN raises and names the forward line."""

    def __init__(self, check_nan: bool = True) -> None:
        self.check = check_nan
        warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should "
            "only be enabled for debugging."
        )

    def __enter__(self) -> None:
        self.before = TLS.r.anomaly
        TLS.r.anomaly = self.check

    def __exit__(self, *exc: object) -> None:
        TLS.r.anomaly = self.before


def __getattr__(name: str) -> Any:
    import importlib

    if name in _WHERE:
        return getattr(importlib.import_module(_WHERE[name]), name)
    if name in _MODULES:
        return importlib.import_module("facula.autograd." + name)
    from facula.errors import missing_name

    raise missing_name(__name__, name)
