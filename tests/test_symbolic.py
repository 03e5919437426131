"""Functions of symbolic numbers, on numbers."""

from __future__ import annotations

import pytest

import facula as torch


def test_numbers():
    assert (torch.sym_int(2.7), torch.sym_int(-2.7)) == (2, -2)
    assert repr(torch.sym_float(2)) == "2.0"
    assert torch.sym_not(False) is True
    assert repr((torch.sym_max(1, 2.0), torch.sym_max(3, 2.0))) == "(2.0, 3.0)"
    assert repr((torch.sym_min(1, 2), torch.sym_min(1, 2.0))) == "(1, 1.0)"
    assert torch.sym_sum([1, 2, 3]) == 6
    assert torch.sym_sqrt(4) == 2.0
    assert torch.sym_ite(True, 1, 2) == 1
    with pytest.raises(AssertionError):
        torch.sym_ite(1, 1, 2)


def test_classes():
    assert not isinstance(3, torch.SymInt)
    assert not isinstance(3.0, (torch.SymFloat, torch.SymBool))
    with pytest.raises(NotImplementedError, match="SymInt"):
        torch.SymInt(3)


def test_questions_about_tensors_and_settings():
    x = torch.ones(2)
    assert torch.is_storage(x.untyped_storage())
    assert not torch.is_storage(x)
    assert not torch.is_distributed(x)
    assert not torch.is_inference(x)
    with torch.inference_mode():
        assert torch.is_inference(torch.ones(2)) == torch.ones(2).is_inference()
    assert not torch.is_anomaly_enabled()
    torch.set_anomaly_enabled(True)
    try:
        assert torch.is_anomaly_enabled()
        assert torch.is_anomaly_check_nan_enabled()
    finally:
        torch.set_anomaly_enabled(False)
    assert not torch.is_anomaly_enabled()
    with pytest.warns(UserWarning, match=r"torch\.range is deprecated"):
        assert torch.range(1, 4).tolist() == [1.0, 2.0, 3.0, 4.0]
