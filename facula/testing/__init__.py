"""Comparing results. Source: https://pytorch.org/docs/stable/testing.html"""

from __future__ import annotations

from facula.errors import honest
from facula.testing._comparison import assert_allclose, assert_close
from facula.testing._creation import make_tensor

__all__ = ["assert_allclose", "assert_close", "make_tensor"]
__getattr__ = honest(__name__)
