"""`torch.utils.deterministic`: the switch for memory that nothing was written to.

Source: https://docs.pytorch.org/docs/stable/deterministic.html
"""

from __future__ import annotations

from facula.errors import honest

# Remembered: memory that nothing was written to reads as zeros here, in every run.
fill_uninitialized_memory = True

__getattr__ = honest(__name__)
