"""Types for TorchScript's annotations."""

from __future__ import annotations

from typing import Any

from facula.errors import honest


class BroadcastingListCls:
    """A list that may be given as one number: `BroadcastingList2[int]`."""

    def __getitem__(self, types: Any) -> None:
        """Of no meaning outside of TorchScript."""


BroadcastingList1 = BroadcastingListCls()
BroadcastingList2 = BroadcastingListCls()
BroadcastingList3 = BroadcastingListCls()
__getattr__ = honest(__name__)
