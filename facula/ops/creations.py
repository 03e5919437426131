"""Tensors from nothing, from data and from random numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from facula import devices, dtypes
from facula.ops import movement as mv
from facula.ops import pointwise as pw
from facula.ops.creation import FULL
from facula.ops.shapes import sizes
from facula.ops.table import FUNCTIONS, METHODS, api
from facula.tensor import Tensor, check_in_place, from_array, realise, wrap_dim, write
from facula.trace.recorder import record


def _finish(t: Any, requires_grad: bool) -> Any:
    return t.requires_grad_(True) if requires_grad else t


def _shape(args: tuple[Any, ...], size: Any = None) -> tuple[int, ...]:
    shape = sizes(args if size is None else (size,))
    for n in shape:
        if n < 0:
            raise RuntimeError(
                f"Trying to create tensor with negative dimension {n}: {list(shape)}"
            )
    return shape


def _full(shape: tuple[int, ...], value: Any, dtype: Any, requires_grad: bool, device: Any) -> Any:
    devices.check(device)
    return _finish(record(FULL, (), (shape, dtype), (value,)), requires_grad)


def _constant(name: str, value: Any) -> None:
    def f(
        *size: Any,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        layout: Any = None,
        pin_memory: bool = False,
        memory_format: Any = None,
        **kw: Any,
    ) -> Any:
        shape = _shape(size, kw.pop("size", None))
        if kw:
            raise TypeError(f"{name}() got an unexpected keyword argument '{next(iter(kw))}'")
        return _full(shape, value, dtype or dtypes.get_default_dtype(), requires_grad, device)

    def like(
        input: Any,
        *,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        layout: Any = None,
        pin_memory: bool = False,
        memory_format: Any = None,
    ) -> Any:
        return _full(input.node.shape, value, dtype or input.dtype, requires_grad, device)

    def new(
        self: Any,
        *size: Any,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        layout: Any = None,
        pin_memory: bool = False,
        **kw: Any,
    ) -> Any:
        shape = _shape(size, kw.pop("size", None))
        return _full(shape, value, dtype or self.dtype, requires_grad, device)

    f.__name__, like.__name__, new.__name__ = name, name + "_like", "new_" + name
    f.__doc__ = f"A tensor of {name}."
    like.__doc__ = f"A tensor of {name}, shaped like another."
    new.__doc__ = f"A tensor of {name} with this one's dtype."
    api(f, method=False)
    api(like, method=False)
    api(new, function=False)


_constant("zeros", 0)
_constant("ones", 1)
_constant("empty", 0)  # memory that nothing was written to reads as zero


@api(method=False)
def full(
    size: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Any:
    """A tensor of one value, of the value's type."""
    if isinstance(fill_value, Tensor):
        dtype, fill_value = dtype or fill_value.dtype, fill_value.item()
    return _full(
        _shape((size,)), fill_value, dtype or dtypes.scalar_type(fill_value), requires_grad, device
    )


@api(method=False)
def full_like(
    input: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    memory_format: Any = None,
) -> Any:
    """A tensor of one value, shaped like another."""
    return _full(input.node.shape, fill_value, dtype or input.dtype, requires_grad, device)


@api(function=False)
def new_full(
    self: Any,
    size: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Any:
    """A tensor of one value with this one's dtype."""
    return _full(_shape((size,)), fill_value, dtype or self.dtype, requires_grad, device)


def _guess(data: Any) -> Any:
    """The dtype of nested Python numbers."""
    if isinstance(data, (list, tuple)):
        out = None
        for x in data:
            d = _guess(x)
            if d is not None:
                out = d if out is None else dtypes.promote_types(out, d)
        return out
    if isinstance(data, Tensor):
        return data.dtype
    if isinstance(data, (np.ndarray, np.generic)):
        return dtypes.from_np(data.dtype)
    return dtypes.scalar_type(data)


def _plain(data: Any) -> Any:
    if isinstance(data, Tensor):
        return data.detach().numpy()
    if isinstance(data, (list, tuple)) and any(isinstance(x, (Tensor, list, tuple)) for x in data):
        return [_plain(x) for x in data]
    return data


@api(method=False)
def tensor(
    data: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """A tensor with a copy of the data: numbers, nested sequences, arrays or tensors."""
    devices.check(device)
    if isinstance(data, Tensor):
        out = data.detach().clone()
        return _finish(out if dtype is None else out.to(dtype), requires_grad)
    if isinstance(data, (np.ndarray, np.generic)):
        d = dtype or dtypes.from_np(data.dtype)
        a = np.array(data).astype(d.np)
    else:
        if isinstance(data, str):
            raise TypeError("new(): invalid data type 'str'")
        if hasattr(data, "__array__"):
            return tensor.__wrapped__(np.asarray(data), dtype=dtype, requires_grad=requires_grad)
        d = dtype or _guess(data) or dtypes.get_default_dtype()
        try:
            a = np.array(_plain(data))
            if a.dtype.kind == "O":
                raise ValueError
            if d.category == dtypes.INT and a.dtype.kind == "f" and not np.isfinite(a).all():
                raise RuntimeError(f"value cannot be converted to type {d} without overflow")
            a = a.real.astype(d.np) if a.dtype.kind == "c" and d.category < 3 else a.astype(d.np)
        except (ValueError, TypeError):
            raise ValueError(
                f"tensor(): expected numbers nested in sequences of equal lengths, "
                f"got {type(data).__name__} {str(data)[:60]}"
            ) from None
    return _finish(from_array(np.ascontiguousarray(a).reshape(a.shape)), requires_grad)


@api(method=False, names=("asarray",))
def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Any:
    """The data as a tensor, sharing memory where possible."""
    devices.check(device)
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    if isinstance(data, np.ndarray) and (dtype is None or dtypes.from_np(data.dtype) is dtype):
        return from_numpy(data)
    return tensor.__wrapped__(data, dtype=dtype)


def from_numpy(ndarray: Any) -> Any:
    """A tensor that shares the array's memory."""
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    if not ndarray.flags.writeable:
        import warnings

        warnings.warn(
            "The given NumPy array is not writable, and PyTorch does not support "
            "non-writable tensors.",
            UserWarning,
            stacklevel=2,
        )
        ndarray = ndarray.copy()
    return from_array(ndarray, owned=False)


def from_dlpack(ext_tensor: Any) -> Any:
    """A tensor that shares the memory of any object with `__dlpack__`."""
    return from_array(np.from_dlpack(ext_tensor), owned=False)


def frombuffer(
    buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Any:
    """A tensor over a Python buffer."""
    return _finish(
        from_array(np.frombuffer(buffer, dtype.np, count, offset), owned=False), requires_grad
    )


FUNCTIONS.update(from_numpy=from_numpy, from_dlpack=from_dlpack, frombuffer=frombuffer)


@api(method=False)
def arange(
    *args: Any,
    start: Any = None,
    end: Any = None,
    step: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Any:
    """Numbers from start (0) to end, exclusive, in steps of `step` (1)."""
    devices.check(device)
    given = [x.item() if isinstance(x, (Tensor, np.generic)) else x for x in args]
    if len(given) == 1:
        given = [0, *given]
    lo = given[0] if given else (0 if start is None else start)
    hi = given[1] if len(given) > 1 else end
    by = given[2] if len(given) > 2 else (1 if step is None else step)
    if hi is None:
        raise TypeError("arange(): 'end' is missing")
    if by == 0:
        raise RuntimeError("step must be nonzero")
    if (hi - lo) * by < 0:
        raise RuntimeError(
            f"upper bound and lower bound inconsistent with step sign: arange({lo}, {hi}, {by})"
        )
    if dtype is None:
        dtype = (
            dtypes.get_default_dtype()
            if any(isinstance(x, float) for x in (lo, hi, by))
            else dtypes.int64
        )
    n = math.ceil((hi - lo) / by)
    wide = np.int64 if dtype.category < dtypes.FLOAT else np.float64
    return _finish(from_array((lo + np.arange(n, dtype=wide) * by).astype(dtype.np)), requires_grad)


@api(method=False)
def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Any:
    """`steps` numbers at equal distances, both ends included."""
    devices.check(device)
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    start, end = [x.item() if isinstance(x, Tensor) else x for x in (start, end)]
    d = dtype or dtypes.result_default(start, end)
    wide = np.complex128 if d.is_complex else np.float64
    a = np.linspace(start, end, steps, dtype=wide)
    return _finish(from_array(a.astype(d.np)), requires_grad)


@api(method=False)
def eye(
    n: int,
    m: Any = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
) -> Any:
    """The identity matrix."""
    devices.check(device)
    if n < 0 or (m is not None and m < 0):
        raise RuntimeError(f"n must be greater or equal to 0, got {n}")
    return _finish(
        from_array(np.eye(n, m, dtype=(dtype or dtypes.get_default_dtype()).np)), requires_grad
    )


@api(method=False)
def scalar_tensor(s: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """A 0-d tensor of a number, of the default dtype."""
    return tensor.__wrapped__(s, dtype=dtype or dtypes.get_default_dtype())


@api(function=False)
def new_tensor(
    self: Any, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """A tensor of the data with this one's dtype."""
    return tensor.__wrapped__(data, dtype=dtype or self.dtype, requires_grad=requires_grad)


# Random numbers are drawn at the call: PyTorch's CPU stream is sequential.
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
            raise RuntimeError(f'"{name}" not implemented for {d}')
        a = draw(_gen(generator), _shape(size, kw.pop("size", None)), d.np)
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
        return f(
            input.node.shape,
            dtype=dtype or input.dtype,
            requires_grad=requires_grad,
            generator=generator,
        )

    f.__name__, like.__name__ = name, name + "_like"
    f.__doc__ = f"Random numbers ({name})."
    like.__doc__ = f"Random numbers ({name}), shaped like another tensor."
    api(f, method=False)
    api(like, method=False)


_random("rand", lambda g, shape, d: g.uniform(shape, d, 0.0, 1.0))
_random("randn", lambda g, shape, d: g.normal(shape, d, 0.0, 1.0))


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
    return randint.__wrapped__(lo, hi, input.node.shape, dtype=dtype or input.dtype)


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
    return _store(self, _gen(generator).uniform(self.node.shape, self.dtype.np, a, b), "uniform_")


def normal_(self: Any, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Any:
    """Fill with normal numbers."""
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    check_in_place(self, "normal_")
    return _store(
        self, _gen(generator).normal(self.node.shape, self.dtype.np, mean, std), "normal_"
    )


def random_(self: Any, *args: Any, generator: Any = None) -> Any:
    """Fill with integers over the dtype's range, or from the given range."""
    check_in_place(self, "random_")
    g = _gen(generator)
    if not args:
        return _store(self, g.random_full(self.node.shape, self.dtype.np), "random_")
    lo, hi = (0, args[0]) if len(args) == 1 else args
    return _store(self, g.integers(self.node.shape, lo, hi, self.dtype.np), "random_")


def bernoulli_(self: Any, p: Any = 0.5, *, generator: Any = None) -> Any:
    """Fill with ones of probability p, zeros elsewhere."""
    q = realise(p)._data if isinstance(p, Tensor) else p
    a = _gen(generator).bernoulli(q, self.node.shape, self.dtype.np)
    return _store(self, a, "bernoulli_")


METHODS.update(uniform_=uniform_, normal_=normal_, random_=random_, bernoulli_=bernoulli_)
for _n in ("exponential", "cauchy", "log_normal", "geometric"):

    def _make(n: str) -> Any:
        def f(self: Any, *args: Any, generator: Any = None, **kw: Any) -> Any:
            g = _gen(generator)
            return _store(self, getattr(g, n)(self.node.shape, self.dtype.np, *args, **kw), n + "_")

        f.__name__ = n + "_"
        f.__doc__ = f"Fill with {n} numbers."
        return f

    METHODS[_n + "_"] = _make(_n)


@api
def bernoulli(input: Any, p: Any = None, *, generator: Any = None) -> Any:
    """Ones with the probabilities of the input, zeros elsewhere."""
    return bernoulli_(
        input.detach().clone(), input.detach() if p is None else p, generator=generator
    )


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
    keep = _gen(None).bernoulli(1 - p, input.node.shape, input.dtype.np)
    return input * (from_array(np.asarray(keep)) * (1 / (1 - p)))


_ = mv, pw, wrap_dim
