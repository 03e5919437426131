"""How gradients are compared with differences of values: the work of `gradcheck`.

For an input x and an output y the Jacobian has a row for each element of x and a column for each
element of y. A complex output is checked twice, by its imaginary and by its real part, so that the
outputs of a check are real; the entry for a complex x = a + ib is then dy/da + i dy/db, which is
what backward gives. Forward mode is checked the other way round: inputs are real, by parts.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

import facula
from facula.autograd import calls, forward_ad
from facula.autograd.function import Function
from facula.autograd.gradcheck import GradcheckError
from facula.func.vmap import vmap
from facula.tensor import Tensor


@dataclass(frozen=True)
class Check:
    """A function, where it is looked at, and how close derivatives have to be."""

    func: Callable[..., Any]
    inputs: tuple[Any, ...]
    eps: float
    atol: float
    rtol: float
    nondet_tol: float
    dtypes: bool
    fast: bool
    part: str = ""  # 'real' or 'imaginary', where only that part of complex values is looked at

    @property
    def wanted(self) -> list[int]:
        """Which inputs have gradients."""
        return [i for i, x in enumerate(self.inputs) if isinstance(x, Tensor) and x.requires_grad]

    def outputs(self) -> tuple[Any, ...]:
        """What the function makes of the inputs."""
        return as_tuple(self.func(*self.inputs))


# ---- what may be checked


def as_tuple(x: Any) -> tuple[Any, ...]:
    return tuple(x) if isinstance(x, (tuple, list)) else (x,)


def differentiable(outputs: Any) -> tuple[Any, ...]:
    return tuple([y for y in as_tuple(outputs) if y.requires_grad])


def check_inputs(inputs: tuple[Any, ...]) -> None:
    wanted = [(i, x) for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
    for i, x in wanted:
        if x.dtype not in (facula.float64, facula.complex128):
            warnings.warn(
                f"Input #{i} requires gradient and is not a double precision floating point or "
                "complex. This check will likely fail if all the inputs are not of double "
                "precision floating point or complex. ",
                stacklevel=3,
            )
        if x.is_sparse:
            raise NotImplementedError("gradcheck: sparse inputs are not in Facula")
        if any([s == 0 and n > 1 for s, n in zip(x.stride(), x.shape, strict=True)]):
            raise RuntimeError(
                f"The {i}th input has a dimension with stride 0. gradcheck only supports inputs "
                "that are non-overlapping to be able to compute the numerical gradients correctly. "
                "You should call .contiguous on the input before passing it to gradcheck."
            )
    if not wanted:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of them "
            "have requires_grad=True."
        )


def check_outputs(outputs: tuple[Any, ...]) -> None:
    if any([isinstance(y, Tensor) and y.is_sparse for y in outputs]):
        raise ValueError(
            "Sparse output is not supported at gradcheck yet. Please call "
            "to_dense(masked_grad=...) on the output of fn for gradcheck."
        )


# ---- differences


def _array(t: Any) -> Any:
    return t.detach().resolve_conj().resolve_neg().numpy().copy()


def _difference(check: Check, i: int, direction: Any) -> list[Any]:
    """How the outputs change along a direction of input i: one array for each output."""
    x = check.inputs[i]
    before = _array(x)
    ends = []
    try:
        for step in (-check.eps, check.eps):
            _overwrite(x, before + step * direction)
            ends.append([(y.dtype, _array(y)) for y in check.outputs()])
    finally:
        _overwrite(x, before)
    slopes = []
    for (d, low), (e, high) in zip(*ends, strict=True):
        if low.shape != high.shape or d is not e:
            which, *what = ("dtype", d, e)
            if low.shape != high.shape:
                which, *what = ("shape", low.shape, high.shape)
            raise AssertionError(
                f"Expected `func` to return outputs with the same {which} when inputs are "
                f"perturbed by {check.eps}, but got: {what[0]} and {what[1]}."
            )
        slopes.append((high - low) / (2 * check.eps) if low.dtype != bool else low * 0.0)
    return slopes


def _overwrite(x: Any, a: Any) -> None:
    """Give a tensor other values, behind the back of its history."""
    x.data.copy_(facula.from_numpy(np.asarray(a, x.node.dtype.np)))


def _along(check: Check, i: int, us: dict[complex, Any], unit: complex) -> list[Any]:
    return _difference(check, i, unit * us[unit])


def _units(x: Any) -> list[Any]:
    """The unit vectors of a tensor's space."""
    n = x.numel()
    return list(np.eye(n).reshape(n, *x.shape))


def _numerical(check: Check, i: int, unit: complex = 1) -> list[Any]:
    """The Jacobians of all outputs by input i, from differences."""
    rows = [_difference(check, i, unit * u) for u in _units(check.inputs[i])]
    if not rows:
        return [np.zeros((0, y.numel())) for y in check.outputs()]
    return [np.array([s.reshape(-1) for s in column]) for column in zip(*rows, strict=True)]


def _by_complex(make: Callable[[complex], list[Any]], x: Any) -> list[Any]:
    """What belongs to a real input, or to the two parts of a complex one."""
    real = make(1)
    if not x.is_complex():
        return real
    return [a + 1j * b for a, b in zip(real, make(1j), strict=True)]


def _close(check: Check, a: Any, b: Any) -> bool:
    return bool(np.allclose(a, b, rtol=check.rtol, atol=check.atol))


# ---- backward


def backward_by_parts(check: Check, outputs: tuple[Any, ...]) -> None:
    if not any([y.is_complex() for y in outputs]):
        _backward(check)
        return
    func, compl = check.func, [y.is_complex() for y in outputs]

    def imaginary(*args: Any) -> Any:
        ys = as_tuple(func(*args))
        return tuple([y.imag for y, c in zip(ys, compl, strict=True) if c])

    def real(*args: Any) -> Any:
        ys = as_tuple(func(*args))
        return tuple([y.real if c else y for y, c in zip(ys, compl, strict=True)])

    _backward(replace(check, func=imaginary, part="imaginary"))
    _backward(replace(check, func=real, part="real"))


def _backward(check: Check) -> None:
    outputs = check.outputs()
    places = [k for k, y in enumerate(outputs) if y.requires_grad]
    if not places:
        for i in check.wanted:
            for n in _numerical(check, i):
                if n.size and np.abs(n).max() > 0:
                    raise GradcheckError("Numerical gradient for function expected to be zero")
        return
    if check.fast:
        _backward_fast(check, outputs, places)
    else:
        _backward_slow(check, outputs, places)


def _backward_slow(check: Check, outputs: Any, places: list[int]) -> None:
    numerical = {
        i: _by_complex(partial(_numerical, check, i), check.inputs[i]) for i in check.wanted
    }
    for o, k in enumerate(places):
        found = _rows(check, outputs[k])
        again = _rows(check, outputs[k])
        for n, i in enumerate(check.wanted):
            if not _close(check, found[n], numerical[i][k]):
                raise GradcheckError(_mismatch(check, numerical[i][k], found[n], o, n))
            _check_reentrant(check, found[n], again[n])


def _check_reentrant(check: Check, once: Any, again: Any) -> None:
    """Backward gives the same a second time, but for rounding: a program that has been met often
    enough goes over to native code, which sums in another order."""
    if not once.size:
        return
    rounding = 1e3 * np.finfo(once.dtype).eps * max(1.0, np.abs(once).max())
    if np.abs(once - again).max() > check.nondet_tol + rounding:
        raise GradcheckError(
            "Backward is not reentrant, i.e., running backward with same input and grad_output "
            "multiple times gives different values, although analytical gradient matches numerical "
            f"gradient.The tolerance for nondeterminism was {check.nondet_tol}.\n\nNOTE: If your "
            "op relies on non-deterministic operations, this failure might be expected: use a "
            "nondet_tol above 0."
        )


def _rows(check: Check, y: Any) -> list[Any]:
    """The Jacobians of an output by the inputs, a backward pass for each element."""
    xs = [check.inputs[i] for i in check.wanted]
    columns = [_gradients(check, y, u) for u in _units(y)]
    if not columns:
        return [np.zeros((x.numel(), 0)) for x in xs]
    return [np.stack([g.reshape(-1) for g in c], 1) for c in zip(*columns, strict=True)]


def _gradients(check: Check, y: Any, weights: Any) -> list[Any]:
    """The gradients of an output by the inputs that have some, as arrays."""
    xs = [check.inputs[i] for i in check.wanted]
    v = facula.from_numpy(np.asarray(weights, y.node.dtype.np))
    found = calls.grad(y, xs, v, retain_graph=True, allow_unused=True)
    for g, x in zip(found, xs, strict=True):
        if g is None:
            continue
        if check.dtypes and g.dtype is not x.dtype:
            raise GradcheckError("Gradient has dtype mismatch")
        if g.shape != x.shape:
            raise GradcheckError("Analytical gradient has incorrect size")
    return [
        np.zeros(x.shape, x.node.dtype.np) if g is None else _array(g)
        for g, x in zip(found, xs, strict=True)
    ]


def _backward_fast(check: Check, outputs: Any, places: list[int]) -> None:
    """v J u for random u and v, instead of all of J."""
    rng = np.random.default_rng(0)
    vs = [_unit(rng, outputs[k]) for k in places]
    found = [_gradients(check, outputs[k], v) for k, v in zip(places, vs, strict=True)]
    again = [_gradients(check, outputs[k], v) for k, v in zip(places, vs, strict=True)]
    for n, i in enumerate(check.wanted):
        x = check.inputs[i]
        us = {1: _unit(rng, x), 1j: _unit(rng, x)}
        slopes = _by_complex(partial(_along, check, i, us), x)
        for o, (k, v) in enumerate(zip(places, vs, strict=True)):
            g = found[o][n]
            numerical = (v * slopes[k]).sum()
            analytical = (us[1] * g.real).sum()
            if x.is_complex():
                analytical = analytical + 1j * (us[1j] * g.imag).sum()
            if not _close(check, analytical, numerical):
                _backward_slow(replace(check, fast=False), outputs, places)
                raise GradcheckError(
                    _mismatch(check, np.asarray(numerical), np.asarray(analytical), o, n)
                    + "Fast gradcheck failed but element-wise differences are small. This means "
                    "that the test might've passed in slow_mode! If you are sure of the gradients, "
                    "use fast_mode=False or a larger atol."
                )
            _check_reentrant(check, g, again[o][n])


def _unit(rng: Any, x: Any) -> Any:
    """A random direction."""
    v = rng.standard_normal(tuple(x.shape))
    return v / max(np.sqrt((v * v).sum()), 1e-30)


def _mismatch(
    check: Check, numerical: Any, analytical: Any, o: int, i: int, forward: bool = False
) -> str:
    whose = "inputs" if forward else "outputs"
    part = f"While considering the {check.part} part of complex {whose} only, "
    mode = "computed with forward mode " if forward else ""
    return (
        f"{part if check.part else ''}Jacobian {mode}mismatch for output {o} with respect to "
        f"input {i},\nnumerical:{facula.as_tensor(numerical)}\n"
        f"analytical:{facula.as_tensor(analytical)}\n"
    )


def multiplied(check: Check) -> None:
    """Gradients are products with the gradient that comes in: zero for zero."""
    for y in differentiable(check.outputs()):
        for g in _gradients(check, y, np.zeros(y.shape)):
            if g.size and np.abs(g).max() > 0:
                raise GradcheckError("backward not multiplied by grad_output")


def undefined(check: Check) -> None:
    """Backward with gradients of outputs that are not there."""

    class Undefined(Function):
        @staticmethod
        def forward(ctx: Any, t: Any) -> Any:
            return t.clone()

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return None

    count = len(differentiable(check.outputs()))
    sets = [set(range(count)), *([{k} for k in range(count)] if count > 1 else [])]
    xs = [check.inputs[i] for i in check.wanted]
    for gone in sets:
        ys = [
            Undefined.apply(y) if k in gone else y
            for k, y in enumerate(differentiable(check.outputs()))
        ]
        try:
            found = calls.grad(ys, xs, [facula.zeros_like(y) for y in ys], allow_unused=True)
        except RuntimeError as error:
            raise GradcheckError(
                "Expected backward function to handle undefined output grads. Please look at "
                '"Notes about undefined output gradients" in "tools/autograd/derivatives.yaml"'
            ) from error
        if any([g is not None and bool((g != 0).any()) for g in found]):
            raise GradcheckError(
                "Expected all input grads to be undefined or zero when all output grads are "
                'undefined or zero. Please look at "Notes about undefined output gradients" in '
                '"tools/autograd/derivatives.yaml"'
            )


def batched_backward(check: Check) -> None:
    """Gradients for several vectors at once are those for one after the other."""
    xs = [check.inputs[i] for i in check.wanted]
    for o, y in enumerate(differentiable(check.outputs())):

        def back(v: Any, y: Any = y) -> Any:
            found = calls.grad(y, xs, v, retain_graph=True, allow_unused=True)
            return tuple(
                [facula.zeros_like(x) if g is None else g for g, x in zip(found, xs, strict=True)]
            )

        vs = facula.randn(2, *y.shape).to(y.dtype)
        _same_batch(back, vs, o, "")


def _same_batch(f: Callable[..., Any], vs: Any, o: int, mode: str) -> None:
    expected = [facula.stack(list(c)) for c in zip(*[f(v) for v in vs], strict=True)]
    try:
        found = vmap(f)(vs)
    except RuntimeError as error:
        raise GradcheckError(
            f"While computing batched gradients, got: {error}\n\n"
            f"gradcheck or gradgradcheck failed while testing batched gradient computation{mode}. "
            "This could have been invoked in a number of ways (via a test that calls "
            "gradcheck/gradgradcheck directly or via an autogenerated test)."
        ) from error
    for n, (a, b) in enumerate(zip(found, expected, strict=True)):
        if not facula.allclose(a, b):
            at = (
                f"output {n} with respect to input {o}"
                if mode
                else (f"output {o} with respect to input {n}")
            )
            raise GradcheckError(
                f"For {at}, batched gradients{mode} differ from those of one vector after the "
                f"other:\nGot:\n{a}\n\nExpected:\n{b}\n"
            )


# ---- forward


def forward_by_parts(check: Check) -> None:
    complexes = any([check.inputs[i].is_complex() for i in check.wanted])
    if complexes:
        _forward(replace(check, part="imaginary"), 1j)
    _forward(replace(check, part="real") if complexes else check, 1)


def _forward(check: Check, unit: complex) -> None:
    for n, i in enumerate(check.wanted):
        x = check.inputs[i]
        if unit != 1 and not x.is_complex():
            continue
        if check.fast:
            directions = [_unit(np.random.default_rng(i), x)]
        else:
            directions = _units(x)
        slopes = [_difference(check, i, unit * u) for u in directions]
        found = [_tangents(check, i, unit * u) for u in directions]
        for o in range(len(slopes[0]) if slopes else 0):
            numerical = np.array([s[o].reshape(-1) for s in slopes])
            analytical = np.array([s[o].reshape(-1) for s in found])
            if not _close(check, analytical, numerical):
                raise GradcheckError(_mismatch(check, numerical, analytical, o, n, forward=True))


def _tangents(check: Check, i: int, direction: Any) -> list[Any]:
    """What forward mode says of the outputs' change along a direction of input i."""
    v = facula.from_numpy(np.asarray(direction, check.inputs[i].node.dtype.np))
    return [np.zeros(tuple(y.shape)) if t is None else _array(t) for y, t in _pushed(check, i, v)]


def _pushed(check: Check, i: int, v: Any) -> list[tuple[Any, Any]]:
    """The outputs and their tangents, for a tangent of input i."""
    with forward_ad.dual_level():
        args = list(check.inputs)
        for k in check.wanted:
            x = args[k].detach()
            args[k] = forward_ad.make_dual(x, v if k == i else facula.zeros_like(x))
        made = [(y, forward_ad.unpack_dual(y).tangent) for y in as_tuple(check.func(*args))]
    if check.dtypes and any([t is not None and y.is_complex() != t.is_complex() for y, t in made]):
        raise GradcheckError("Forward AD gradient has dtype mismatch.")
    return made


def batched_forward(check: Check) -> None:
    """Tangents for several vectors at once are those for one after the other."""
    for n, i in enumerate(check.wanted):

        def push(v: Any, i: int = i) -> Any:
            made = _pushed(check, i, v)
            return tuple([facula.zeros_like(y) if t is None else t for y, t in made])

        x = check.inputs[i]
        _same_batch(push, facula.randn(2, *x.shape).to(x.dtype), n, " with forward mode")
