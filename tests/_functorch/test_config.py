"""The settings of a transformer of graphs that is not there are read and written as a module's."""

import facula as torch
import facula._functorch.config


def test_settings_are_remembered(monkeypatch):
    assert torch._functorch.config.enable_autograd_cache
    monkeypatch.setattr(facula._functorch.config, "enable_autograd_cache", False)
    assert not torch._functorch.config.enable_autograd_cache
