"""Files that TensorBoard shows.

Source: https://pytorch.org/docs/stable/tensorboard.html
"""

from __future__ import annotations

from facula.errors import honest
from facula.utils.tensorboard.writer import FileWriter, SummaryWriter

__all__ = ["FileWriter", "SummaryWriter"]
__getattr__ = honest(__name__)
