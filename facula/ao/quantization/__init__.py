"""Quantised networks: not in Facula; what would quantise refuses.

Source: https://pytorch.org/docs/stable/quantization.html
"""

from __future__ import annotations

from typing import Any

from facula.errors import honest, refuse, refusing
from facula.nn import Module

_FUNCTIONS = """
    convert fuse_modules fuse_modules_qat get_default_qat_qconfig get_default_qconfig prepare
    prepare_qat propagate_qconfig_ quantize quantize_dynamic quantize_qat swap_module
"""


def _refusing(name: str) -> Any:
    why = "quantised networks are not in Facula"
    return refusing(f"torch.ao.quantization.{name}", why, why + ".")


for _name in _FUNCTIONS.split():
    globals()[_name] = _refusing(_name)


class QuantStub(Module):
    """Where a quantised network would begin: passes its input on, as in PyTorch before that."""

    def __init__(self, qconfig: Any = None) -> None:
        super().__init__()

    def forward(self, x: Any) -> Any:
        """The input."""
        return x


class DeQuantStub(QuantStub):
    """Where a quantised network would end: passes its input on, as in PyTorch before that."""


class QuantWrapper(Module):
    """A module between the two."""

    def __init__(self, module: Module) -> None:
        super().__init__()
        self.quant, self.dequant, self.module = QuantStub(), DeQuantStub(), module

    def forward(self, X: Any) -> Any:
        """The module's result."""
        return self.dequant(self.module(self.quant(X)))


class ObserverBase(Module):
    """What notes the range of values for quantising them: can't be made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        name = f"torch.ao.quantization.{type(self).__name__}"
        refuse(name, "quantised networks are not in Facula")


class FakeQuantizeBase(Module):
    """What rounds values as quantising would: can't be made."""

    __init__ = ObserverBase.__init__


__getattr__ = honest(__name__)
