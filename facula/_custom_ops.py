"""Operators that libraries bring, under the name of old: see `torch.library`."""

from __future__ import annotations

from facula.errors import honest
from facula.library import custom_op, register_fake

impl_abstract = register_fake
__all__ = ["custom_op", "impl_abstract"]
__getattr__ = honest(__name__)
