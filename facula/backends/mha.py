"""The fast path of `MultiheadAttention` and of encoders: results are the same without it, but for
what `nn.TransformerEncoder` returns for padding."""

from __future__ import annotations

from facula.errors import honest

_enabled = [True]


def get_fastpath_enabled() -> bool:
    """Whether inference may leave out what the masks say is padding."""
    return _enabled[0]


def set_fastpath_enabled(value: bool) -> None:
    """Allow or forbid that."""
    _enabled[0] = value


__getattr__ = honest(__name__)
