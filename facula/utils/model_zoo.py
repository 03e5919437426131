"""Weights from an address, as it was spelled before `torch.hub`."""

from __future__ import annotations

from typing import Any

from facula import hub
from facula.errors import honest
from facula.hub import load_state_dict_from_url

load_url = load_state_dict_from_url
_missing = honest(__name__)


def __getattr__(name: str) -> Any:
    if name == "tqdm":
        return getattr(hub, name)
    return _missing(name)
