"""`torch.export` has names that modules import, and refuses to export."""

from __future__ import annotations

import pytest

from facula import export


def test_dimensions_have_names_and_bounds():
    assert repr(export.Dim("batch")) == "Dim('batch', min=0)"
    a, b = export.dims("a", "b", min=1, max=8)
    assert repr(a) == "Dim('a', min=1, max=8)" and b.__name__ == "b"
    with pytest.raises(AssertionError, match="inconsistent"):
        export.Dim("a", min=3, max=2)


def test_exporting_is_refused_by_name():
    with pytest.raises(NotImplementedError, match=r"torch\.export\.export"):
        export.export(None, ())
    with pytest.raises(AttributeError, match=r"torch\.export\.Something"):
        _ = export.Something
