"""Orders of arguments that PyTorch takes from old programs: `p.add_(-rate, g)`.

The factor stands before the tensors that it belongs to. Such a call fails here first, as it does
not fit the operation's signature, and is made again with the factors by their names.
"""

from __future__ import annotations

import warnings
from typing import Any

from facula.ops.promotion import NUMBERS
from facula.tensor import Tensor

_Orders = dict[str, tuple[str, ...]]
_SUM: _Orders = {"tn?": ("alpha",)}
_PRODUCT: _Orders = {"tntt": ("value",)}
_MATRICES: _Orders = {
    "ntntt": ("beta", "alpha"),
    "nttt": ("beta",),
    "tnntt": ("beta", "alpha"),  # of a method
    "tntt": ("beta",),
}
ORDERS: dict[str, _Orders] = {
    **dict.fromkeys(("add", "sub"), _SUM),
    **dict.fromkeys(("addcmul", "addcdiv"), _PRODUCT),
    **dict.fromkeys(("addmm", "addmv", "addr", "baddbmm", "addbmm"), _MATRICES),
}
_told: list[bool] = []


def _is(kind: str, x: Any) -> bool:
    if kind == "t":
        return isinstance(x, Tensor)
    number = isinstance(x, NUMBERS) or (isinstance(x, Tensor) and x.dim() == 0)
    return number or (kind == "?" and isinstance(x, Tensor))


def reordered(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[list[Any], dict[str, Any]] | None:
    """The arguments in today's order; None where the call is not in an old one."""
    for kinds, names in ORDERS.get(name.removesuffix("_"), {}).items():
        if len(kinds) == len(args) and all([_is(k, x) for k, x in zip(kinds, args)]):
            if not kwargs.keys().isdisjoint(names):
                return None
            factors = [x for k, x in zip(kinds, args) if k == "n"]
            factors = [x.item() if isinstance(x, Tensor) else x for x in factors]
            if not _told:
                _told.append(True)
                old = ", ".join([f"Number {n}" for n in names])
                warnings.warn(
                    f"This overload of {name} is deprecated:\n\t{name}({old}, ...)\n"
                    f"Consider giving {old} by name, after the tensors.",
                    stacklevel=4,
                )
            rest = [x for k, x in zip(kinds, args) if k != "n"]
            return rest, {**kwargs, **dict(zip(names, factors))}
    return None
