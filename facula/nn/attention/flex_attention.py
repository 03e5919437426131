"""Attention with a function of each score: not in Facula, and it says so.

Source: https://pytorch.org/docs/stable/nn.attention.flex_attention.html
"""

from __future__ import annotations

from typing import Any, NoReturn

from facula.errors import honest, refuse

_DEFAULT_SPARSE_BLOCK_SIZE = 128


class BlockMask:
    """A mask in blocks: can't be made, so `isinstance` says False."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        refuse("torch.nn.attention.flex_attention.BlockMask", "flex attention is not in Facula")


class AuxOutput:
    """What flex attention returns besides its result: can't be made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        refuse("torch.nn.attention.flex_attention.AuxOutput", "flex attention is not in Facula")


class AuxRequest(AuxOutput):
    """What flex attention is asked to return besides its result: can't be made."""


def flex_attention(*args: Any, **kwargs: Any) -> NoReturn:
    """NotImplementedError: use `scaled_dot_product_attention`."""
    refuse("flex_attention", "it is not in Facula; use scaled_dot_product_attention")


def create_block_mask(*args: Any, **kwargs: Any) -> NoReturn:
    """NotImplementedError: there are no masks in blocks."""
    refuse("create_block_mask", "flex attention is not in Facula")


create_mask = and_masks = or_masks = noop_mask = create_block_mask
__getattr__ = honest(__name__)
