"""Weights from an address, as it was spelled before `torch.hub`."""

from __future__ import annotations

from facula.errors import honest
from facula.hub import load_state_dict_from_url

load_url = load_state_dict_from_url
__getattr__ = honest(__name__)
