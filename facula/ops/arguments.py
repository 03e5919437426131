"""What is wrong with a call that failed: arguments of a wrong type, missing or unknown ones.

PyTorch looks at the types of all arguments before anything else. Here an operation is called, and
only where that fails its arguments are compared with its signature: a call that succeeds pays
nothing for it.
"""

from __future__ import annotations

import functools
import inspect
import numbers
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from facula import dtypes
from facula.errors import describe
from facula.tensor import Tensor

# What stands for an argument that is annotated `Any`, by its name.
_BY_NAME = {
    "Tensor": """input self index mat mat1 mat2 vec vec1 vec2 batch1 batch2 tensor1 tensor2 source
        mask condition other exponent A B boundaries sorted_sequence
        imag real angle tau LD LU pivots y indices""",
    "Tensor | None": "weight bias weights fweights aweights sorter prepend append",
    "Number": "alpha beta fill_value maxnorm correction",
    "float": "dx rcond",
    "Tensors": "tensors matrices",
    "dimensions": "dim dims destination",
    "ints": "split_size split_size_or_sections split_sizes sections",
    "sizes": """size sizes shape stride padding dilation output_padding kernel_size output_size
        normalized_shape pad physical_layout repeats shifts s""",
    "Tensor or Number": "src value elements test_elements",
    "Generator": "generator",
    "dtype": "dtype",
    "bool": "unbiased",
    "memory_format": "memory_format",
}
KIND = {name: kind for kind, names in _BY_NAME.items() for name in names.split()}
# Where the same name means something else.
_OTHERWISE = {
    ("select", "index"): "int",
    ("movedim", "source"): "dimensions",
    ("set_", "source"): "",
    ("type", "dtype"): "",
    ("view", "dtype"): "",
    ("view", "shape"): "",
    ("max", "dim"): "",
    ("min", "dim"): "",
    ("tensordot", "dims"): "",
    ("index_put", "indices"): "Tensors",
    ("vector_norm", "ord"): "Number",
    ("constant_pad_nd", "value"): "Number",
    ("linspace", "start"): "Tensor or Number",
    ("linspace", "end"): "Tensor or Number",
    ("logspace", "start"): "Tensor or Number",
    ("logspace", "end"): "Tensor or Number",
    ("range", "start"): "Number",
    ("range", "end"): "Number",
    ("range", "step"): "Number",
    ("arange", "start"): "Number",
    ("arange", "end"): "Number",
    ("arange", "step"): "Number",
    ("lerp", "end"): "Tensor",
    ("lerp", "weight"): "Tensor or Number",
    ("clamp_min", "min"): "Tensor or Number",
    ("clamp_max", "max"): "Tensor or Number",
    ("clamp", "min"): "Tensor or Number",
    ("clamp", "max"): "Tensor or Number",
    ("heaviside", "values"): "Tensor",
    ("index_put", "values"): "Tensor",
    ("dot", "tensor"): "Tensor",
    ("cdist", "x1"): "Tensor",
    ("cdist", "x2"): "Tensor",
    ("trapezoid", "x"): "Tensor",
    ("cumulative_trapezoid", "x"): "Tensor",
    ("vander", "x"): "Tensor",
    ("repeat_interleave", "repeats"): "",
    ("conv1d", "padding"): "",
    ("conv2d", "padding"): "",
    ("conv3d", "padding"): "",
    ("split", "size"): "",
    ("scatter_reduce", "value"): "",
    ("interpolate", "size"): "",
    ("max_unpool1d", "output_size"): "",
    ("max_unpool2d", "output_size"): "",
    ("max_unpool3d", "output_size"): "",
    ("fractional_max_pool2d", "output_size"): "",
    ("fractional_max_pool3d", "output_size"): "",
    ("adaptive_avg_pool2d", "output_size"): "",
    ("adaptive_avg_pool3d", "output_size"): "",
    ("adaptive_max_pool2d", "output_size"): "",
    ("adaptive_max_pool3d", "output_size"): "",
    ("addcmul", "value"): "Number",
    ("addcdiv", "value"): "Number",
    ("dist", "p"): "Number",
    ("histc", "min"): "Number",
    ("histc", "max"): "Number",
    ("std", "dim"): "dimensions | bool",
    ("var", "dim"): "dimensions | bool",
    ("std_mean", "dim"): "dimensions | bool",
    ("var_mean", "dim"): "dimensions | bool",
    ("std", "correction"): "Number",
    ("var", "correction"): "Number",
    # What PyTorch looks at as a value, or for its truth.
    ("interpolate", "align_corners"): "",
    ("interpolate", "antialias"): "",
    ("interpolate", "mode"): "",
    ("grid_sample", "mode"): "",
    ("grid_sample", "padding_mode"): "",
    ("multi_margin_loss", "p"): "",
    ("meshgrid", "indexing"): "",
    ("searchsorted", "input"): "",
    ("bucketize", "input"): "",
}
_TRUTHS = {"inplace", "recompute_scale_factor", "reduction", "size_average"}
# Functions in which PyTorch asks for an attribute before it looks at types.
_ASKING = {
    *("adaptive_avg_pool2d", "adaptive_max_pool2d", "affine_grid", "binary_cross_entropy"),
    *("fractional_max_pool2d", "fractional_max_pool3d", "group_norm", "instance_norm"),
    *("max_unpool1d", "max_unpool2d", "max_unpool3d"),
    *("binary_cross_entropy_with_logits", "huber_loss", "interpolate", "l1_loss", "mse_loss"),
    *("margin_ranking_loss", "multi_margin_loss", "norm", "smooth_l1_loss", "split", "stft"),
    "tensordot",
}
# Settings of activations that are numbers of any kind in PyTorch, and are converted in its kernels.
_SCALARS = {
    *("alpha", "lambd", "lower", "max_val", "min_val", "negative_slope", "threshold", "upper"),
}
_SIZED = (np.ndarray, np.generic, dtypes.dtype)  # have such an attribute, of another kind
_UNASKED = {"weight", "pos_weight", "running_mean", "running_var"}  # ... but of these
# Operations of two tensors, of which neither may be a number.
_OF_TENSORS = {
    *("cross", "dist", "equal", "kron", "logical_and", "logical_or", "logical_xor", "maximum"),
    *("minimum", "type_as"),
}
_NUMBERS = (int, float, complex, np.number, np.bool_)
_LIMIT = 2**63
# What a tensor or an array says that is given for a number.
_AS_NUMBER = re.compile(
    "^(Boolean value of Tensor with|(int|float|complex)..: only one element tensors"
    "|The truth value of an array with)"
)
_SEVERAL = inspect.Parameter.VAR_POSITIONAL
_LISTS = {"size", "shape"}  # sizes that are given one by one, or as one sequence


def _tensor(x: Any) -> bool:
    return isinstance(x, Tensor) or hasattr(type(x), "__torch_function__") or hasattr(x, "node")


def _single(x: Any) -> bool:
    """A tensor that stands for a number."""
    return _tensor(x) and getattr(x, "ndim", 1) == 0


def _array(x: Any) -> bool:
    """An array of NumPy's that stands for no number."""
    return isinstance(x, np.ndarray) and x.ndim > 0


def _int(x: Any) -> bool:
    if isinstance(x, (bool, np.bool_)) or _array(x):
        return False
    if _single(x):
        return x.dtype.category == dtypes.INT
    return hasattr(x, "__index__") and not _tensor(x)


def _large(x: Any) -> bool:
    return isinstance(x, int) and not -_LIMIT <= x < _LIMIT


def _float(x: Any) -> bool:
    return isinstance(x, (numbers.Real, np.number)) or _single(x)


def _number(x: Any) -> bool:
    if isinstance(x, _NUMBERS) or _single(x):
        return True
    return hasattr(x, "__index__") and not (_tensor(x) or _array(x))


def _dimensions(x: Any) -> bool:
    if x is None or isinstance(x, str) or _int(x):
        return True
    return isinstance(x, (tuple, list)) and all([_int(d) or isinstance(d, str) for d in x])


def _ints(x: Any) -> bool:
    if isinstance(x, (tuple, list)):
        return all([_int(n) for n in x])
    return _int(x) or (_tensor(x) and x.ndim < 2)


def _sizes(x: Any) -> bool:
    if isinstance(x, (tuple, list)):
        return all([_int(n) or (isinstance(n, bool) and k) for k, n in enumerate(x)])
    return x is None or _int(x)


def _tensors(x: Any) -> bool:
    return isinstance(x, (tuple, list)) and all([_tensor(t) or t is None for t in x])


def _dtype(x: Any) -> bool:
    return x is None or isinstance(x, (dtypes.dtype, type))


def _memory_format(x: Any) -> bool:
    return x is None or type(x).__name__ == "memory_format"


def check_memory_format(name: str, x: Any) -> None:
    """TypeError unless x, an argument `memory_format`, is one."""
    if not _memory_format(x):
        raise TypeError(
            f"{name}(): argument 'memory_format' must be torch.memory_format, not "
            f"{type(x).__name__}"
        )


_CHECKS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "Tensor": ("Tensor", _tensor),
    "Tensor or Number": ("Tensor or Number", lambda x: _tensor(x) or _number(x)),
    "Number": ("Number", _number),
    "dimensions": ("int or tuple of ints", _dimensions),
    "dtype": ("torch.dtype", _dtype),
    "ints": ("int or tuple of ints", _ints),
    "sizes": ("tuple of ints", _sizes),
    "Tensors": ("tuple of Tensors", _tensors),
    "Generator": ("Generator", lambda x: x is None or hasattr(x, "initial_seed")),
    "memory_format": ("torch.memory_format", _memory_format),
    "int": ("int", _int),
    "float": ("float", _float),
    "bool": ("bool", lambda x: isinstance(x, (bool, np.bool_))),
    "str": ("str", lambda x: isinstance(x, str)),
    "None": ("None", lambda x: x is None),
}


@functools.cache
def _signature(f: Any) -> tuple[inspect.Signature, dict[str, list[str]]]:
    """A function's signature, and the kinds that each argument may be of where they are known."""
    f = inspect.unwrap(f)
    signature = inspect.signature(f)
    names = signature.parameters
    kinds: dict[str, list[str]] = {}
    for p in names.values():
        if p.kind is p.VAR_KEYWORD or (p.kind is _SEVERAL and p.name not in _LISTS):
            continue
        text = p.annotation if isinstance(p.annotation, str) else "Any"
        if p.name in _TRUTHS or (p.name == "reduce" and text.startswith("bool")):
            continue
        if text == "Any" or (f.__name__, p.name) in _OTHERWISE:
            text = _OTHERWISE.get((f.__name__, p.name), KIND.get(p.name, ""))
            if text == "Tensor" and _numbers_too(f.__name__, p.name, names):
                text = "Tensor or Number"
        found = [k.strip() for k in text.split("|")]
        if all([k in _CHECKS for k in found]):
            kinds[p.name] = found + ["None"] * (p.default is None)
    return signature, kinds


def _numbers_too(function: str, name: str, names: Any) -> bool:
    if function in _OF_TENSORS:
        return False
    if name in ("other", "exponent"):
        return True
    return name == "input" and ("other" in names or "exponent" in names)


def wrong_call(
    f: Any, name: str, args: Any, kwargs: Any, error: Exception | None = None
) -> Exception | None:
    """The error that says what is wrong with the arguments of a call; None if nothing is.

    `error` is what the call raised: it tells what of the arguments should have been a tensor.
    """
    signature, kinds = _signature(f)
    try:
        given = signature.bind(*args, **kwargs).arguments
    except TypeError as problem:
        return TypeError(f"{name}(): {problem}; got {call_of(name, args, kwargs)}")
    for argument, x in given.items():
        if signature.parameters[argument].kind is _SEVERAL and len(x) == 1:
            x = x[0]
        unlike = unfit(f, name, argument, x, args, kwargs)
        if unlike is not None:
            return unlike
        allowed = kinds.get(argument)
        if allowed is None:
            continue
        if isinstance(x, complex) and allowed[0] == "Number" and isinstance(error, TypeError):
            return RuntimeError(
                f"{name}(): argument '{argument}': {x} cannot be converted to type double without "
                f"overflow; got {call_of(name, args, kwargs)}"
            )
        parts = x if isinstance(x, (tuple, list)) else (x,)
        if allowed[0] == "sizes" and any([_large(n) for n in parts]):
            return TypeError(
                f"{name}(): argument '{argument}' overflows when it is unpacked as int64; "
                f"got {call_of(name, args, kwargs)}"
            )
        if _large(x) and "int" in allowed[0]:
            return ValueError(
                f"{name}(): argument '{argument}' overflows when it is unpacked as an int64; "
                f"got {call_of(name, args, kwargs)}"
            )
    if isinstance(error, (RuntimeError, ValueError)) and _AS_NUMBER.search(str(error)):
        for i, (argument, x) in enumerate(given.items()):
            if i == 0 or argument in _TRUTHS:
                continue
            parts = x if signature.parameters[argument].kind is _SEVERAL else (x,)
            for part in parts:
                several = _array(part) or (isinstance(part, Tensor) and part.numel() != 1)
                if several and "Tensor" not in kinds.get(argument, [KIND.get(argument, "")]):
                    return TypeError(
                        f"{name}(): argument '{argument}' must be a number, not "
                        f"{type(part).__name__}; got {call_of(name, args, kwargs)}"
                    )
    if isinstance(error, AttributeError):
        for argument, x in given.items():
            for part in (x, *x) if isinstance(x, (tuple, list)) else (x,):
                if part is error.obj and not _tensor(x):
                    what = "Tensor" if part is x else "tuple of Tensors"
                    asked = name in _ASKING and part is x and not hasattr(x, name)
                    return (AttributeError if asked else TypeError)(
                        f"{name}(): argument '{argument}' must be {what}, not "
                        f"{type(part).__name__}; got {call_of(name, args, kwargs)}"
                    )
    return None


def unfit(f: Any, name: str, argument: str, x: Any, args: Any, kwargs: Any) -> Exception | None:
    """The error for one argument of a call, where it is of a wrong kind."""
    allowed = _signature(f)[1].get(argument)
    if allowed is None or any([_CHECKS[k][1](x) for k in allowed]):
        return None
    if isinstance(x, complex) and "float" in allowed and argument in _SCALARS:
        return RuntimeError(
            f"{name}(): argument '{argument}': value cannot be converted to type float without "
            f"overflow: {x}; got {call_of(name, args, kwargs)}"
        )
    expected = " or ".join([_CHECKS[k][0] for k in allowed if k != "None"])
    if "Tensors" in allowed and isinstance(x, (tuple, list)):
        x = next(t for t in x if not _tensor(t))
    if "sizes" in allowed and isinstance(x, (tuple, list)):
        k, x = next((k, n) for k, n in enumerate(x) if not _int(n))
        expected += f", but found {type(x).__name__} {x!r} at pos {k}"
        return TypeError(
            f"{name}(): argument '{argument}' must be {expected}; got {call_of(name, args, kwargs)}"
        )
    asked = name in _ASKING and argument not in _UNASKED and not _tensor(x)
    asked = asked and allowed[0] == "Tensor" and not isinstance(x, _SIZED)
    return (AttributeError if asked else TypeError)(
        f"{name}(): argument '{argument}' must be {expected}, not {type(x).__name__}; "
        f"got {call_of(name, args, kwargs)}"
    )


def tell(error: Exception, name: str, args: Any, kwargs: Any) -> None:
    """Let the message say which call failed, where it lacked the name or a shape.

    Of calls inside calls the outermost is named: it is the one that the user wrote.
    """
    if error.__class__ not in _OURS or name in _CALLBACKS or len(error.args) != 1:
        return
    text = getattr(error, "said", error.args[0])
    if isinstance(text, str) and not _says(text, name, (*args, *kwargs.values())):
        error.said = text  # type: ignore[attr-defined]
        error.args = (f"{text}, in {call_of(name, args, kwargs)}",)


# Errors that operations raise, and those whose errors are raised by functions of the user.
_OURS = {IndexError, NotImplementedError, RuntimeError, TypeError, ValueError}
_CALLBACKS = {"apply_", "map_", "map2_"}


def _says(text: str, name: str, values: Any) -> bool:
    if re.search(rf"\b{re.escape(name.rstrip('_'))}_?\b", text) is None:
        return False
    shapes = [tuple(v.shape) for v in values if isinstance(v, Tensor)]
    return all(
        [str(list(s)) in text or str(s) in text or "x".join(map(str, s)) in text for s in shapes]
    )


def call_of(name: str, args: Any, kwargs: Any) -> str:
    """A call in words: its arguments with their shapes and dtypes."""
    words = [_words(a) for a in args] + [f"{k}={_words(v)}" for k, v in kwargs.items()]
    return f"{name}({', '.join(words)})"


def _words(x: Any) -> str:
    if isinstance(x, (tuple, list)) and any([_tensor(e) for e in x]):
        return f"[{', '.join([describe(e) for e in x[:4]])}{', ...' if len(x) > 4 else ''}]"
    return describe(x)
