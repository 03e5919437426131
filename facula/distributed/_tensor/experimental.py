"""`torch.distributed.tensor.experimental`, under its old name."""

from facula.distributed.tensor.experimental import *  # noqa: F403
from facula.distributed.tensor.experimental import __getattr__ as __getattr__
