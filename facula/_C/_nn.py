"""What libraries ask of PyTorch's compiled part of `nn`."""

from __future__ import annotations

from typing import Any

from facula.errors import honest


def _parse_to(*args: Any, **kwargs: Any) -> tuple[Any, Any, bool, Any]:
    """The device, dtype, non_blocking and memory_format that a call of `to` asks for."""
    from facula.nn.modules.module import _parse_to

    return _parse_to(args, kwargs)


_FUNCTIONS = frozenset((
    *("avg_pool2d", "avg_pool3d", "elu_", "gelu", "hardtanh_", "leaky_relu_", "linear", "one_hot"),
    *("scaled_dot_product_attention", "softplus", "softshrink"),
))  # fmt: skip
_missing = honest(__name__)


def __getattr__(name: str) -> Any:
    from facula.nn import functional

    return getattr(functional, name) if name in _FUNCTIONS else _missing(name)
