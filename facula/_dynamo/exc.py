"""Errors of PyTorch's tracer of Python code, for programs that catch them: it never runs."""

from __future__ import annotations

from facula.errors import honest

__all__ = ["BackendCompilerFailed", "TorchDynamoException", "Unsupported", "UserError"]


class TorchDynamoException(RuntimeError):
    """What all of them are."""


class Unsupported(TorchDynamoException):
    """Python code that could not be traced."""


class BackendCompilerFailed(TorchDynamoException):
    """A compiler that failed."""


class UserError(Unsupported):
    """Code that can't be traced by its nature."""


__getattr__ = honest(__name__)
