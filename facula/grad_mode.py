"""Switching gradient recording off and on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from facula.ops.table import PLAIN
from facula.trace.recorder import TLS, restore_grad, set_grad
from facula.utils import _contextlib
from facula.utils._contextlib import _DecoratorContextManager, _NoParamDecoratorContextManager

_HERE = __file__.rsplit("grad_mode", 1)[0]
_BETWEEN = (__file__, _contextlib.__file__)  # who asks on behalf of others


def _switch_off() -> None:
    """Stop recording. In a level of dual tensors only the package itself does: where a program
    asks for it, tangents still are to be known."""
    if TLS.dual is not None:
        f: Any = sys._getframe(2)
        while f is not None and f.f_code.co_filename in _BETWEEN:
            f = f.f_back
        if f is None or not f.f_code.co_filename.startswith(_HERE):
            return
    set_grad(False)


class no_grad(_NoParamDecoratorContextManager):
    """Inside, operations are not recorded for autograd."""

    def __enter__(self) -> None:
        self.before = TLS.r.grad
        _switch_off()

    def __exit__(self, *exc: object) -> None:
        restore_grad(self.before)


class enable_grad(no_grad):
    """Inside, operations are recorded for autograd again (in inference mode they never are)."""

    def __enter__(self) -> None:
        self.before = TLS.r.grad
        set_grad(not TLS.r.inference)


class inference_mode(_DecoratorContextManager):
    """As no_grad; results carry no history, and may not be written to outside.

    Which tensors were made inside is seen at the latest when a frame or the block ends, and before
    one is written to or gets views: of those that share no memory and were never written to, what
    is among the results of the frame since the block began. That they are saved for a backward
    pass is no error, as it is in PyTorch: here a write of them would be seen.
    """

    def __new__(cls, mode: Any = True) -> Any:
        self = super().__new__(cls)
        if callable(mode):
            self.mode = True
            return self(mode)
        return self

    def __init__(self, mode: bool = True) -> None:
        self.mode = mode

    def clone(self) -> inference_mode:
        """The same mode again."""
        return inference_mode(self.mode)

    def __enter__(self) -> None:
        r = TLS.r
        self.before = r.grad, r.inference
        if not self.mode:
            self.outer = r.inference or None
            if self.outer is not None:
                self.outer.mark(r)
                r.watcher, r.inference = self.outer.watcher, False
            set_grad(True)  # also within no_grad
        else:
            _switch_off()
            if not r.inference:
                self.first, self.watcher = len(r.handles), r.watcher
                r.watcher, r.inference = self._watch, self

    def __exit__(self, *exc: object) -> None:
        r = TLS.r
        restore_grad(self.before[0])
        if not self.mode and self.outer is not None:
            self.outer.first, r.watcher = len(r.handles), self.outer._watch
        if r.inference and not self.before[1]:
            r.watcher = self.watcher
            self.mark(r)
        r.inference = self.before[1]

    def _watch(self, r: Any) -> None:
        self.mark(r)
        self.first = 0  # of the next frame
        if self.watcher is not None:
            self.watcher(r)

    def mark(self, r: Any) -> None:
        """Note which tensors were made inside up to now."""
        t: Any
        for t in r.handles[self.first :]:
            alone = type(t) in PLAIN and t._storage is None and t._counter is None
            if alone and not (t._writes or t._leaf_rg):
                t._inference = True
        self.first = len(r.handles)


class set_multithreading_enabled(_DecoratorContextManager):
    """Whether a backward pass may use other threads than the caller's: it never does here.

    The setting is kept for programs that read it back.
    """

    def __init__(self, mode: bool) -> None:
        self.mode, self.before = mode, TLS.multithreading
        TLS.multithreading = mode

    def clone(self) -> set_multithreading_enabled:
        """The same switch again."""
        return set_multithreading_enabled(self.mode)

    def __enter__(self) -> None:
        TLS.multithreading = self.mode

    def __exit__(self, *exc: object) -> None:
        TLS.multithreading = self.before


def is_multithreading_enabled() -> bool:
    """What `set_multithreading_enabled` has set."""
    return TLS.multithreading


class set_grad_enabled(_DecoratorContextManager):
    """Switch at once; as a context manager, also back at the end."""

    def __init__(self, mode: bool) -> None:
        if not isinstance(mode, bool):
            raise TypeError(
                f"set_grad_enabled(): argument 'enabled' must be bool, not {type(mode).__name__}"
            )
        self.mode = mode
        self.before = TLS.r.grad
        self.__enter__()

    def __repr__(self) -> str:
        return f"torch.autograd.grad_mode.set_grad_enabled(mode={self.mode})"

    def clone(self) -> set_grad_enabled:
        """The same switch again."""
        return set_grad_enabled(self.mode)

    def __call__(self, f: Callable[..., Any]) -> Callable[..., Any]:
        set_grad(self.before)
        return super().__call__(f)

    def __enter__(self) -> None:
        if self.mode:
            set_grad(not TLS.r.inference)
        else:
            _switch_off()

    def __exit__(self, *exc: object) -> None:
        set_grad(self.before)


def is_grad_enabled() -> bool:
    """Whether operations are recorded for autograd."""
    return TLS.r.grad


def is_inference_mode_enabled() -> bool:
    """Whether inference mode is on."""
    return TLS.r.inference is not False
