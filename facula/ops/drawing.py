"""Random tensors. Numbers are drawn at the call: PyTorch's CPU stream is sequential."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from facula import devices, dtypes, meta
from facula.batches import ACTIVE, all_lowered, all_raised, random_levels
from facula.in_place import check_in_place
from facula.ops import pointwise as pw
from facula.ops.creations import checked_shape, finish, several
from facula.ops.indices import known
from facula.ops.movement import TIED, strides_like
from facula.ops.reduce import CUMSUM
from facula.ops.registry import like_strides
from facula.ops.table import FUNCTIONS, METHODS, api, explained
from facula.sampling import fit, running_sums
from facula.tensor import Tensor
from facula.trace.node import Other, placed
from facula.trace.recorder import record
from facula.trace.settling import relayout
from facula.values import from_array, realise
from facula.writes import fill, write


def _gen(generator: Any, device: Any = None) -> Any:
    from facula import random

    if generator is None:
        return random.default_generator_of(device)
    if not hasattr(generator, "initial_seed"):
        raise TypeError(f"argument 'generator' must be Generator, not {type(generator).__name__}")
    wanted = "cpu" if device is None else device.type
    if generator.device.type != wanted:
        raise RuntimeError(
            f"Expected a '{wanted}' device type for generator but found '{generator.device.type}'"
        )
    return generator


def drawn(generator: Any, shape: Any, draw: Any, strides: Any = None, device: Any = None) -> Any:
    """A tensor of draw(generator, shape, strides); inside a vmap, as it asks for random numbers."""
    if device is not None and device is not devices.CPU:
        from facula.cuda.transfer import tensor_of

        if ACTIVE.levels:
            raise NotImplementedError("random numbers of a CUDA device inside vmap")
        return tensor_of(draw(_gen(generator, device), shape, strides), device)
    if not ACTIVE.levels:
        return _laid_out(draw(_gen(generator), shape, strides), strides)
    levels = random_levels()
    if not levels:
        return _laid_out(draw(_gen(generator), shape, strides), strides)
    full = (*[level.size for level in levels], *shape)
    return all_raised(_laid_out(draw(_gen(generator), full, None), None), levels)


def drawn_of(generator: Any, draw: Any, *ts: Any) -> Any:
    """A tensor of draw(generator, *values of tensors), each batch of a vmap with its numbers."""
    where = ts[0].node.device
    if where is not None:
        return _drawn_away(generator, draw.__name__, where, ts)
    levels = random_levels(ts) if ACTIVE.levels else []
    values = [realise(all_lowered(t.detach(), levels))._data for t in ts]
    return all_raised(from_array(np.asarray(draw(_gen(generator), *values))), levels)


def _drawn_away(generator: Any, name: str, where: Any, ts: Any) -> Any:
    """The same on a device, by the name of the draw."""
    from facula.cuda.transfer import tensor_of

    if ACTIVE.levels:
        raise NotImplementedError("random numbers of a CUDA device inside vmap")
    ts = [t.detach() for t in FUNCTIONS["broadcast_tensors"](*ts)]
    if name == "dirichlet":
        made = _drawn_away(generator, "gamma", where, ts)
        return made / made.sum(-1, keepdim=True)
    values = [realise(t.contiguous())._data for t in ts]
    return tensor_of(_gen(generator, where).drawn(name, *values), where)


def _random(name: str, draw: Any) -> None:
    def f(
        *size: Any,
        generator: Any = None,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool | None = False,
        layout: Any = None,
        pin_memory: bool | None = False,
        **kw: Any,
    ) -> Any:
        d = dtype or dtypes.get_default_dtype()
        if d.category < dtypes.FLOAT:
            raise NotImplementedError(f'"{name}" not implemented for {d}')
        if not size and "size" not in kw:
            raise TypeError(f'{name}() missing 1 required positional argument: "size"')
        shape = checked_shape(size, kw.pop("size", None))
        if kw.keys() - {"out"}:
            raise TypeError(f"{name}() got an unexpected keyword argument '{next(iter(kw))}'")
        where = devices.check(device)
        if where is devices.META:
            return finish(meta.empty(shape, d), requires_grad)
        made = drawn(generator, shape, lambda g, n, st: draw(g, n, d.np, st), None, where)
        return finish(made, requires_grad)

    def like(
        input: Any,
        *,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool | None = False,
        layout: Any = None,
        pin_memory: bool | None = False,
        memory_format: Any = None,
        generator: Any = None,
    ) -> Any:
        d = dtype or input.dtype
        if d.category < dtypes.FLOAT:
            raise NotImplementedError(f'"{name}" not implemented for {d}')
        strides = strides_like(input.node, memory_format)
        where = devices.check(device or input.device)
        if where is devices.META:
            return finish(meta.empty(input.node.shape, d, strides), requires_grad)
        size = input.node.shape
        made = drawn(generator, size, lambda g, n, st: draw(g, n, d.np, st), strides, where)
        return finish(made, requires_grad)

    f.__name__, like.__name__ = name, name + "_like"
    f.__doc__ = f"Random numbers ({name})."
    like.__doc__ = f"Random numbers ({name}), shaped like another tensor."
    api(f, method=False)
    api(like, method=False)


def _laid_out(a: Any, strides: Any) -> Any:
    """An array as a tensor with the strides that it was drawn in."""
    return from_array(relayout(np.asarray(a), strides) if strides else placed(np.asarray(a)))


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
    requires_grad: bool | None = False,
    layout: Any = None,
    pin_memory: bool | None = False,
) -> Any:
    """Random integers from low (0) to high, exclusive."""
    rest = list(args)
    if rest and isinstance(rest[-1], (tuple, list)):
        size = rest.pop()
    if len(rest) == 2:
        low, high = rest
    elif len(rest) == 1:
        low, high = (rest[0], high) if high is not None else (low or 0, rest[0])
    low = 0 if low is None else low
    for name, bound in (("low", low), ("high", high)):
        if not hasattr(bound, "__index__"):
            raise TypeError(f"randint(): argument '{name}' must be int, not {type(bound).__name__}")
        if isinstance(bound, Tensor) and bound.numel() != 1:
            raise TypeError(
                f"randint(): argument '{name}' must be int, not a tensor of shape "
                f"{list(bound.shape)}"
            )
    if size is None or not isinstance(size, (tuple, list)):
        given = rest[-1] if size is None and rest else size
        raise TypeError(
            f"randint(): argument 'size' must be tuple of ints, not {type(given).__name__}"
        )
    if low >= high:
        raise RuntimeError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        )
    d = dtype or dtypes.int64
    where = devices.check(device)
    if where is devices.META:
        return finish(meta.empty(checked_shape((size,)), d), requires_grad)
    made = drawn(
        generator,
        checked_shape((size,)),
        lambda g, n, st: g.integers(n, int(low), int(high), d.np),
        None,
        where,
    )
    return finish(made, requires_grad)


@api(method=False)
def randint_like(
    input: Any,
    low: int | None = None,
    high: int | None = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
    memory_format: Any = None,
    generator: Any = None,
) -> Any:
    """Random integers, shaped like another tensor."""
    if low is None and high is None:
        raise TypeError("randint_like(): missing 1 required argument: 'high'")
    lo, hi = (0, low or 0) if high is None else (low or 0, high)
    if lo >= hi:
        return randint.__wrapped__(lo, hi, input.node.shape)
    strides = strides_like(input.node, memory_format)
    where = devices.check(device or input.device)
    if where is devices.META:
        made = meta.empty(input.node.shape, dtype or input.dtype, strides)
        return finish(made, requires_grad)
    d = (dtype or input.dtype).np
    made = drawn(
        generator,
        input.node.shape,
        lambda g, n, st: g.integers(n, int(lo), int(hi), d, strides=st),
        strides,
        where,
    )
    return finish(made, requires_grad)


@api(method=False)
def randperm(
    n: int,
    *,
    generator: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool | None = False,
    layout: Any = None,
    pin_memory: bool | None = False,
) -> Any:
    """A random order of 0 .. n-1."""
    if n < 0:
        raise RuntimeError(f"n must be non-negative, got {n}")
    if devices.check(device) is devices.META:
        return finish(meta.empty((n,), dtype or dtypes.int64), requires_grad)
    kind = (dtype or dtypes.int64).np

    def draw(g: Any, shape: Any, strides: Any) -> Any:
        if len(shape) == 1:
            return g.permutation(n, kind)
        rows = [g.permutation(n, kind) for _ in range(math.prod(shape[:-1]))]
        return np.reshape(np.asarray(rows, kind), shape)

    if generator is not None and generator.device.type == "cuda":
        keys = FUNCTIONS["randint"](1 << 32, (n,), generator=generator, device=generator.device)
        return finish(keys.argsort().to(dtype or dtypes.int64), requires_grad, device)
    return finish(drawn(generator, (n,), draw), requires_grad, device)


def _store(self: Any, name: str, generator: Any, draw: Any) -> Any:
    """Write draw(generator, shape, dtype, strides) into a tensor."""
    check_in_place(self, name)
    n = self.node
    if n.op is meta.META:
        return self
    shape, d = n.shape, n.dtype.np
    if n.device is not None:
        where = n.device
        write(self, drawn(generator, shape, lambda g, full, st: draw(g, full, d, st), None, where))
        return self
    if ACTIVE.levels:
        _differs(self, random_levels())

    def one(g: Any, full: Any, st: Any) -> Any:
        a = np.ascontiguousarray(draw(g, full, d, n.strides if full is shape else None))
        return a if a.shape == full else a.reshape(full)

    fill(self, drawn(generator, shape, one))
    return self


def _differs(t: Any, levels: list[Any]) -> None:
    """RuntimeError for one tensor that is to be filled differently along a batch."""
    mine = set()
    while t.node.op.__class__ is Other and hasattr(t, "_level"):
        mine.add(t._level)
        t = t._physical
    if not mine.issuperset([level.number for level in levels]):
        raise RuntimeError(
            "vmap: Cannot ask for different inplace randomness on an unbatched tensor. This will "
            "appear like same randomness. If this is necessary for your usage, please file an "
            "issue with functorch."
        )


@explained
def uniform_(self: Any, a: float = 0.0, b: float = 1.0, *, generator: Any = None, **kw: Any) -> Any:
    """Fill with numbers uniform in [a, b)."""
    if kw.keys() - {"from", "to"}:
        raise TypeError(f"uniform_() got an unexpected keyword argument '{next(iter(kw))}'")
    a, b = kw.get("from", a), kw.get("to", b)
    if a > b:
        raise RuntimeError(
            f"uniform_ expects to return a [from, to) range, but found from={a} > to={b}"
        )
    return _store(
        self, "uniform_", generator, lambda g, n, d, st: g.uniform(n, d, a, b, strides=st)
    )


@explained
def normal_(self: Any, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Any:
    """Fill with normal numbers."""
    if not std >= 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    return _store(
        self, "normal_", generator, lambda g, n, d, st: g.normal(n, d, mean, std, strides=st)
    )


@explained
def random_(self: Any, *args: Any, generator: Any = None, **ends: Any) -> Any:
    """Fill with integers over the dtype's range, or from the given range (`from`, `to`)."""
    if ends.keys() - {"from", "to"}:
        raise TypeError(f"random_() got an unexpected keyword argument among {list(ends)}")
    args = (*args, *[ends[k] for k in ("from", "to") if k in ends])
    if not args:
        return _store(
            self, "random_", generator, lambda g, n, d, st: g.random_full(n, d, strides=st)
        )
    given = args[:1] if args[1:] == (None,) else args
    if len(args) > 2 or not all([hasattr(a, "__index__") and a is not True for a in given]):
        raise TypeError(f"random_() takes one or two ints, 'from' and 'to', but got {args}")
    if self.node.dtype.is_complex:
        raise RuntimeError(
            "random_: check_random_bounds handles only integral, floating-point and boolean types"
        )
    bounds = [None if a is None else operator.index(a) for a in args]
    lo, hi = (0, bounds[0]) if len(bounds) == 1 else bounds
    return _store(
        self, "random_", generator, lambda g, n, d, st: g.integers(n, lo, hi, d, strides=st)
    )


@explained
def bernoulli_(self: Any, p: Any = 0.5, *, generator: Any = None) -> Any:
    """Fill with ones of probability p, zeros elsewhere."""
    if self.node.op is meta.META:
        return self
    if isinstance(p, Tensor) and ACTIVE.levels:
        check_in_place(self, "bernoulli_")
        _differs(self, random_levels())
        shape, d = self.node.shape, self.node.dtype.np
        q = p if p.node.shape == shape else p.expand(shape)
        write(self, drawn_of(generator, lambda g, a: g.bernoulli(a, a.shape, d), q))
        return self
    if isinstance(p, Tensor) and self.node.device is not None:
        u = self.new_empty(self.shape, dtype=p.dtype).uniform_(generator=generator)
        write(self, (u < p).to(self.dtype))
        return self
    q = realise(p)._data if isinstance(p, Tensor) else p
    return _store(
        self, "bernoulli_", generator, lambda g, n, d, st: g.bernoulli(q, n, d, strides=st)
    )


METHODS.update(uniform_=uniform_, normal_=normal_, random_=random_, bernoulli_=bernoulli_)
for _n in ("exponential", "cauchy", "log_normal", "geometric"):

    def _make(n: str) -> Any:
        def f(self: Any, *args: Any, generator: Any = None, **kw: Any) -> Any:
            for x in (*args, *kw.values()):
                if not isinstance(x, (int, float)) and not hasattr(x, "__float__"):
                    raise TypeError(f"{n}_(): expected a float, not {type(x).__name__}")
            return _store(
                self,
                n + "_",
                generator,
                lambda g, s, d, st: getattr(g, n)(s, d, *args, strides=st, **kw),
            )

        f.__name__ = n + "_"
        f.__doc__ = f"Fill with {n} numbers."
        return explained(f)

    METHODS[_n + "_"] = _make(_n)


@api
def bernoulli(input: Any, p: Any = None, *, generator: Any = None) -> Any:
    """Ones with the probabilities of the input, zeros elsewhere; the gradient is zero."""
    if input.node.op is meta.META:
        return input * 1.0
    if p is not None and not isinstance(p, (int, float)):
        raise TypeError(f"bernoulli(): argument 'p' must be float, not {type(p).__name__}")
    q = input.detach() if p is None else p
    if isinstance(q, Tensor) and ACTIVE.levels:
        d = input.node.dtype.np
        made = drawn_of(generator, lambda g, a: g.bernoulli(a, a.shape, d), q)
    else:
        made = bernoulli_(input.new_zeros(input.shape), q, generator=generator)
    return record(pw.COPY, (input, made)) if input.requires_grad else made


@api(method=False)
def normal(
    mean: Any,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool | None = False,
    layout: Any = None,
    pin_memory: bool | None = False,
) -> Any:
    """Normal numbers with a mean and a standard deviation for each."""
    if size is not None:
        several("normal", size=size)
        for what, x in (("mean", mean), ("std", std)):
            if not isinstance(x, (int, float)):
                raise TypeError(
                    f"normal(): argument '{what}' must be float, not {type(x).__name__}"
                )
        d = dtype or dtypes.get_default_dtype()
        where = devices.check(device)
        if where is devices.META:
            return finish(meta.empty(checked_shape((size,)), d), requires_grad)
        size = checked_shape((size,))
        made = drawn(generator, size, lambda g, n, st: g.normal(n, d.np, mean, std), None, where)
        return finish(made, requires_grad)
    like = mean if isinstance(mean, Tensor) else std
    if not isinstance(like, Tensor):
        raise TypeError(
            "normal(): expected a tensor for mean or std, or a size, but got "
            f"{type(mean).__name__} and {type(std).__name__}"
        )
    shape = FUNCTIONS["broadcast_shapes"](*[x.shape for x in (mean, std) if isinstance(x, Tensor)])
    if like.is_meta:
        return meta.empty(shape, like.dtype)
    if isinstance(std, Tensor) and std.dtype.is_complex:
        raise RuntimeError("normal expects standard deviation to be non-complex")
    if (known(std) < 0).any() if isinstance(std, Tensor) else not std >= 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    d = like.dtype.np
    where = like.device
    z = drawn(generator, tuple(shape), lambda g, n, st: g.normal(n, d, 0.0, 1.0), None, where)
    made = (z * std + mean).detach()
    return zero_gradients(made, mean, std)


def zero_gradients(made: Any, *parameters: Any) -> Any:
    """What was drawn, with gradients of zero for the parameters: not missing ones."""
    for x in parameters:
        if isinstance(x, Tensor) and x.requires_grad:
            made = record(TIED, (made, x), (x.node.shape, x.node.dtype))
    return made


def _running_sums(weights: Any) -> Any:
    """As an operation, which has a kernel: rows are summed side by side there."""
    if weights.size < 1 << 15:
        return running_sums(weights)
    return realise(
        record(CUMSUM, (from_array(np.ascontiguousarray(weights)),), (weights.ndim - 1,))
    )._data


def _multinomial_away(input: Any, num_samples: int, replacement: bool, generator: Any) -> Any:
    """Indices on a device: the order of weights divided by exponential numbers is that of drawing
    without replacement; with it, a uniform number falls into one part of the running sums."""
    weights = input.detach()
    if num_samples <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    if not replacement and num_samples > weights.shape[-1]:
        raise RuntimeError(
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement"
        )
    if not replacement or num_samples == 1:
        waits = weights.new_empty(weights.shape).exponential_(generator=generator)
        return (weights / waits).topk(num_samples, -1).indices
    sums = weights.cumsum(-1)
    shape = (*weights.shape[:-1], num_samples)
    u = weights.new_empty(shape).uniform_(generator=generator) * sums[..., -1:]
    return (sums.unsqueeze(-2) <= u.unsqueeze(-1)).sum(-1).clamp(max=weights.shape[-1] - 1)


@api
def multinomial(
    input: Any, num_samples: int, replacement: bool = False, *, generator: Any = None
) -> Any:
    """Indices drawn with the weights of each row."""
    if input.is_meta:
        return meta.empty((*input.shape[:-1], num_samples), dtypes.int64)
    if input.node.device is not None:
        return _multinomial_away(input, num_samples, replacement, generator)
    a = known(input)
    if input.ndim not in (1, 2):
        raise RuntimeError(f"multinomial: prob_dist must be 1 or 2 dim, got {input.ndim}")
    if not fit(a):
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

    strides = like_strides(input.node) if a.ndim == 2 else None

    def draw(g: Any, weights: Any) -> Any:
        rows = weights if weights.ndim < 3 else weights.reshape(-1, weights.shape[-1])
        made = g.multinomial(
            rows,
            num_samples,
            replacement,
            known=True,
            sums=_running_sums,
            strides=strides if rows is weights else None,
        )
        return np.ascontiguousarray(made.reshape((*weights.shape[:-1], num_samples)))

    return drawn_of(generator, draw, input)


@api(method=False)
def dropout(input: Any, p: float, train: bool) -> Any:
    """Elements set to zero with probability p, the others scaled by 1 / (1 - p)."""
    if isinstance(p, Tensor):
        p = p.item()
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    category = input.node.dtype.category
    if not train or p == 0:
        return input
    if category < dtypes.FLOAT:
        raise RuntimeError(f"dropout: result type Float can't be cast to {input.dtype}")
    if category > dtypes.FLOAT:
        raise NotImplementedError(f"dropout(): not implemented for {input.dtype}")
    if p == 1:
        return input * input.new_zeros(())
    if input.node.op is meta.META:
        return input * 1.0
    keep = drawn(
        None,
        input.node.shape,
        lambda g, n, st: g.bernoulli(1 - p, n, np.bool_, strides=st),
        like_strides(input.node),
        input.device,
    )
    return input * (pw.cast(keep, input.node.dtype) * (1 / (1 - p)))
