"""The base class of modules written for TorchScript."""

from __future__ import annotations

from facula.nn import Module


class ScriptModule(Module):
    """A module whose methods are marked with `script_method`: a plain module here."""


ScriptModule.__module__ = "torch.jit"
