"""How modules are converted: whether parameters are made anew, or swapped, by `module.to(...)`.

Source: https://docs.pytorch.org/docs/stable/future_mod.html
"""

from __future__ import annotations

from facula.errors import honest

__all__ = [
    "get_overwrite_module_params_on_conversion",
    "get_swap_module_params_on_conversion",
    "set_overwrite_module_params_on_conversion",
    "set_swap_module_params_on_conversion",
]

_overwrite = _swap = False


def set_overwrite_module_params_on_conversion(value: bool) -> None:
    """Let a conversion assign new parameters to a module, where it changes those that are there."""
    global _overwrite
    _overwrite = value


def get_overwrite_module_params_on_conversion() -> bool:
    """Whether a conversion assigns new parameters."""
    return _overwrite


def set_swap_module_params_on_conversion(value: bool) -> None:
    """Let conversions and `load_state_dict` swap parameters with what is to be in their place."""
    global _swap
    _swap = value


def get_swap_module_params_on_conversion() -> bool:
    """Whether conversions and `load_state_dict` swap parameters."""
    return _swap


__getattr__ = honest(__name__)
