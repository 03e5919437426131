"""Types for TorchScript's annotations."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple, Union  # noqa: UP035

from facula.errors import honest

__all__ = [
    "Any",
    "BroadcastingList1",
    "BroadcastingList2",
    "BroadcastingList3",
    "Dict",
    "List",
    "Optional",
    "Tuple",
    "Union",
]


class BroadcastingListCls:
    """A list that may be given as one number: `BroadcastingList2[int]`."""

    def __getitem__(self, types: Any) -> None:
        """Of no meaning outside of TorchScript."""


BroadcastingList1 = BroadcastingListCls()
BroadcastingList2 = BroadcastingListCls()
BroadcastingList3 = BroadcastingListCls()
__getattr__ = honest(__name__)
