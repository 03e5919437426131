"""Printing tensors as PyTorch does.

Source: https://pytorch.org/docs/stable/generated/torch.set_printoptions.html
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

_DEFAULTS: dict[str, Any] = {
    "precision": 4,
    "threshold": 1000,
    "edgeitems": 3,
    "linewidth": 80,
    "sci_mode": None,
}
_options = dict(_DEFAULTS)


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors are printed; `profile` is 'default', 'short' or 'full'."""
    if profile is not None:
        if profile in ("default", "short", "full"):  # PyTorch passes over other names
            _options.update(_DEFAULTS)
        if profile == "short":
            _options.update(precision=2, edgeitems=2)
        elif profile == "full":
            _options["threshold"] = math.inf
    given = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    _options.update({k: v for k, v in given.items() if v is not None})
    _options["sci_mode"] = sci_mode


def get_printoptions() -> dict[str, Any]:
    """How tensors are printed."""
    return dict(_options)


class _Formatter:
    """One width and one notation for all elements of a real tensor."""

    def __init__(self, a: Any) -> None:
        self.floating = a.dtype.kind in "fV"  # V: 8-bit floats
        self.sci = False
        self.int_mode = True
        self.width = 1
        if not self.floating:
            self.width = max([len(str(v)) for v in a.tolist()], default=1)
            return
        a = a.astype(np.float64)
        finite = a[np.isfinite(a) & (a != 0)]
        precision = _options["precision"]
        if finite.size:
            mags = np.abs(finite)
            low, high = float(mags.min()), float(mags.max())
            self.int_mode = bool(np.all(finite == np.ceil(finite)))
            self.sci = high / low > 1000.0 or high > 1.0e8 or low < 1.0e-4
            if _options["sci_mode"] is not None:  # of zeros and infinities alone it says nothing
                self.sci = _options["sci_mode"]
            if self.int_mode and not self.sci:
                self.width = max([len(f"{v:.0f}") + 1 for v in finite.tolist()])
            elif self.sci:
                self.width = max([len(f"{v:.{precision}e}") for v in finite.tolist()])
            else:
                self.width = max([len(f"{v:.{precision}f}") for v in finite.tolist()])

    def __call__(self, v: Any) -> str:
        if not self.floating:
            return str(v).rjust(self.width)
        precision = _options["precision"]
        if self.sci:
            s = f"{v:{self.width}.{precision}e}"
        elif self.int_mode:
            s = f"{v:.0f}" + ("." if math.isfinite(v) else "")
        else:
            s = f"{v:{self.width}.{precision}f}"
        return s.rjust(self.width)


class _Complex:
    """Real and imaginary parts, each with its own notation."""

    def __init__(self, a: Any) -> None:
        self.real, self.imag = _Formatter(a.real.copy()), _Formatter(a.imag.copy())
        self.width = self.real.width + self.imag.width + 1

    def __call__(self, v: Any) -> str:
        imag = self.imag(v.imag).lstrip()
        sign = "" if imag[0] in "+-" else "+"
        return self.real(v.real) + sign + imag + "j"


def _corners(a: Any) -> Any:
    """The elements that a summary shows."""
    e = _options["edgeitems"]
    for d in range(a.ndim):
        if a.shape[d] > 2 * e:
            index = np.r_[0:e, a.shape[d] - e : a.shape[d]]
            a = np.take(a, index, axis=d)
    return a


def _lines(a: Any, fmt: Any, indent: int, summarise: bool) -> str:
    if a.ndim == 0:
        return str(fmt(a.item()))
    e = _options["edgeitems"]
    cut = summarise and a.shape[0] > 2 * e
    if a.ndim == 1:
        row = [fmt(v) for v in (a[:e] if cut else a).tolist()]
        if cut:
            row += [" ..."] + [fmt(v) for v in a[-e:].tolist()]
        per_line = max(1, (_options["linewidth"] - indent) // (fmt.width + 2))
        chunks = [row[i : i + per_line] for i in range(0, len(row), per_line)] or [[]]
        return "[" + (",\n" + " " * (indent + 1)).join([", ".join(c) for c in chunks]) + "]"
    picked = (
        [a[i] for i in range(a.shape[0])]
        if not cut
        else ([a[i] for i in range(e)] + [None] + [a[i] for i in range(a.shape[0] - e, a.shape[0])])
    )
    parts = ["..." if p is None else _lines(p, fmt, indent + 1, summarise) for p in picked]
    return "[" + (",\n" + "\n" * (a.ndim - 2) + " " * (indent + 1)).join(parts) + "]"


def data_str(a: Any, indent: int) -> str:
    """The elements in brackets, lines after the first indented."""
    summarise = a.size > _options["threshold"]
    shown = _corners(a) if summarise else a
    flat = np.ascontiguousarray(shown).reshape(-1)
    fmt: Any = _Complex(flat) if a.dtype.kind == "c" else _Formatter(flat)
    return _lines(a, fmt, indent, summarise)


def text_of(t: Any) -> str:
    """What `repr` says of a tensor."""
    from facula.meta import META
    from facula.ops.table import CLASSES
    from facula.values import values

    rg = t.requires_grad
    name = None
    try:
        fn = t.grad_fn
    except RuntimeError:  # the rules of views forbid it a history (`storage.forbid`)
        name = "Invalid"
    else:
        if fn is not None:
            name = fn.name() if hasattr(fn, "name") else type(fn).__name__
    cls = type(t)
    own = cls in CLASSES  # a class of the program: its name stands in place of `tensor`
    called = cls.__name__ if own else "tensor"
    if t.node.op is META:
        text = meta_str(t, None if t._leaf_rg else name, called)
    else:
        text = tensor_str(
            values(t),
            t.node.dtype._name,
            requires_grad=rg,
            grad_fn_name=name,
            device=str(t.device),
            name=called,
        )
    if own:
        from facula.nn import Parameter

        return f"Parameter({text})" if isinstance(t, Parameter) else text
    return text


def tensor_str(
    array: Any,
    dtype_name: str,
    *,
    requires_grad: bool = False,
    grad_fn_name: str | None = None,
    device: str = "cpu",
    name: str = "tensor",
) -> str:
    """`tensor(...)` with the suffixes that PyTorch prints; `name` is that of a subclass."""
    from facula import dtypes

    a = array.astype(np.float32) if dtype_name == "bfloat16" else array
    suffixes = []
    usual = dtype_name in ("int64", "bool") or (
        dtype_name
        in (dtypes.get_default_dtype()._name, dtypes.get_default_dtype().to_complex()._name)
    )
    if a.size == 0:
        if a.ndim != 1:
            suffixes.append("size=" + str(tuple(a.shape)))
        usual = dtype_name == dtypes.get_default_dtype()._name
        body = "[]"
    else:
        body = data_str(a, len(name) + 1)
    if device != "cpu":
        suffixes.append(f"device='{device}'")
    if not usual:
        suffixes.append("dtype=torch." + dtype_name)
    return _with_suffixes(name + "(", body, suffixes, requires_grad, grad_fn_name)


def meta_str(t: Any, grad_fn_name: str | None, name: str = "tensor") -> str:
    """A tensor without data, as PyTorch prints it."""
    from facula import dtypes

    suffixes = ["device='meta'", f"size={tuple(t.shape)}"]
    if t.dtype is not dtypes.get_default_dtype():
        suffixes.append(f"dtype={t.dtype}")
    return _with_suffixes(name + "(", "...", suffixes, t.requires_grad, grad_fn_name)


def _with_suffixes(
    prefix: str, body: str, suffixes: list[str], requires_grad: bool, grad_fn_name: str | None
) -> str:
    if grad_fn_name is not None:
        suffixes.append(f"grad_fn=<{grad_fn_name}>")
    elif requires_grad:
        suffixes.append("requires_grad=True")
    out = prefix + body
    last = len(out) - out.rfind("\n") + 1  # PyTorch counts the end of the line and the bracket
    for s in suffixes:
        if last + len(s) + 2 > _options["linewidth"]:
            out += ",\n" + " " * len(prefix) + s
            last = len(prefix) + len(s)
        else:
            out += ", " + s
            last += len(s) + 2
    return out + ")"
