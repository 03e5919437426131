"""Tests that run one function with PyTorch and with Facula.

    @agrees
    def test_something(torch):
        return {"weight": torch.nn.Linear(2, 3).weight}

With PyTorch the function was run once, by ``tests/generate/nn.py``, and what it returned is in
``tests/data``, one JSON file for every test file. The test runs it with Facula, after the same
seed, and compares. Tests outside of ``tests/nn`` may do the same.
"""

from __future__ import annotations

import functools
import importlib
import json
import math
import re
import warnings
from pathlib import Path

import numpy as np

TESTS = Path(__file__).resolve().parent.parent
SEED = 1234


def data_file(test_file: str | Path) -> Path:
    """Where the results of a test file are: tests/nn/utils/test_rnn.py -> nn_utils_rnn.json."""
    parts = Path(test_file).resolve().relative_to(TESTS).with_suffix("").parts
    name = "_".join(part.removeprefix("test_") for part in parts)
    return TESTS / "data" / f"{name}.json"


@functools.cache
def _stored(path: Path) -> dict:
    return json.loads(path.read_text())


def agrees(function=None, *, rtol: float = 1e-5, atol: float = 1e-6):
    """Make a function of the framework a test that its result agrees with PyTorch's."""
    if function is None:
        return functools.partial(agrees, rtol=rtol, atol=atol)

    def test():
        framework = importlib.import_module("facula")
        expected = _stored(data_file(function.__code__.co_filename))[function.__name__]
        compare(run(function, framework), expected, rtol, atol)

    test.__name__, test.__doc__ = function.__name__, function.__doc__
    test.__module__ = function.__module__
    test.case = function
    return test


def run(function, framework):
    """What a case returns, as plain data."""
    framework.manual_seed(SEED)
    return encode(function(framework))


def encode(value):
    """Tensors, sizes, dtypes and containers as what JSON can hold."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if hasattr(value, "detach"):
        array = value.detach()
        dtype = str(array.dtype).rpartition(".")[2]
        if dtype == "bfloat16":
            array = array.float()
        flat = np.asarray(array.numpy()).reshape(-1).tolist()
        if dtype.startswith("complex"):
            flat = [[encode(float(f"{x:.9g}")) for x in (v.real, v.imag)] for v in flat]
        if dtype.startswith("float"):
            digits = 17 if dtype == "float64" else 9
            flat = [encode(float(f"{v:.{digits}g}")) for v in flat]
        return {"tensor": dtype, "shape": list(value.shape), "data": flat}
    if isinstance(value, dict):
        return {"dict": [[encode(k), encode(v)] for k, v in value.items()]}
    if isinstance(value, (list, tuple)) or hasattr(value, "__iter__"):
        return [encode(v) for v in value]
    return neutral(str(value))


def neutral(text: str) -> str:
    """A text without the framework's own name."""
    return re.sub(r"\b(facula|torch)\b", "torch", text)


def compare(got, want, rtol: float, atol: float, where: str = "result") -> None:
    """Raise AssertionError at the first difference."""
    if isinstance(want, dict) and "tensor" in want:
        assert isinstance(got, dict) and "tensor" in got, f"{where}: {got} is no tensor"
        assert got["tensor"] == want["tensor"], f"{where}: dtype {got['tensor']}"
        assert got["shape"] == want["shape"], f"{where}: shape {got['shape']} != {want['shape']}"
        a, b = _array(got["data"]), _array(want["data"])
        if a.dtype.kind == "f" or b.dtype.kind == "f":
            np.testing.assert_allclose(a, b, rtol, atol, err_msg=where)
        else:
            np.testing.assert_array_equal(a, b, err_msg=where)
    elif isinstance(want, dict) and "dict" in want:
        assert isinstance(got, dict) and "dict" in got, f"{where}: {got} is no dictionary"
        keys = [k for k, _ in want["dict"]]
        assert [k for k, _ in got["dict"]] == keys, f"{where}: other keys {got['dict']}"
        for (key, a), (_, b) in zip(got["dict"], want["dict"], strict=True):
            compare(a, b, rtol, atol, f"{where}[{key!r}]")
    elif isinstance(want, list):
        assert isinstance(got, list) and len(got) == len(want), f"{where}: {got} != {want}"
        for i, (a, b) in enumerate(zip(got, want, strict=True)):
            compare(a, b, rtol, atol, f"{where}[{i}]")
    elif isinstance(want, float) and isinstance(got, (int, float)):
        assert math.isclose(got, want, rel_tol=rtol, abs_tol=atol), f"{where}: {got} != {want}"
    else:
        assert got == want, f"{where}:\n{got!r}\n!=\n{want!r}"


def _array(data: list) -> np.ndarray:
    flat = [x for v in data for x in (v if isinstance(v, list) else (v,))]
    return np.array([float(v["float"]) if isinstance(v, dict) else v for v in flat])


def submodule(framework, name: str):
    """A module of the framework that has to be imported, such as ``nn.utils.prune``."""
    return importlib.import_module(f"{framework.__name__}.{name}")


def raised(function, *args, **kwargs) -> str:
    """The type of the exception that a call raises."""
    return message(function, *args, **kwargs)[0]


def message(function, *args, **kwargs) -> list[str]:
    """Type and text of the exception that a call raises."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            function(*args, **kwargs)
    except Exception as error:
        return [type(error).__name__, neutral(str(error))]
    return ["nothing", "was raised"]


def warned(function, *args, **kwargs) -> list[str]:
    """Category and text of the warnings that a call gives."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function(*args, **kwargs)
    return [f"{w.category.__name__}: {neutral(str(w.message))}" for w in caught]


def summary(tensor) -> dict:
    """Shape, first and last elements, sum and sum of squares: enough to see other numbers."""
    flat = tensor.detach().reshape(-1).double()
    ends = [float(v) for v in [*flat[:3].tolist(), *flat[-3:].tolist()]]
    return {
        "shape": list(tensor.shape),
        "ends": ends,
        "sum": float(flat.sum()),
        "squares": float((flat * flat).sum()),
    }


def state(module) -> dict:
    """A summary of everything in a module's state_dict."""
    return {name: summary(t) for name, t in module.state_dict().items()}
