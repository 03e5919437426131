"""Which modules are being called, or are having their gradients computed.

Source: https://docs.pytorch.org/docs/stable/module_tracker.html
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from facula.autograd import engine
from facula.autograd.graph import register_multi_grad_hook
from facula.errors import honest
from facula.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from facula.tensor import Tensor
from facula.utils._pytree import tree_leaves

__all__ = ["ModuleTracker"]


class ModuleTracker:
    """Inside its block, `parents` has the names of the modules at work, and always "Global".

    A module is named by its place under the outermost one that was called, which is named by its
    class. Backward comes to a module with the gradients of its results, and leaves it with those
    of its arguments; where these have none, when the pass ends.
    """

    def __init__(self) -> None:
        self.parents = {"Global"}
        self._names: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
        self._seen: weakref.WeakSet[Any] = weakref.WeakSet()
        self._handles: list[Any] = []
        self._backward: Any = None  # the pass that has entered a module
        self.before_change: Callable[[], None] = lambda: None  # called before `parents` changes

    @property
    def is_bw(self) -> bool:
        """Whether a backward pass is under way."""
        return bool(engine.PASSES)

    def __enter__(self) -> ModuleTracker:
        self._handles = [
            register_module_forward_pre_hook(self._begin),
            register_module_forward_hook(self._end),
        ]
        return self

    def __exit__(self, *args: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _name(self, module: Any) -> str:
        name = self._names.setdefault(module, type(module).__name__)
        if module not in self._seen:
            self._seen.add(module)
            for child_name, child in module.named_children():
                self._names[child] = f"{name}.{child_name}"
                self._name(child)
        return name

    def _enter(self, name: str) -> None:
        self.before_change()
        self.parents.add(name)

    def _leave(self, name: str) -> None:
        self.before_change()
        self.parents.discard(name)

    def _enter_backward(self, name: str) -> None:
        now = engine.PASSES[-1]
        if self._backward is not now:
            self._backward = now
            now.at_end.append(self._end_backward)
        self._enter(name)

    def _end_backward(self) -> None:
        self.before_change()
        self.parents = {"Global"}
        self._backward = None

    def _begin(self, module: Any, args: Any) -> None:
        name = self._name(module)
        self._enter(name)
        self._hook(args, lambda _: self._leave(name))

    def _end(self, module: Any, args: Any, output: Any) -> None:
        name = self._name(module)
        self._leave(name)
        self._hook(output, lambda _: self._enter_backward(name))

    def _hook(self, values: Any, fn: Callable[[Any], None]) -> None:
        tensors = [t for t in tree_leaves(values) if isinstance(t, Tensor) and t.requires_grad]
        if tensors:
            self._handles.append(register_multi_grad_hook(tensors, fn))


__getattr__ = honest(__name__)
