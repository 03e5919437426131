"""Forward-mode derivatives: dual tensors, which have a tangent.

Source: https://pytorch.org/docs/stable/autograd.html#forward-mode-automatic-differentiation

A dual tensor is an alias of its primal at a place of its own in the recorded graph. A tangent is
computed when it is asked for, from what leads to these places (`products.py`). So gradients are
recorded throughout a level, also where the program switches recording off, and a gradient that is
computed inside a level can be differentiated.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from facula.autograd.edges import node_at
from facula.autograd.products import PushForward, reach
from facula.batches import ACTIVE, all_lowered, all_raised
from facula.errors import missing_name
from facula.func.tracking import Open, leads_elsewhere, place
from facula.tensor import Tensor
from facula.trace.recorder import TLS, set_grad
from facula.utils._contextlib import _DecoratorContextManager

__all__ = [
    "UnpackedDualTensor",
    "dual_level",
    "enter_dual_level",
    "exit_dual_level",
    "make_dual",
    "unpack_dual",
]


class UnpackedDualTensor(NamedTuple):
    """The two parts of a dual tensor."""

    primal: Tensor
    tangent: Tensor | None


class _Level:
    """What is dual since `enter_dual_level`.

    Places and tangents have the batches of the vmaps under way as dimensions.
    """

    def __init__(self) -> None:
        self.places: list[Open] = []
        self.tangents: list[Any] = []
        self.duals: list[tuple[Any, Any]] = []
        self.before = TLS.r.grad


def enter_dual_level() -> int:
    """Begin a level, in which tensors can be made dual. There is one at a time: level 0."""
    if TLS.dual is not None:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    TLS.dual = _Level()
    set_grad(True)
    return 0


def exit_dual_level(*, level: int | None = None) -> None:
    """End the level: nothing is dual any more."""
    current = TLS.dual
    if current is None:
        raise RuntimeError("Dual level must be a positive number.")
    if level not in (None, 0):
        raise RuntimeError(
            "Trying to exit a forward AD level that was not the last one that was created. This is "
            "not supported."
        )
    TLS.dual = None
    set_grad(current.before)


class dual_level(_DecoratorContextManager):
    """A level for the time of a block, or of a decorated function."""

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, *exc: object) -> None:
        exit_dual_level()


def make_dual(tensor: Any, tangent: Any, *, level: int | None = None) -> Any:
    """An alias of a tensor that has a tangent, which what is computed of it has then too."""
    current = TLS.dual
    if current is None or (level is not None and level < 0):
        raise RuntimeError(
            "Trying to create a dual Tensor for forward AD but no level exists, make sure to "
            "enter_dual_level() first."
        )
    for what, t in (("primal", tensor), ("tangent", tangent)):
        if not (t.is_floating_point() or t.is_complex()):
            raise ValueError(f"Expected {what} to be floating point or complex, but got: {t.dtype}")
    if tensor.shape != tangent.shape:
        raise RuntimeError(
            "Trying to set a forward gradient that has a different size than that of the original "
            f"Tensor, this is not supported. Tensor is of size {list(tensor.shape)} while the "
            f"given forward gradient is of size {list(tangent.shape)}."
        )
    levels = list(ACTIVE.levels)
    lowered = all_lowered(tensor, levels)
    if reach(lowered, [o.edge for o in current.places]):
        raise RuntimeError(
            "Making a dual Tensor based on a Tensor that already has a forward gradient at the "
            "same level 0 is not supported."
        )
    at = place(lowered, True)
    dual = all_raised(at, levels)
    current.places.append(Open(at))
    current.tangents.append(all_lowered(tangent, levels))
    current.duals.append((dual, tangent))
    return dual


def unpack_dual(tensor: Any, *, level: int | None = None) -> UnpackedDualTensor:
    """A tensor's value and its tangent, which is None where it depends on no dual tensor.

    NotImplementedError after a dual tensor was written to whose primal requires grad.
    """
    current = TLS.dual
    if current is None or (level is not None and level < 0):
        return UnpackedDualTensor(tensor, None)
    tangents = current.tangents
    for o in current.places:
        o.check("unpack_dual")
    places = [o.edge for o in current.places]
    levels = list(ACTIVE.levels)
    y = all_lowered(tensor, levels)
    if not reach(y, places):
        return UnpackedDualTensor(tensor, None)
    again = current.before and leads_elsewhere([y], places)
    primal = tensor.view_as(tensor) if again else tensor.detach()
    for edge, (dual, tangent) in zip(places, current.duals, strict=True):
        if dual is tensor and y._edge() is node_at(edge):
            return UnpackedDualTensor(primal, tangent)
    more = current.before and (again or any([v.requires_grad for v in tangents]))
    vs = [v.to(o.at.dtype) for v, o in zip(tangents, current.places, strict=True)]
    (found,) = PushForward([y], places)(vs, create_graph=more)
    if found is None:
        return UnpackedDualTensor(primal, None)
    return UnpackedDualTensor(primal, all_raised(found if more else found.detach(), levels))


def __getattr__(name: str) -> Any:
    if name == "_current_level":  # by which programs find out whether they are inside a level
        return -1 if TLS.dual is None else 0
    raise missing_name(__name__, name)
