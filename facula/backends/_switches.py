"""A context manager over the switches of a module."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def switched(module: str, **values: Any) -> Iterator[None]:
    """Inside, the module's switches have these values; None leaves one as it is."""
    names = vars(sys.modules[module])
    before = {name: names[name] for name in values}
    names.update({name: value for name, value in values.items() if value is not None})
    try:
        yield
    finally:
        names.update(before)
