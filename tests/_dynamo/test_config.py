"""The settings of a tracer that never runs are read and written as those of a module."""

import pytest

import facula as torch
import facula._dynamo.config
from facula._dynamo import config


def test_settings_are_remembered(monkeypatch):
    assert torch._dynamo.config is config and config.recompile_limit == config.cache_size_limit == 8
    monkeypatch.setattr(facula._dynamo.config, "cache_size_limit", 64)
    assert torch._dynamo.config.cache_size_limit == 64 and not config.suppress_errors


def test_settings_are_others_in_a_block():
    before = config.cache_size_limit
    with config.patch({"cache_size_limit": 2}, suppress_errors=True):
        assert (config.cache_size_limit, config.suppress_errors) == (2, True)
        with config.patch("cache_size_limit", 3):
            assert config.cache_size_limit == 3
        assert config.cache_size_limit == 2
    assert (config.cache_size_limit, config.suppress_errors) == (before, False)

    @config.patch(verbose=True)
    def inside():
        return config.verbose

    assert inside() and not config.verbose
    with pytest.raises(AttributeError, match="no_such_setting"), config.patch(no_such_setting=1):
        pass
