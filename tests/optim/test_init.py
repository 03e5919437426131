"""The names of facula.optim."""

import pytest

import facula as torch


def test_names():
    for name in torch.optim.__all__:
        assert getattr(torch.optim, name) is not None
    assert torch.optim.Adam.__module__.startswith("facula.optim")


def test_unknown_name():
    with pytest.raises(AttributeError, match=r"torch\.optim\.Lion is not in Facula"):
        torch.optim.Lion
