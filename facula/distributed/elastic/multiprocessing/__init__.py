"""`torch.distributed.elastic.multiprocessing`: what programs import that may run alone as well."""

from facula.errors import honest

__getattr__ = honest(__name__)
