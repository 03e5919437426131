"""`torch.ops` under the name of the module that defines it, which libraries import it from."""

from __future__ import annotations

from facula import ops
from facula.errors import honest

__all__ = ["ops"]
__getattr__ = honest(__name__)
