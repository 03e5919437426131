"""Settings that programs make: remembered, with no effect."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

suppress_errors = False
verbose = False
disable = False
cache_size_limit = recompile_limit = 8
accumulated_cache_size_limit = accumulated_recompile_limit = 256
automatic_dynamic_shapes = True
assume_static_by_default = True
dynamic_shapes = True
specialize_int = False
capture_scalar_outputs = False
capture_dynamic_output_shape_ops = False
force_parameter_static_shapes = True
allow_unspec_int_on_nn_module = False
inline_inbuilt_nn_modules = True
optimize_ddp = True
compiled_autograd = False
error_on_recompile = False


@contextlib.contextmanager
def patch(
    given: str | dict[str, Any] | None = None, value: Any = None, /, **more: Any
) -> Iterator[None]:
    """A block, or a decorator, in which a setting (a name and a value), or several, are others."""
    settings = vars(sys.modules[__name__])
    new = {**({given: value} if isinstance(given, str) else given or {}), **more}
    unknown = [name for name in new if name not in settings]
    if unknown:
        raise AttributeError(f"torch._dynamo.config.{unknown[0]} does not exist")
    old = {name: settings[name] for name in new}
    settings.update(new)
    try:
        yield
    finally:
        settings.update(old)
