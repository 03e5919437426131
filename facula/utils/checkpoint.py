"""Trading time for memory: parts of a network run again in the backward pass.

Source: https://pytorch.org/docs/stable/checkpoint.html
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from typing import Any

import facula
from facula.autograd.recompute import CheckpointError, run
from facula.errors import honest
from facula.trace.node import STALE
from facula.trace.recorder import TLS
from facula.utils.selective import (
    CheckpointPolicy,
    SelectiveCheckpointContext,
    create_selective_checkpoint_contexts,
)

__all__ = [
    "CheckpointError",
    "CheckpointPolicy",
    "SelectiveCheckpointContext",
    "checkpoint",
    "checkpoint_sequential",
    "create_selective_checkpoint_contexts",
    "detach_variable",
    "get_device_states",
    "noop_context_fn",
    "set_checkpoint_debug_enabled",
    "set_checkpoint_early_stop",
    "set_device_states",
]
_REENTRANT = (
    "the use_reentrant parameter should be passed explicitly. Starting in PyTorch 2.9, calling "
    "checkpoint without use_reentrant will raise an exception. use_reentrant=False is recommended, "
    "but if you need to preserve the current default behavior, you can pass use_reentrant=True."
)


def get_device_states(*args: Any) -> tuple[list[int], list[Any]]:
    """The devices, other than the CPU, that the arguments are on, and the states of their draws."""
    return [], []


def set_device_states(devices: Any, states: Any, *, device_type: str | None = None) -> None:
    """Take back what `get_device_states` gave."""
    if devices or states:
        raise NotImplementedError(
            f"set_device_states(): the CPU is the only device, but got devices {list(devices)}"
        )


def noop_context_fn() -> tuple[Any, Any]:
    """Contexts for the two runs that do nothing."""
    return contextlib.nullcontext(), contextlib.nullcontext()


def detach_variable(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The tensors as leaves of their own."""
    if not isinstance(inputs, tuple):
        raise RuntimeError(
            "Only tuple of tensors is supported. Got Unsupported input type: "
            f"{type(inputs).__name__}"
        )
    return tuple(
        [
            t.detach().requires_grad_(t.requires_grad) if isinstance(t, facula.Tensor) else t
            for t in inputs
        ]
    )


class _Setting(contextlib.AbstractContextManager[None]):
    """A switch that is accepted and changes nothing here."""

    def __init__(self, enable: bool) -> None:
        self.enable = enable

    def __exit__(self, *exc: object) -> None:
        return None


class set_checkpoint_early_stop(_Setting):
    """Accepted: a second run is recorded as a whole and only what is needed of it is computed."""


class set_checkpoint_debug_enabled(_Setting):
    """Accepted: a run that differs from the first is always an error that says how."""


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], tuple[Any, Any]] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """function(*args, **kwargs), without keeping what its backward pass needs.

    The function is run again in the backward pass, with the random state and the contexts of the
    first run; CheckpointError if it then does something else. `use_reentrant` chooses between
    PyTorch's two implementations; here there is one, with the checks of each.

    Source: https://pytorch.org/docs/stable/checkpoint.html#torch.utils.checkpoint.checkpoint
    """
    if use_reentrant is None:
        warnings.warn(f"torch.utils.checkpoint: {_REENTRANT}", stacklevel=2)
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if use_reentrant and kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    if use_reentrant and context_fn is not noop_context_fn:
        raise ValueError(
            "Passing `context_fn` or `debug` is only supported when use_reentrant=False."
        )
    if not facula.is_grad_enabled():
        return function(*args, **kwargs)
    if use_reentrant and not any([isinstance(t, facula.Tensor) and t.requires_grad for t in args]):
        warnings.warn(
            "None of the inputs have requires_grad=True. Gradients will be None", stacklevel=2
        )
        with facula.no_grad():
            return function(*args, **kwargs)
    first, second = context_fn()
    state = facula.get_rng_state() if preserve else None
    casts = dict(TLS.r.autocast or {})
    given = [(t, t._version) for t in args if isinstance(t, facula.Tensor)]

    def forward() -> Any:
        with first:
            return function(*args, **kwargs)

    def again() -> Any:
        for t, version in given:
            if t._version != version:
                raise RuntimeError(
                    "one of the variables needed for gradient computation has been modified by an "
                    f"inplace operation: [{t.dtype} {list(t.shape)}], given to checkpoint(), is at "
                    f"version {t._version}; expected version {version} instead"
                )
        now = facula.get_rng_state()
        if state is not None:
            facula.set_rng_state(state)
        try:
            with second, contextlib.ExitStack() as stack:
                for kind, low in casts.items():
                    stack.enter_context(facula.autocast(kind, low))
                return function(*args, **kwargs)
        finally:
            if state is not None:
                facula.set_rng_state(now)

    for t, _ in given:  # a view of memory that was written looks at it here, not inside
        if t.node.op is STALE:
            t._rederive()
    return run(forward, again, "CheckpointFunctionBackward" if use_reentrant else None)


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any
) -> Any:
    """The functions one after another in so many parts, of which all but the last are checkpoints.

    Source: https://pytorch.org/docs/stable/checkpoint.html#torch.utils.checkpoint.checkpoint_sequential
    """
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint.checkpoint_sequential: the use_reentrant parameter should be "
            "passed explicitly. In version 2.9 we will raise an exception if use_reentrant is not "
            "passed. use_reentrant=False is recommended, but if you need to preserve the current "
            "default behavior, you can pass use_reentrant=True.",
            stacklevel=2,
        )
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    if isinstance(functions, facula.nn.Sequential):
        functions = list(functions.children())

    def part(start: int, end: int) -> Callable[[Any], Any]:
        def forward(x: Any) -> Any:
            for f in functions[start:end]:
                x = f(x)
            return x

        return forward

    size = len(functions) // segments
    end = 0
    for start in range(0, size * (segments - 1), size):
        end = start + size
        input = checkpoint(
            part(start, end), input, use_reentrant=use_reentrant, preserve_rng_state=preserve
        )
    return part(end, len(functions))(input)


__getattr__ = honest(__name__)
