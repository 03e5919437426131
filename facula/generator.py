"""Generators of random numbers, and the draws that operations make from them.

:class:`Generator` gives PyTorch's CPU numbers: after the same seed, the same bits as PyTorch 2.13
(see :mod:`facula.mersenne` for how, and for the one engine behind them all). Its drawing methods
work on NumPy arrays and dtypes (``ml_dtypes.bfloat16`` among them); tensors are the business of
the callers.

Shapes and order. ``shape`` is a tuple of ints. PyTorch fills a tensor in the order of its memory,
and a normal fill takes another path if the tensor is not contiguous. Hence every method that fills
takes ``strides``, the strides in elements of the tensor to be filled (default: contiguous), and
returns an array of the logical ``shape`` whose elements were drawn in memory order.

An argument that PyTorch rejects raises the exception type that PyTorch raises, before anything is
drawn. An empty result draws nothing; its dtype is checked all the same.

Agreement. Uniform, integer, permutation and Bernoulli draws, and float32, float16 and bfloat16
normals, are PyTorch's bit for bit on a CPU with FMA. Draws through float64 functions (float64
normals, exponential, Cauchy, log-normal, geometric) use the C library's functions as PyTorch does,
and beyond 4096 elements NumPy's, whose last bit may differ on CPUs with AVX-512. Sampling
without replacement breaks ties of equal keys, which only zero weights and 16-bit weights make
likely, by index; PyTorch leaves the order of ties open.

Source: https://docs.pytorch.org/docs/stable/random.html
"""

from __future__ import annotations

import _thread
import abc
import math
import os
from typing import TYPE_CHECKING

import numpy as np

from facula import devices
from facula.boxmuller import fma32, fma64, libm
from facula.mersenne import DEFAULT_SEED, STATE_SIZE, Mersenne
from facula.sampling import (
    FLOATS,
    INTEGERS,
    UNSIGNED,
    arrange,
    cast,
    check_float,
    check_weights,
    contiguous,
    integer_range,
    largest,
    require_float,
    running_sums,
    with_replacement,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from numpy.typing import DTypeLike

    from facula.sampling import Shape, Strides
    from facula.tensor import Tensor

# PyTorch's state of a CPU generator: 5056 bytes.
_STATE = np.dtype(
    [
        ("seed", "<u8"),
        ("left", "<i4"),
        ("seeded", "<i4"),
        ("next", "<u8"),
        ("key", "<u8", STATE_SIZE),
        ("normal_x", "<f8"),
        ("normal_y", "<f8"),
        ("normal_rho", "<f8"),
        ("normal_is_valid", "<i4"),
        ("padding", "<i4"),
        ("float_normal", "<f4"),
        ("float_normal_is_valid", "u1"),
        ("more_padding", "V3"),
    ]
)


class Generator(metaclass=abc.ABCMeta):  # noqa: B024 (a CUDA device's is registered)
    """A stream of random numbers (https://docs.pytorch.org/docs/stable/generated/torch.Generator).

    A new generator is seeded with 67280421310721, as PyTorch's is. Draws are atomic: threads that
    share a generator each get whole draws from one stream. One of a CUDA device is another kind
    (`facula.cuda.generator.CudaGenerator`).
    """

    __slots__ = ("__weakref__", "_engine", "_lock")

    def __new__(cls, device: Any = "cpu") -> Any:
        """A generator of the device."""
        if devices.check(device).type == "cuda":
            from facula.cuda.generator import CudaGenerator

            return CudaGenerator(DEFAULT_SEED)
        return super().__new__(cls)

    def __init__(self, device: Any = "cpu") -> None:
        self._engine = Mersenne(DEFAULT_SEED)
        self._lock = _thread.allocate_lock()

    @property
    def device(self) -> devices.device:
        """The device of the generator: the CPU."""
        return devices.CPU

    # ---- seeds and states --------------------------------------------------------------------

    def manual_seed(self, seed: int) -> Generator:
        """Starts the stream of ``seed``, in [-2**63, 2**64); negative seeds wrap around.

        Returns the generator. RuntimeError if ``seed`` is no int, ValueError if out of range.
        """
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
            raise RuntimeError(f"manual_seed: seed must be an int, but got {type(seed).__name__}")
        seed = int(seed)
        if not -(2**63) <= seed < 2**64:
            raise ValueError(f"manual_seed: seed must be in [-2**63, 2**64), but got {seed}")
        with self._lock:
            self._engine.reseed(seed % 2**64)
        return self

    def seed(self) -> int:
        """Seeds the generator with a number from the operating system, and returns it."""
        seed = int.from_bytes(os.urandom(8), "little") % 2**53
        self.manual_seed(seed)
        return seed

    def initial_seed(self) -> int:
        """The seed that the current stream was started with."""
        return self._engine.seed

    def get_state(self) -> Tensor:
        """The state as a uint8 tensor of 5056 elements, in PyTorch's format."""
        from facula.ops.data import from_numpy

        return from_numpy(self.state_bytes())

    def set_state(self, new_state: Tensor) -> None:
        """Takes over a state from :meth:`get_state`, Facula's or PyTorch's.

        TypeError if it is no uint8 tensor; RuntimeError if its size or content is wrong.
        """
        if isinstance(new_state, np.ndarray) or not hasattr(new_state, "numpy"):
            kind = type(new_state).__name__
            raise TypeError(f"set_state: expected a uint8 tensor, but got {kind}")
        self.set_state_bytes(new_state.numpy())

    def state_bytes(self) -> np.ndarray:
        """The state as a new uint8 array of 5056 elements, in PyTorch's format."""
        state = np.zeros(1, _STATE)
        with self._lock:
            engine = self._engine
            key, next_, left = engine.state()
            state["seed"], state["seeded"] = engine.seed, 1
            state["key"], state["next"], state["left"] = key, next_, left
            if engine.next_normal is not None:
                state["normal_y"], state["normal_is_valid"] = engine.next_normal, 1
            if engine.next_normal_float is not None:
                state["float_normal"] = engine.next_normal_float
                state["float_normal_is_valid"] = 1
        return state.view(np.uint8)

    def set_state_bytes(self, state: np.ndarray) -> None:
        """Takes over a state from :meth:`state_bytes`; errors as in :meth:`set_state`."""
        if state.dtype != np.uint8:
            raise TypeError(f"set_state: expected a uint8 tensor, but its dtype is {state.dtype}")
        if state.size != _STATE.itemsize:
            raise RuntimeError(
                f"set_state: expected a CPU generator state of {_STATE.itemsize} bytes, but got "
                f"{state.size}"
            )
        fields = np.frombuffer(state.tobytes(), _STATE)[0]
        if not fields["seeded"]:
            raise RuntimeError("set_state: Invalid mt19937 state: it was never seeded")
        engine = Mersenne(int(fields["seed"]))
        key = fields["key"].astype(np.uint32)
        engine.load(key, int(fields["next"]), int(fields["left"]))
        if fields["normal_is_valid"]:
            engine.next_normal = float(fields["normal_y"])
        if fields["float_normal_is_valid"]:
            engine.next_normal_float = float(fields["float_normal"])
        with self._lock:
            self._engine = engine

    def clone_state(self) -> Generator:
        """A new generator in the same state."""
        other = Generator()
        with self._lock:
            other._engine = self._engine.copy()
        return other

    def get_offset(self) -> int:
        """RuntimeError: only counter-based generators have an offset."""
        raise RuntimeError("a CPU generator has no offset")

    def set_offset(self, offset: int) -> None:
        """RuntimeError, as :meth:`get_offset`."""
        self.get_offset()

    def __reduce__(self) -> tuple[object, ...]:
        return Generator, ("cpu",), self.state_bytes().tobytes()

    def __setstate__(self, state: bytes) -> None:
        self.set_state_bytes(np.frombuffer(state, np.uint8))

    # ---- uniform and normal ------------------------------------------------------------------

    def uniform(
        self,
        shape: Shape,
        dtype: DTypeLike = np.float32,
        low: float = 0.0,
        high: float = 1.0,
        *,
        strides: Strides = None,
    ) -> np.ndarray:
        """Uniform in ``[low, high)``; a complex dtype draws real and imaginary parts in turn.

        RuntimeError if low > high or a bound (or their distance) is beyond the dtype.
        """
        dtype = np.dtype(dtype)
        if dtype.kind == "c":
            return self._complex(self.uniform, shape, dtype, low, high, strides)
        name = check_float("uniform_", dtype)
        limit = FLOATS[name][1]
        if not (-limit <= low <= limit and -limit <= high <= limit):
            raise RuntimeError(
                f"uniform_: bounds from={low} and to={high} are out of range for {name}"
            )
        if not low <= high or high - low > limit:
            raise RuntimeError(
                f"uniform_: expected from <= to and to - from within {name}, but got from={low} "
                f"and to={high}"
            )
        n = math.prod(shape)
        wide = name == "float64"
        unit = low == 0.0 and high == 1.0
        with self._lock:
            values = self._engine.uniform64(n) if wide else self._engine.uniform32(n)
        if not unit:
            if wide:
                values = fma64(values, float(high) - float(low), float(low))
            else:
                values = fma32(values, float(np.float32(high) - np.float32(low)), low)
        values = cast(values, dtype)
        if not unit or dtype.itemsize == 2:
            # Rounding may have reached the upper bound.
            values[values == cast(np.array(high), dtype)] = cast(np.array(low), dtype)
        return arrange(values, shape, strides)

    def normal(
        self,
        shape: Shape | None,
        dtype: DTypeLike = np.float32,
        mean: float | np.ndarray = 0.0,
        std: float | np.ndarray = 1.0,
        *,
        strides: Strides = None,
    ) -> np.ndarray:
        """Normal with ``mean`` and ``std``, as ``Tensor.normal_`` for numbers.

        If either is an array the result is that of ``torch.normal``: standard normals (scaled by
        ``std`` if it is a number), then the arrays applied; ``shape`` may then be None, for the
        shape of their broadcast. For a complex dtype, ``std**2`` is the variance of real and
        imaginary part together. RuntimeError if any ``std`` is negative or NaN.
        """
        dtype = np.dtype(dtype)
        if isinstance(mean, np.ndarray) or isinstance(std, np.ndarray):
            return self._normal_of_arrays(shape, dtype, mean, std, strides)
        assert shape is not None
        if not std >= 0.0:
            raise RuntimeError(f"normal expects std >= 0.0, but found std={std}")
        if dtype.kind == "c":
            return self._complex(self.normal, shape, dtype, mean, std / math.sqrt(2.0), strides)
        name = check_float("normal_", dtype)
        n = math.prod(shape)
        with self._lock, np.errstate(all="ignore"):
            if n < 16 or not contiguous(shape, strides):
                values = fma64(self._engine.normal_serial(n), float(std), float(mean))
            elif name == "float64":
                values = self._engine.normal_blocks64(n, mean, std)
            else:
                by_block = name != "float32"
                values = self._engine.normal_blocks32(n, mean, std, by_block=by_block)
            return arrange(cast(values, dtype), shape, strides)

    def _normal_of_arrays(
        self,
        shape: Shape | None,
        dtype: np.dtype,
        mean: float | np.ndarray,
        std: float | np.ndarray,
        strides: Strides,
    ) -> np.ndarray:
        if shape is None:
            shape = np.broadcast_shapes(np.shape(mean), np.shape(std))
        if not isinstance(std, np.ndarray):
            with np.errstate(all="ignore"):
                values = self.normal(shape, dtype, 0.0, std, strides=strides)
                return np.asarray(values + mean, dtype)
        if std.dtype.kind == "c":
            raise RuntimeError(f"normal: expected a real standard deviation, but got {std.dtype}")
        if not (std >= 0).all():
            raise RuntimeError("normal expects all elements of std >= 0.0")
        values = self.normal(shape, dtype, strides=strides)
        with np.errstate(all="ignore"):
            values = np.asarray(values * std, dtype)
            return np.asarray(values + cast(np.asarray(mean), dtype), dtype)

    def _complex(
        self, draw: Any, shape: Shape, dtype: np.dtype, a: float, b: float, strides: Strides
    ) -> np.ndarray:
        """Draws pairs of reals and views them as complex numbers."""
        real = np.dtype(f"f{dtype.itemsize // 2}")
        if strides is not None:
            strides = (*(2 * s for s in strides), 1)
        pairs = draw((*shape, 2), real, a, b, strides=strides)
        return pairs.view(dtype)[..., 0]

    # ---- integers ----------------------------------------------------------------------------

    def integers(
        self,
        shape: Shape,
        low: int,
        high: int | None,
        dtype: DTypeLike = np.int64,
        *,
        strides: Strides = None,
    ) -> np.ndarray:
        """Integers in ``[low, high)``, as ``randint`` and ``random_(low, high)``.

        ``high=None`` is ``random_(low, None)``: up to the largest value of an integer dtype, up
        to 2**digits of a floating-point one; with ``low = -2**63``, all of 64 bits. A bound that
        a floating-point dtype cannot hold moves inwards to one that it can.
        RuntimeError if the range is empty or beyond the dtype.
        """
        dtype = np.dtype(dtype)
        name = dtype.name
        if name not in FLOATS and dtype.kind not in "iub":
            raise NotImplementedError(f"random_ is not implemented for {name}")
        n = math.prod(shape)
        if high is None and low == -(2**63):
            if name not in ("int64", "float64", "float32", "bfloat16"):
                raise NotImplementedError(f"random_ over 64 bits is not implemented for {name}")
            with self._lock:
                values = self._engine.words64(n).view(np.int64)
            return arrange(cast(values, dtype), shape, strides)
        first, last = integer_range(name, low, high)
        count = last - first + 1
        with self._lock:
            drawn = self._engine.below(n, count)
        if drawn.dtype == np.uint64:
            drawn += np.uint64(first % 2**64)
            values = drawn.view(np.int64)
        else:
            values = drawn.astype(np.int64)
            values += first
        return arrange(cast(values, dtype), shape, strides)

    def random_full(
        self, shape: Shape, dtype: DTypeLike = np.int64, *, strides: Strides = None
    ) -> np.ndarray:
        """``random_()``: from 0 to the largest value of an integer dtype, or to 2**digits."""
        dtype = np.dtype(dtype)
        name = dtype.name
        n = math.prod(shape)
        if name == "bool":
            limit = 2
        elif name in INTEGERS:
            limit = int(np.iinfo(dtype).max) + 1
        elif name in FLOATS:
            limit = 2 ** FLOATS[name][0] + 1
        else:
            raise NotImplementedError(f"random_ is not implemented for {name}")
        wide = name in ("int64", "float64")
        with self._lock:
            values = self._engine.words64(n) if wide else self._engine.words(n)
        values %= values.dtype.type(limit)
        return arrange(cast(values, dtype), shape, strides)

    def permutation(self, n: int, dtype: DTypeLike = np.int64) -> np.ndarray:
        """A random permutation of ``0..n-1``.

        RuntimeError if n is negative or the dtype cannot hold n - 1 (bfloat16, as in PyTorch, is
        not checked).
        """
        dtype = np.dtype(dtype)
        name = dtype.name
        if name not in FLOATS and name not in INTEGERS:
            raise NotImplementedError(f"randperm is not implemented for {name}")
        if n < 0:
            raise RuntimeError(f"randperm: expected a size that is not negative, but got n={n}")
        if name in INTEGERS:
            most = int(np.iinfo(dtype).max) + 1
        else:
            most = n if name == "bfloat16" else 2 ** FLOATS[name][0] + 1
        if n > most:
            raise RuntimeError(f"randperm: n={n} is too large for {name}, which allows {most}")
        with self._lock:
            return cast(self._engine.permutation(n), dtype)

    # ---- other distributions -----------------------------------------------------------------

    def bernoulli(
        self,
        p: float | np.ndarray,
        shape: Shape | None = None,
        dtype: DTypeLike | None = None,
        *,
        strides: Strides = None,
    ) -> np.ndarray:
        """One with probability ``p``, else zero.

        A number ``p`` and a float64 array are compared with float64 uniforms, other arrays with
        float32 ones; an array is broadcast to ``shape`` (default: its own). The dtype is by
        default that of the array, or float32. RuntimeError if any p is outside [0, 1].

        PyTorch once used another stream for a number ``p`` (that of Intel MKL); 2.13 does not.
        """
        wide = True
        if isinstance(p, np.ndarray):
            check_float("bernoulli", p.dtype)
            shape = p.shape if shape is None else shape
            dtype = p.dtype if dtype is None else dtype
            wide = p.dtype == np.float64
            valid = bool(((p >= 0) & (p <= 1)).all())
        else:
            valid = 0 <= p <= 1
        dtype = np.dtype(np.float32 if dtype is None else dtype)
        if dtype.kind == "c" or dtype.name in UNSIGNED:
            raise NotImplementedError(f"bernoulli is not implemented for {dtype.name}")
        if not valid:
            raise RuntimeError(f"bernoulli: expected p in [0, 1], but got p={p}")
        shape = () if shape is None else shape
        n = math.prod(shape)
        if not isinstance(p, np.ndarray):
            with self._lock:
                return np.asarray(arrange(self._engine.below64(n, p), shape, strides), dtype)
        with self._lock:
            values = self._engine.uniform64(n) if wide else self._engine.uniform32(n)
        below = arrange(values, shape, strides) < (p if wide else np.asarray(p, np.float32))
        return np.asarray(below, dtype)

    def exponential(
        self,
        shape: Shape,
        dtype: DTypeLike = np.float32,
        lambd: float = 1.0,
        *,
        strides: Strides = None,
    ) -> np.ndarray:
        """Exponential with rate ``lambd``; RuntimeError unless it is positive."""
        dtype = require_float("exponential_", dtype)
        if not lambd > 0.0:
            raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd}")
        scale = -1.0 / lambd
        return self._transformed(shape, dtype, strides, lambda u: scale * libm("log1p", -u))

    def cauchy(
        self,
        shape: Shape,
        dtype: DTypeLike = np.float32,
        median: float = 0.0,
        sigma: float = 1.0,
        *,
        strides: Strides = None,
    ) -> np.ndarray:
        """Cauchy with ``median`` and scale ``sigma``; RuntimeError unless sigma is positive."""
        dtype = require_float("cauchy_", dtype)
        if not sigma > 0.0:
            raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma}")

        def transform(u: np.ndarray) -> np.ndarray:
            return fma64(libm("tan", math.pi * (u - 0.5)), float(sigma), float(median))

        return self._transformed(shape, dtype, strides, transform)

    def log_normal(
        self,
        shape: Shape,
        dtype: DTypeLike = np.float32,
        mean: float = 1.0,
        std: float = 2.0,
        *,
        strides: Strides = None,
    ) -> np.ndarray:
        """The exponential of normals with ``mean`` and ``std``; RuntimeError unless std > 0."""
        dtype = np.dtype(dtype)
        if not std > 0.0:
            raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std}")
        check_float("log_normal_", dtype)
        n = math.prod(shape)
        with self._lock, np.errstate(all="ignore"):
            normals = fma64(self._engine.normal_serial(n), float(std), float(mean))
            return arrange(cast(libm("exp", normals), dtype), shape, strides)

    def geometric(
        self, shape: Shape, dtype: DTypeLike, p: float, *, strides: Strides = None
    ) -> np.ndarray:
        """Trials up to the first success of probability ``p``; RuntimeError unless 0 < p < 1."""
        dtype = np.dtype(dtype)
        if not 0.0 < p < 1.0:
            raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p}")
        if dtype.name not in FLOATS and dtype.name not in INTEGERS:
            raise NotImplementedError(f"geometric_ is not implemented for {dtype.name}")
        scale = math.log1p(-p)
        return self._transformed(shape, dtype, strides, lambda u: np.ceil(libm("log", u) / scale))

    def _transformed(
        self, shape: Shape, dtype: np.dtype, strides: Strides, transform: Any
    ) -> np.ndarray:
        """A function of float64 uniforms, rounded to the dtype."""
        with self._lock, np.errstate(all="ignore"):
            uniforms = self._engine.uniform64(math.prod(shape))
            return arrange(cast(transform(uniforms), dtype), shape, strides)

    def multinomial(
        self,
        weights: np.ndarray,
        n: int,
        replacement: bool = False,
        *,
        strides: Strides = None,
        sums: Callable[[np.ndarray], np.ndarray] = running_sums,
        known: bool = False,
    ) -> np.ndarray:
        """``n`` indices drawn from each row of ``weights``, as int64 of shape (n,) or (rows, n).

        Without replacement, or for one draw, weights are divided by exponentials and the largest
        ``n`` win, the largest first; ``strides`` are then those of the weights. ``sums``: see
        ``with_replacement``; ``known``: that the weights are fit. RuntimeError if the dtype,
        dimensions or entries of the weights, or ``n``, do not allow the draw.
        """
        check_weights(weights, n, replacement, known)
        shape = (*weights.shape[:-1], n)
        if math.prod(shape) == 0:
            return np.empty(shape, np.int64)
        if replacement and n > 1:
            with self._lock:
                uniforms = self._engine.uniform64(math.prod(shape)).reshape(shape)
            return with_replacement(weights, uniforms, sums)
        rivals = self.exponential(weights.shape, weights.dtype, strides=strides)
        return largest(weights, rivals, n)
