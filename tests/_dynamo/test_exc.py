"""Programs catch the errors of a tracer that never runs here."""

import pytest

import facula as torch
from facula._dynamo import exc


def test_its_errors_can_be_caught():
    with pytest.raises(RuntimeError):
        raise exc.Unsupported("x")
    for kind in (exc.Unsupported, exc.BackendCompilerFailed, exc.UserError):
        assert issubclass(kind, exc.TorchDynamoException)


def test_its_cache_has_no_limit():
    with torch._dynamo.utils.disable_cache_limit():
        assert not torch._dynamo.utils.is_compile_supported("cpu")
