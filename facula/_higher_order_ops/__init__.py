"""Operations that take functions, each in a module of its name, where libraries look for them."""

from facula.errors import honest

__getattr__ = honest(__name__)
