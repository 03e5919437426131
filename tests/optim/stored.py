"""Tests of optimisers and schedules against what PyTorch gave.

The tables in the test files say what is run. With PyTorch it was run once, by
``tests/generate/optim.py``; the results are in ``tests/data/optim.npz`` (trajectories, state
and rates) and ``tests/data/optim.json`` (the structure of state dicts, the state of schedules).
"""

from __future__ import annotations

import functools
import importlib
import json
import warnings
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

DATA = Path(__file__).resolve().parent.parent / "data"
STEPS = 12
KEPT = (1, 3, 12)
SAVED = 3  # the state after this step is stored
TOLERANCE = {
    "float64": (1e-10, 1e-12),
    "float32": (1e-5, 1e-7),
    "bfloat16": (1.6e-2, 4e-3),
    "complex128": (1e-10, 1e-12),
}


class Value(NamedTuple):
    """An option that is a tensor."""

    value: Any
    dtype: str = "float32"


@functools.cache
def arrays() -> dict[str, np.ndarray]:
    """The stored arrays by their names."""
    with np.load(DATA / "optim.npz") as file:
        return dict(file)


@functools.cache
def plain() -> dict[str, Any]:
    """The stored plain data."""
    return json.loads((DATA / "optim.json").read_text())


# ---- optimisers


def _wave(shape: tuple[int, ...], t: float, kind: str) -> np.ndarray:
    """Numbers without a pattern that matters, the same everywhere."""
    n = np.arange(int(np.prod(shape)), dtype=np.float64).reshape(shape)
    real = np.sin(0.7 * n + 1.3 * t + 0.2 * t * t)
    return real + 1j * np.cos(1.1 * n + 0.4 * t) if kind.startswith("complex") else real


def shapes_for(name: str, dtype: str) -> list[tuple[int, ...]]:
    """Shapes of the parameters: a matrix, and others where the optimiser takes them."""
    if name == "Muon":
        return [(3, 4), (4, 2)]
    return [(3, 4), (5,)] if dtype.startswith("complex") else [(3, 4), (5,), ()]


def as_tensor(torch: Any, values: np.ndarray, dtype: str) -> Any:
    """The values as a tensor of that dtype."""
    return torch.tensor(values).to(getattr(torch, dtype))


def as_array(tensor: Any, torch: Any) -> np.ndarray:
    """The values of a tensor; bfloat16 as float32."""
    tensor = tensor.detach()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy().copy()


def make(torch: Any, name: str, options: dict[str, Any], dtype: str) -> tuple[list[Any], Any]:
    """Parameters and their optimiser."""
    params = [
        torch.nn.Parameter(as_tensor(torch, _wave(shape, 0.5 + i, dtype), dtype))
        for i, shape in enumerate(shapes_for(name, dtype))
    ]

    def option(v: Any) -> Any:
        if isinstance(v, tuple) and not isinstance(v, Value):
            return tuple([option(x) for x in v])
        return as_tensor(torch, np.array(v.value), v.dtype) if isinstance(v, Value) else v

    keywords = {k: option(v) for k, v in options.items()}
    return params, getattr(torch.optim, name)(params, **keywords)


def set_gradients(torch: Any, params: list[Any], t: int, dtype: str) -> None:
    """The gradients of step `t`, in part those of a quadratic function of the parameters."""
    for i, p in enumerate(params):
        c = as_tensor(torch, _wave(tuple(p.shape), 3.0 * t + i, dtype), dtype)
        p.grad = None
        if dtype.startswith("complex"):
            p.grad = c + 0.1 * p.detach()
        else:
            ((p * c).sum() + 0.05 * (p * p).sum()).backward()


def trajectory(
    torch: Any, name: str, options: dict[str, Any], dtype: str
) -> tuple[np.ndarray, Any, np.ndarray]:
    """All parameters after the kept steps, as rows; the structure of the state dict after `SAVED`
    steps, and the values of its tensors in a row."""
    params, optimizer = make(torch, name, options, dtype)
    rows = []
    layout, values = None, np.zeros(0)
    for t in range(1, STEPS + 1):
        set_gradients(torch, params, t, dtype)
        optimizer.step()
        if t in KEPT:
            rows.append(np.concatenate([as_array(p, torch).reshape(-1) for p in params]))
        if t == SAVED:
            saved = optimizer.state_dict()
            layout = structure(saved, torch)
            tensors = [
                as_array(value, torch).reshape(-1)
                for state in saved["state"].values()
                for value in state.values()
                if isinstance(value, torch.Tensor)
            ]
            values = np.concatenate([values, *tensors])
    return np.stack(rows), layout, values


def structure(value: Any, torch: Any) -> Any:
    """A state dict as JSON has it, with tensors as their dtype and shape."""
    if isinstance(value, torch.Tensor):
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, dict):
        return {str(k): structure(v, torch) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [structure(v, torch) for v in value]
    return value


def dtypes_of(name: str) -> list[str]:
    """In which dtypes an optimiser is run."""
    if name in ("Adafactor", "Muon"):
        return ["float32", "float64"]
    return ["float32", "float64", "complex128", "bfloat16"]


def is_run(label: str, dtype: str) -> bool:
    """Every label in float32 and float64, the default options in all dtypes."""
    return label == "default" or dtype in ("float32", "float64")


def optimiser_tests(
    name: str,
    runs: dict[str, dict[str, Any]],
    errors: list[tuple[dict[str, Any], type[Exception], str]],
    tolerance: dict[str, tuple[float, float]] | None = None,
) -> tuple[Any, Any, Any, Any]:
    """The tests that every optimiser has: trajectories, the structure of its state, continuing from
    PyTorch's state, and errors for options. `tolerance`: relative and absolute, by dtype."""
    tolerance = {**TOLERANCE, **(tolerance or {})}
    cases = [(label, d) for label in runs for d in dtypes_of(name) if is_run(label, d)]

    @pytest.mark.parametrize(("label", "dtype"), cases)
    def test_trajectory(label: str, dtype: str) -> None:
        rtol, atol = tolerance[dtype]
        got, _, _ = trajectory(importlib.import_module("facula"), name, runs[label], dtype)
        np.testing.assert_allclose(got, arrays()[f"{name}/{label}/{dtype}"], rtol, atol)

    @pytest.mark.parametrize("label", runs)
    def test_structure(label: str) -> None:
        _, got, _ = trajectory(importlib.import_module("facula"), name, runs[label], "float64")
        expected = plain()["structure"][f"{name}/{label}"]
        assert got == expected
        assert json.dumps(got) == json.dumps(expected)  # the order of the keys too

    @pytest.mark.parametrize("label", runs)
    def test_continues_from_stored_state(label: str) -> None:
        torch = importlib.import_module("facula")
        params, optimizer = make(torch, name, runs[label], "float64")
        key = f"{name}/{label}/float64"
        rows, values = arrays()[key], arrays()[f"{key}/state"]
        load_rows(torch, params, rows[KEPT.index(SAVED)])
        state: dict[int, dict[str, Any]] = {}
        for i, entries in plain()["structure"][f"{name}/{label}"]["state"].items():
            state[int(i)] = dict(entries)
            for k, v in entries.items():
                if not isinstance(v, str):
                    continue
                dtype, _, shape = v.removeprefix("torch.").partition("[")
                sizes = json.loads("[" + shape)
                part, values = np.split(values, [int(np.prod(sizes))])
                state[int(i)][k] = as_tensor(torch, part.reshape(sizes), dtype)
        optimizer.load_state_dict(
            {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
        )
        for t in range(SAVED + 1, STEPS + 1):
            set_gradients(torch, params, t, "float64")
            optimizer.step()
        got = np.concatenate([as_array(p, torch).reshape(-1) for p in params])
        np.testing.assert_allclose(got, rows[-1], 1e-10, 1e-12)

    @pytest.mark.parametrize(("options", "error", "message"), errors)
    def test_errors(options: dict[str, Any], error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            make(importlib.import_module("facula"), name, options, "float32")

    return test_trajectory, test_structure, test_continues_from_stored_state, test_errors


def load_rows(torch: Any, params: list[Any], row: np.ndarray) -> None:
    """Set the parameters to the values of a row of a trajectory."""
    start = 0
    with torch.no_grad():
        for p in params:
            part = row[start : start + p.numel()].reshape(tuple(p.shape))
            p.copy_(torch.tensor(part))
            start += p.numel()


# ---- schedules

RATE_STEPS = 32
RATE_SAVED = 10


def make_schedule(torch: Any, optimizer: Any, case: dict[str, Any]) -> Any:
    """The schedule of a table's entry: its class under `name`, and its arguments."""
    arguments = {k: v for k, v in case.items() if k != "name" and not k.startswith("_")}
    if "schedulers" in arguments:
        parts = [make_schedule(torch, optimizer, part) for part in arguments["schedulers"]]
        arguments["schedulers"] = parts
    if case["name"] == "ChainedScheduler":
        return torch.optim.lr_scheduler.ChainedScheduler(**arguments)
    where = torch.optim.swa_utils if case["name"] == "SWALR" else torch.optim.lr_scheduler
    return getattr(where, case["name"])(optimizer, **arguments)


def make_scheduled(torch: Any, case: dict[str, Any]) -> tuple[Any, Any]:
    """An optimiser of two groups, and a schedule."""
    kind, options = case.get("_optimizer", ("SGD", {"momentum": 0.9}))
    groups = [
        {"params": [torch.nn.Parameter(torch.ones(2))]},
        {"params": [torch.nn.Parameter(torch.ones(3))], "lr": 0.05},
    ]
    lr = as_tensor(torch, np.array(0.4), "float64") if case.get("_tensor") else 0.4
    optimizer = getattr(torch.optim, kind)(groups, lr=lr, **options)
    for group in optimizer.param_groups:
        group.update(case.get("_group", {}))
    if not case.get("_warns"):
        return optimizer, make_schedule(torch, optimizer, case)
    with pytest.warns(UserWarning, match=r"Detected call of `lr_scheduler.step\(\)` before"):
        return optimizer, make_schedule(torch, optimizer, case)


def rates(torch: Any, case: dict[str, Any], start: Any = None) -> tuple[list[Any], Any]:
    """Rates (and momenta, where they move) before every step; the state after `RATE_SAVED`."""
    optimizer, schedule = start or make_scheduled(torch, case)
    rows, state = [], None
    first = RATE_SAVED if start else 0
    for t in range(first, RATE_STEPS):
        if t == RATE_SAVED:
            state = encode(schedule.state_dict())
        rows.append(row_of(optimizer))
        optimizer.step()
        if "_epochs" in case:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                schedule.step(case["_epochs"][t % len(case["_epochs"])])
        elif "_metrics" in case:
            schedule.step(case["_metrics"][t % len(case["_metrics"])])
        else:
            schedule.step()
    return rows, state


def row_of(optimizer: Any) -> list[float]:
    """Rate and momentum of every group."""
    row = []
    for group in optimizer.param_groups:
        row.append(float(group["lr"]))
        row.append(float(group["betas"][0] if "betas" in group else group["momentum"]))
    return row


def encode(value: Any) -> Any:
    """A schedule's state as JSON has it."""
    if isinstance(value, Counter):
        return {"counter": sorted(value.items())}
    if isinstance(value, dict):
        return {k: encode(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(v) for v in value]
    return value.item() if hasattr(value, "item") else value


def decode(value: Any) -> Any:
    """The state that was encoded."""
    if isinstance(value, dict):
        if list(value) == ["counter"]:
            return Counter(dict(value["counter"]))
        return {k: decode(v) for k, v in value.items()}
    return [decode(v) for v in value] if isinstance(value, list) else value


def schedule_tests(cases: dict[str, dict[str, Any]]) -> tuple[Any, Any]:
    """The tests that every schedule has: its rates, its state, and continuing from PyTorch's."""

    @pytest.mark.parametrize("label", cases)
    def test_rates(label: str) -> None:
        rows, state = rates(importlib.import_module("facula"), cases[label])
        np.testing.assert_allclose(rows, arrays()[f"rates/{label}"], 1e-12, 1e-15)
        assert_state(state, plain()["schedules"][label])

    @pytest.mark.parametrize("label", [k for k in cases if not cases[k].get("_tensor")])
    def test_continues_from_stored_state(label: str) -> None:
        torch = importlib.import_module("facula")
        expected = arrays()[f"rates/{label}"]
        optimizer, schedule = make_scheduled(torch, cases[label])
        for i, group in enumerate(optimizer.param_groups):
            rate, momentum = expected[RATE_SAVED, 2 * i : 2 * i + 2].tolist()
            group["lr"] = rate
            if "betas" in group:
                group["betas"] = (momentum, group["betas"][1])
            else:
                group["momentum"] = momentum
        schedule.load_state_dict(decode(plain()["schedules"][label]))
        rows, _ = rates(torch, cases[label], (optimizer, schedule))
        np.testing.assert_allclose(rows, expected[RATE_SAVED:], 1e-12, 1e-15)

    return test_rates, test_continues_from_stored_state


def assert_state(got: Any, expected: Any) -> None:
    """Equal keys, and values equal to rounding."""
    if isinstance(expected, dict):
        assert sorted(got) == sorted(expected)
        for k in expected:
            assert_state(got[k], expected[k])
    elif isinstance(expected, list):
        assert len(got) == len(expected)
        for g, e in zip(got, expected):
            assert_state(g, e)
    elif isinstance(expected, float):
        assert got == pytest.approx(expected, rel=1e-12, abs=1e-15)
    else:
        assert got == expected
        assert type(got) is type(expected)
