"""`torch.distributed.fsdp`, under its first name."""

from facula.errors import honest

__getattr__ = honest(__name__)
