"""Initial values of parameters, ``torch.nn.init``.

Every function changes its tensor in place and returns it. The numbers drawn, and their order, are
PyTorch's: after the same seed a model begins with the same parameters.
"""

from __future__ import annotations

import functools
import math
import warnings

import numpy as np

import facula
from facula import Tensor
from facula.errors import honest

_LINEAR = (
    "linear",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "sigmoid",
)


def calculate_gain(nonlinearity: str, param: int | float | None = None) -> float:
    """The factor by which weights before ``nonlinearity`` should be larger than linear ones.

    ``param`` is the negative slope of ``leaky_relu``.
    """
    if nonlinearity in _LINEAR:
        return 1
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        if param is None:
            slope = 0.01
        elif isinstance(param, (int, float)) and not isinstance(param, bool):
            slope = param
        else:
            raise ValueError(f"negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity == "selu":
        return 3.0 / 4
    raise ValueError(f"Unsupported nonlinearity {nonlinearity}")


# ---- simple distributions


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: facula.Generator | None = None
) -> Tensor:
    """Evenly distributed numbers from ``[a, b)``."""
    with facula.no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: facula.Generator | None = None
) -> Tensor:
    """Normally distributed numbers."""
    with facula.no_grad():
        return tensor.normal_(mean, std, generator=generator)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: facula.Generator | None = None,
) -> Tensor:
    """Normally distributed numbers between ``a`` and ``b``, by drawing again what is not.

    As in PyTorch 2.13, all elements are drawn in each round. Where less than 0.3 of the
    distribution is between the limits, candidates are drawn evenly between them and kept with the
    probability that is their share of the highest density.
    """

    def below(x: float) -> float:
        return (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0

    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. The distribution of "
            "values may be incorrect.",
            stacklevel=2,
        )
    if tensor.is_meta:
        return tensor
    often = below((b - mean) / std) - below((a - mean) / std) > 0.3
    lowest, highest = [tensor.new_tensor(x).item() for x in (a, b)]
    peak = _log_density((max(a, min(mean, b)) - mean) / std)

    def draw() -> tuple[Tensor, Tensor]:
        """Values for all elements, and which of them are refused."""
        values = facula.empty_like(tensor, requires_grad=False)
        if often:
            values.normal_(mean, std, generator=generator)
            return values, (values < lowest) | (values > highest)
        values.uniform_(a, b, generator=generator)
        chance = facula.empty_like(values).uniform_(generator=generator).log_()
        return values, chance > _log_density((values - mean) / std) - peak

    with facula.no_grad():
        result, refused = draw()
        while refused.any():
            again, refused_again = draw()
            result = facula.where(refused, again, result)
            refused = refused & refused_again
        return tensor.copy_(result)


def _log_density(x):
    """The logarithm of the normal density, but for a constant."""
    return -0.5 * x**2


def constant_(tensor: Tensor, val: float) -> Tensor:
    """``val`` everywhere."""
    with facula.no_grad():
        return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """Ones."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Zeros."""
    with facula.no_grad():
        return tensor.zero_()


# ---- structured


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix."""
    if tensor.ndimension() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    with facula.no_grad():
        return tensor.copy_(facula.eye(*tensor.shape, dtype=tensor.dtype, device=tensor.device))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """The convolution that passes its input on, channel by channel, in each of ``groups``."""
    n = tensor.ndimension()
    if n not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    sizes = tensor.size()
    if sizes[0] % groups:
        raise ValueError("dim 0 must be divisible by groups")
    out_per_group = sizes[0] // groups
    centre = tuple(k // 2 for k in sizes[2:])
    with facula.no_grad():
        tensor.zero_()
        for g in range(groups):
            for d in range(min(out_per_group, sizes[1])):
                tensor[(g * out_per_group + d, d, *centre)] = 1
        return tensor


def orthogonal_(
    tensor: Tensor, gain: float = 1, generator: facula.Generator | None = None
) -> Tensor:
    """A matrix with orthogonal rows or columns (https://arxiv.org/abs/1312.6120)."""
    if tensor.ndimension() < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    if tensor.numel() == 0 or tensor.is_meta:
        return tensor
    rows = tensor.size(0)
    columns = tensor.numel() // rows
    with facula.no_grad():
        flat = tensor.new_empty((rows, columns)).normal_(0, 1, generator=generator)
        if rows < columns:
            flat = flat.t()
        # Drawn just now, the numbers have to be computed anyway: LAPACK can have them at once.
        q, r = np.linalg.qr(flat.cpu().numpy())
        q = q * np.sign(np.diagonal(r))  # makes the distribution uniform (Mezzadri 2006)
        if rows < columns:
            q = q.T
        q = facula.from_numpy(np.ascontiguousarray(q))
        tensor.copy_(q.reshape(tensor.shape))
        return tensor.mul_(gain)


def sparse_(
    tensor: Tensor, sparsity: float, std: float = 0.01, generator: facula.Generator | None = None
) -> Tensor:
    """Normally distributed numbers, a fraction ``sparsity`` of each column of them zero."""
    if tensor.ndimension() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    with facula.no_grad():
        tensor.normal_(0, std, generator=generator)
        for column in range(columns):
            chosen = facula.randperm(rows)[:zeros]
            tensor[chosen, column] = 0
    return tensor


# ---- scaled by the number of connections


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    if tensor.dim() < 2:
        raise ValueError(
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions"
        )
    positions = 1
    for size in tensor.shape[2:]:
        positions *= size
    return tensor.size(1) * positions, tensor.size(0) * positions


def _calculate_correct_fan(tensor: Tensor, mode: str) -> int:
    mode = mode.lower()
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    return _calculate_fan_in_and_fan_out(tensor)[mode == "fan_out"]


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: facula.Generator | None = None
) -> Tensor:
    """Even, with variance ``2 gain^2 / (fan_in + fan_out)`` (Glorot and Bengio 2010)."""
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    std = gain * math.sqrt(2.0 / float(fan_in + fan_out))
    bound = math.sqrt(3.0) * std
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(
    tensor: Tensor, gain: float = 1.0, generator: facula.Generator | None = None
) -> Tensor:
    """Normal, with variance ``2 gain^2 / (fan_in + fan_out)`` (Glorot and Bengio 2010)."""
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / float(fan_in + fan_out)), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float | None:
    """The deviation, or None for a tensor without elements."""
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
        return None
    fan = _calculate_correct_fan(tensor, mode)
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: facula.Generator | None = None,
) -> Tensor:
    """Even, with variance ``gain^2 / fan`` (He et al. 2015, https://arxiv.org/abs/1502.01852)."""
    std = _kaiming_std(tensor, a, mode, nonlinearity)
    if std is None:
        return tensor
    bound = math.sqrt(3.0) * std
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: facula.Generator | None = None,
) -> Tensor:
    """Normal, with variance ``gain^2 / fan`` (He et al. 2015)."""
    std = _kaiming_std(tensor, a, mode, nonlinearity)
    return tensor if std is None else normal_(tensor, 0, std, generator)


# ---- names without the underscore


def _deprecated(function):
    new = function.__name__
    old = new[:-1]

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        warnings.warn(
            f"`nn.init.{old}` is now deprecated in favor of `nn.init.{new}`.",
            FutureWarning,
            stacklevel=2,
        )
        return function(*args, **kwargs)

    wrapper.__name__ = old
    wrapper.__doc__ = f"Deprecated name of :func:`{new}`."
    return wrapper


uniform = _deprecated(uniform_)
normal = _deprecated(normal_)
constant = _deprecated(constant_)
eye = _deprecated(eye_)
dirac = _deprecated(dirac_)
xavier_uniform = _deprecated(xavier_uniform_)
xavier_normal = _deprecated(xavier_normal_)
kaiming_uniform = _deprecated(kaiming_uniform_)
kaiming_normal = _deprecated(kaiming_normal_)
orthogonal = _deprecated(orthogonal_)
sparse = _deprecated(sparse_)

# Names that libraries import: in PyTorch what the functions above are made of.
_no_grad_uniform_, _no_grad_normal_, _no_grad_trunc_normal_ = uniform_, normal_, trunc_normal_
_no_grad_fill_, _no_grad_zero_ = constant_, zeros_


__getattr__ = honest(__name__)
