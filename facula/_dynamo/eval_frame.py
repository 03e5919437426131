"""Where libraries look for the class of modules that `torch.compile` gives."""

from facula.errors import honest
from facula.optimized import OptimizedModule

__all__ = ["OptimizedModule"]

__getattr__ = honest(__name__)
