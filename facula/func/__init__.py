"""Functions of functions: derivatives and batches.

Source: https://docs.pytorch.org/docs/stable/func.html
"""

from __future__ import annotations

from facula.errors import honest
from facula.func.derivatives import (
    grad,
    grad_and_value,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    linearize,
    vjp,
)
from facula.func.vmap import vmap

__all__ = [
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "vjp",
    "vmap",
]
__getattr__ = honest(__name__)
