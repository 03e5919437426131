"""Random tensors. Numbers are drawn at the call: PyTorch's CPU stream is sequential."""

from __future__ import annotations

from typing import Any

import numpy as np

from facula import devices, dtypes
from facula.ops import pointwise as pw
from facula.ops.creations import _finish, _shape
from facula.ops.registry import like_strides
from facula.ops.shapes import keeps_layout
from facula.ops.table import FUNCTIONS, METHODS, api
from facula.tensor import Tensor, check_in_place, from_array, realise, write
from facula.trace.recorder import record, relayout


def _gen(generator: Any) -> Any:
    from facula import random

    return random.default_generator if generator is None else generator


def _random(name: str, draw: Any) -> None:
    def f(
        *size: Any,
        generator: Any = None,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        layout: Any = None,
        pin_memory: bool = False,
        **kw: Any,
    ) -> Any:
        devices.check(device)
        d = dtype or dtypes.get_default_dtype()
        if d.category < dtypes.FLOAT:
            raise NotImplementedError(f'"{name}" not implemented for {d}')
        a = draw(_gen(generator), _shape(size, kw.pop("size", None)), d.np, None)
        return _finish(from_array(np.asarray(a)), requires_grad)

    def like(
        input: Any,
        *,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        layout: Any = None,
        memory_format: Any = None,
        generator: Any = None,
    ) -> Any:
        devices.check(device)
        d = dtype or input.dtype
        if d.category < dtypes.FLOAT:
            raise NotImplementedError(f'"{name}" not implemented for {d}')
        strides = like_strides(input.node) if keeps_layout(memory_format) else None
        a = draw(_gen(generator), input.node.shape, d.np, strides)
        return _finish(_laid_out(a, strides), requires_grad)

    f.__name__, like.__name__ = name, name + "_like"
    f.__doc__ = f"Random numbers ({name})."
    like.__doc__ = f"Random numbers ({name}), shaped like another tensor."
    api(f, method=False)
    api(like, method=False)


def _laid_out(a: Any, strides: Any) -> Any:
    """An array as a tensor with the strides that it was drawn in."""
    return from_array(relayout(np.asarray(a), strides) if strides else np.asarray(a))


_random("rand", lambda g, shape, d, st: g.uniform(shape, d, 0.0, 1.0, strides=st))
_random("randn", lambda g, shape, d, st: g.normal(shape, d, 0.0, 1.0, strides=st))


@api(method=False)
def randint(
    *args: Any,
    low: Any = None,
    high: Any = None,
    size: Any = None,
    generator: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
) -> Any:
    """Random integers from low (0) to high, exclusive."""
    devices.check(device)
    rest = list(args)
    if rest and isinstance(rest[-1], (tuple, list)):
        size = rest.pop()
    if len(rest) == 2:
        low, high = rest
    elif len(rest) == 1:
        low, high = (rest[0], high) if high is not None else (low or 0, rest[0])
    low = 0 if low is None else low
    if low >= high:
        raise RuntimeError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        )
    d = dtype or dtypes.int64
    a = _gen(generator).integers(_shape((size,)), int(low), int(high), d.np)
    return _finish(from_array(np.asarray(a)), requires_grad)


@api(method=False)
def randint_like(
    input: Any, low: Any, high: Any = None, *, dtype: Any = None, device: Any = None
) -> Any:
    """Random integers, shaped like another tensor."""
    lo, hi = (0, low) if high is None else (low, high)
    if lo >= hi:
        return randint.__wrapped__(lo, hi, input.node.shape)
    devices.check(device)
    strides = like_strides(input.node)
    d = (dtype or input.dtype).np
    a = _gen(None).integers(input.node.shape, int(lo), int(hi), d, strides=strides)
    return _laid_out(a, strides)


@api(method=False)
def randperm(
    n: int,
    *,
    generator: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Any:
    """A random order of 0 .. n-1."""
    devices.check(device)
    if n < 0:
        raise RuntimeError(f"n must be non-negative, got {n}")
    return from_array(np.asarray(_gen(generator).permutation(n, (dtype or dtypes.int64).np)))


def _order(t: Any) -> Any:
    """The strides that say in which order a fill visits the elements: None for row-major."""
    return t.node.strides


def _store(self: Any, a: Any, name: str) -> Any:
    check_in_place(self, name)
    write(self, from_array(np.ascontiguousarray(a).reshape(self.node.shape)))
    return self


def uniform_(self: Any, a: float = 0.0, b: float = 1.0, *, generator: Any = None, **kw: Any) -> Any:
    """Fill with numbers uniform in [a, b)."""
    a, b = kw.get("from", a), kw.get("to", b)
    if a > b:
        raise RuntimeError(
            f"uniform_ expects to return a [from, to) range, but found from={a} > to={b}"
        )
    check_in_place(self, "uniform_")
    drawn = _gen(generator).uniform(self.node.shape, self.dtype.np, a, b, strides=_order(self))
    return _store(self, drawn, "uniform_")


def normal_(self: Any, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Any:
    """Fill with normal numbers."""
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    check_in_place(self, "normal_")
    drawn = _gen(generator).normal(self.node.shape, self.dtype.np, mean, std, strides=_order(self))
    return _store(self, drawn, "normal_")


def random_(self: Any, *args: Any, generator: Any = None) -> Any:
    """Fill with integers over the dtype's range, or from the given range."""
    check_in_place(self, "random_")
    g = _gen(generator)
    if not args:
        drawn = g.random_full(self.node.shape, self.dtype.np, strides=_order(self))
        return _store(self, drawn, "random_")
    lo, hi = (0, args[0]) if len(args) == 1 else args
    drawn = g.integers(self.node.shape, lo, hi, self.dtype.np, strides=_order(self))
    return _store(self, drawn, "random_")


def bernoulli_(self: Any, p: Any = 0.5, *, generator: Any = None) -> Any:
    """Fill with ones of probability p, zeros elsewhere."""
    q = realise(p)._data if isinstance(p, Tensor) else p
    check_in_place(self, "bernoulli_")
    a = _gen(generator).bernoulli(q, self.node.shape, self.dtype.np, strides=_order(self))
    return _store(self, a, "bernoulli_")


METHODS.update(uniform_=uniform_, normal_=normal_, random_=random_, bernoulli_=bernoulli_)
for _n in ("exponential", "cauchy", "log_normal", "geometric"):

    def _make(n: str) -> Any:
        def f(self: Any, *args: Any, generator: Any = None, **kw: Any) -> Any:
            check_in_place(self, n + "_")
            draw = getattr(_gen(generator), n)
            drawn = draw(self.node.shape, self.dtype.np, *args, strides=_order(self), **kw)
            return _store(self, drawn, n + "_")

        f.__name__ = n + "_"
        f.__doc__ = f"Fill with {n} numbers."
        return f

    METHODS[_n + "_"] = _make(_n)


@api
def bernoulli(input: Any, p: Any = None, *, generator: Any = None) -> Any:
    """Ones with the probabilities of the input, zeros elsewhere; the gradient is zero."""
    q = input.detach() if p is None else p
    drawn = bernoulli_(FUNCTIONS["zeros"](input.shape, dtype=input.dtype), q, generator=generator)
    return record(pw.COPY, (input, drawn)) if input.requires_grad else drawn


@api(method=False)
def normal(
    mean: Any,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Any:
    """Normal numbers with a mean and a standard deviation for each."""
    if size is not None:
        d = dtype or dtypes.get_default_dtype()
        return _finish(
            from_array(_gen(generator).normal(_shape((size,)), d.np, mean, std)), requires_grad
        )
    like = mean if isinstance(mean, Tensor) else std
    shape = FUNCTIONS["broadcast_shapes"](*[x.shape for x in (mean, std) if isinstance(x, Tensor)])
    if isinstance(std, Tensor) and bool((std < 0).any()):
        raise RuntimeError("normal expects all elements of std >= 0.0")
    z = from_array(_gen(generator).normal(tuple(shape), like.dtype.np, 0.0, 1.0))
    return (z * std + mean).detach()


@api
def multinomial(
    input: Any, num_samples: int, replacement: bool = False, *, generator: Any = None
) -> Any:
    """Indices drawn with the weights of each row."""
    a = realise(input.detach())._data
    if a.ndim not in (1, 2):
        raise RuntimeError(f"multinomial: prob_dist must be 1 or 2 dim, got {a.ndim}")
    if np.any(a.astype(np.float64).sum(-1) <= 0):
        raise RuntimeError(
            "multinomial: invalid multinomial distribution (sum of probabilities <= 0)"
        )
    if np.any(a < 0) or not np.all(np.isfinite(a)):
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if num_samples <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    if not replacement and num_samples > a.shape[-1]:
        raise RuntimeError(
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement"
        )
    return from_array(np.asarray(_gen(generator).multinomial(a, num_samples, replacement)))


@api(method=False)
def dropout(input: Any, p: float, train: bool) -> Any:
    """Elements set to zero with probability p, the others scaled by 1 / (1 - p)."""
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    if not train or p == 0:
        return input
    if p == 1:
        return input * input.new_zeros(())
    strides = like_strides(input.node)
    drawn = _gen(None).bernoulli(1 - p, input.node.shape, np.bool_, strides=strides)
    keep = from_array(np.asarray(drawn))
    return input * (pw.cast(keep, input.node.dtype) * (1 / (1 - p)))
