"""Lists and dictionaries of parameters."""

from __future__ import annotations

from collections import OrderedDict

import facula as torch
from facula.nn import Parameter, ParameterDict


def test_entries_of_plain_dictionaries_come_in_the_order_of_their_keys():
    """As in PyTorch: the order of parameters is that of an optimiser's state."""
    one = Parameter(torch.ones(1))
    d = ParameterDict({"b": one, "a": one})
    assert list(d) == ["a", "b"] and [k for k, _ in d.named_parameters()] == ["a"]
    d.update({"z": Parameter(torch.ones(1)), "y": Parameter(torch.ones(1))})
    assert list(d) == ["a", "b", "y", "z"]
    assert [k for k, _ in d.named_parameters()] == ["a", "y", "z"]
    d.update(OrderedDict([("q", one), ("p", one)]))
    d.update([("s", one), ("r", one)])
    assert list(d) == ["a", "b", "y", "z", "q", "p", "s", "r"]
    assert list(d | ParameterDict({"d": one, "c": one}))[-2:] == ["c", "d"]
