"""Branches as functions, where programs found them first."""

from facula._higher_order_ops.control import cond
from facula.errors import honest

__all__ = ["cond"]
__getattr__ = honest(__name__)
