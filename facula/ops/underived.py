"""Results of operations that PyTorch has no derivative of: a backward pass that meets one fails."""

from __future__ import annotations

from typing import Any

from facula.ops.pointwise import UNDERIVABLE
from facula.tensor import Tensor
from facula.trace.recorder import TLS, flush, record
from facula.values import realise


def underived(name: str, result: Any, *inputs: Any) -> Any:
    """The result, which requires grad where an input does, and whose gradient is refused.

    Without this it would be a constant, and a pass silently lack what PyTorch refuses.
    """
    if not TLS.r.grad:
        return result
    asks = [t for t in inputs if isinstance(t, Tensor) and t.requires_grad]
    if not asks:
        return result
    from facula.autograd.engine import with_history

    # Of the result's shape, which its gradients have, and with the history of the input.
    link = asks[0].reshape(-1)[:1].sum().to(result.dtype).expand(result.shape)
    past = record(UNDERIVABLE, (link,), name)
    realise(past)
    realise(result)
    flush()
    return with_history(result, past._gfn)
