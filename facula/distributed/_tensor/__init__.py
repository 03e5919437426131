"""`torch.distributed.tensor`, under its old name."""

from facula.distributed.tensor import *  # noqa: F403
from facula.distributed.tensor import __getattr__ as __getattr__
