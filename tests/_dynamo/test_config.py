"""The settings of a tracer that never runs are read and written as those of a module."""

import facula as torch
import facula._dynamo.config
from facula._dynamo import config


def test_settings_are_remembered(monkeypatch):
    assert torch._dynamo.config is config and config.recompile_limit == config.cache_size_limit == 8
    monkeypatch.setattr(facula._dynamo.config, "cache_size_limit", 64)
    assert torch._dynamo.config.cache_size_limit == 64 and not config.suppress_errors
