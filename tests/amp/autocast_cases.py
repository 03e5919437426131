"""One call of every operation under autocast: what it is made of, and what is compared.

The arguments are the first float32 ones that the conformance data has for each operation.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from pathlib import Path
from typing import Any

CONFORMANCE = Path(__file__).resolve().parents[1] / "conformance"


def checker() -> Any:
    """The module that reads the conformance data; it is a script, next to what it imports."""
    if str(CONFORMANCE) not in sys.path:
        sys.path.append(str(CONFORMANCE))
    spec = importlib.util.spec_from_file_location("check", CONFORMANCE / "check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def dtypes(value: Any) -> str:
    """The dtypes of a result, in its order."""
    if hasattr(value, "dtype"):
        return str(value.dtype).rpartition(".")[2]
    if isinstance(value, (list, tuple)):
        return " ".join([dtypes(v) for v in value])
    return type(value).__name__


def first_case(check: Any, archive: Any) -> Any:
    """The first call of a function or method on float32 values; None where there is none."""
    for c in archive.cases:
        if c["kind"] == "value" and c["feat"] == "fwd" and c["dtype"] == "float32":
            return c if c["call"] in ("function", "method") else None
    return None


def _lowered(framework: Any, x: Any) -> Any:
    if framework.is_tensor(x):
        return x.to(framework.m.bfloat16) if x.dtype is framework.m.float32 else x
    if isinstance(x, (list, tuple)):
        return type(x)([_lowered(framework, v) for v in x])
    return x


def run(check: Any, framework: Any, archive: Any, case: Any, low: bool) -> str:
    """The dtypes that a case gives under autocast, of float32 or of bfloat16 arguments."""
    decode = check.Decoder(framework, archive, False)
    args = [decode(a) for a in case["args"]]
    kwargs = {k: decode(v) for k, v in case["kwargs"].items()}
    if low:
        args = [_lowered(framework, a) for a in args]
        kwargs = {k: _lowered(framework, v) for k, v in kwargs.items()}
    if case["call"] == "method":
        f, args = getattr(args[0], case["path"]), args[1:]
    else:
        f = framework.resolve(case["path"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with framework.m.autocast("cpu", dtype=framework.m.bfloat16):
            return dtypes(f(*args, **kwargs))
