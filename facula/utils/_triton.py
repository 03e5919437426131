"""What PyTorch's libraries ask about Triton: it is not here."""

from facula.errors import honest


def has_triton() -> bool:
    """False: there is no Triton in Facula."""
    return False


has_triton_package = has_triton
__getattr__ = honest(__name__)
