"""How a converted value gets into a module: in place, as a new parameter, or by a swap.

`facula.__future__` says which.
"""

from __future__ import annotations

import facula
from facula.sharing import alone
from facula.utils.swapping import swap_tensors

from ..parameter import Parameter


def convert(module, name: str, param, fn) -> None:
    """Let a module's parameter, and its gradient, be ``fn`` of what they are."""
    with facula.no_grad():
        new = fn(param)
        grad = None if param.grad is None else fn(param.grad)
    if grad is not None:
        grad.requires_grad_(param.grad.requires_grad)
    if facula.__future__.get_swap_module_params_on_conversion():
        param.grad = None
        swapped(f"_apply(): Couldn't swap {type(module).__name__}.{name}", param, new)
    elif facula.__future__.get_overwrite_module_params_on_conversion():
        param = module._parameters[name] = Parameter(new, param.requires_grad)
    else:
        param.data = new
        del new
        alone(param)
    if grad is not None:
        param.grad = grad


def swapped(what: str, param, new) -> None:
    """Swap a parameter with what is to be in its place."""
    if isinstance(param, Parameter) and not isinstance(new, Parameter):
        new = Parameter(new, requires_grad=param.requires_grad)
    try:
        swap_tensors(param, new.requires_grad_(param.requires_grad))
    except RuntimeError as error:
        raise RuntimeError(what) from error
