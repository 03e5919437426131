"""The shapes and dtypes of a graph's values, noted in `node.meta["tensor_meta"]`.

Source: https://pytorch.org/docs/stable/fx.html (the interface)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import facula
from facula.errors import honest
from facula.fx.interpreter import Interpreter
from facula.fx.node import Node, map_aggregate

__all__ = ["ShapeProp", "TensorMetadata"]


class TensorMetadata(NamedTuple):
    """What is known of a tensor without its values."""

    shape: facula.Size
    dtype: facula.dtype
    requires_grad: bool
    stride: tuple[int, ...]
    memory_format: facula.memory_format | None
    is_quantized: bool
    qparams: dict[str, Any]


def _extract_tensor_metadata(result: facula.Tensor, include_contiguity: bool = True) -> Any:
    formats = (facula.contiguous_format, facula.channels_last, facula.channels_last_3d)
    lies = None
    if include_contiguity:
        lies = next((f for f in formats if result.is_contiguous(memory_format=f)), None)
    return TensorMetadata(
        result.shape, result.dtype, result.requires_grad, result.stride(), lies, False, {}
    )


class ShapeProp(Interpreter):
    """Runs a graph module with example values and notes what each node gives.

    ShapeProp(traced).propagate(torch.randn(2, 3))
    """

    def run_node(self, n: Node) -> Any:
        """The node's value; its shape and type are noted."""
        result = super().run_node(n)
        found = False

        def look(x: Any) -> Any:
            nonlocal found
            if not isinstance(x, facula.Tensor):
                return x
            found = True
            return _extract_tensor_metadata(x)

        meta = map_aggregate(result, look)
        if found:
            n.meta["tensor_meta"] = meta
        n.meta["type"] = type(result)
        return result

    def propagate(self, *args: Any) -> Any:
        """Run the graph with these values."""
        return super().run(*args)


__getattr__ = honest(__name__)
