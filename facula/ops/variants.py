"""Second forms of operations that are elsewhere: in-place functions, and small questions."""

from __future__ import annotations

import warnings
from typing import Any

from facula import dtypes
from facula.in_place import check_in_place, forbidden
from facula.ops.promotion import need
from facula.ops.table import FUNCTIONS, METHODS, api
from facula.tensor import Tensor
from facula.warned import warn_once
from facula.writes import bump

_IN_PLACE = """
    abs acos acosh addmv arccos arccosh arcsin arcsinh arctan arctanh asin asinh atan
    atanh ceil clamp clamp_max clamp_min clip conj_physical cos cosh deg2rad erf erfc
    exp exp2 expm1 fill fix floor frac gcd index_put lcm ldexp log log10 log1p log2
    logit nan_to_num neg negative rad2deg reciprocal relu round rsqrt sigmoid sin sinc
    sinh sqrt square tan tanh trunc xlogy zero
"""
for _name in _IN_PLACE.split():
    FUNCTIONS[_name + "_"] = METHODS[_name + "_"]
for _name, _there in (("moveaxis", "movedim"), ("detach", "detach"), ("detach_", "detach_")):
    FUNCTIONS[_name] = METHODS.get(_there) or getattr(Tensor, _there)


@api
def adjoint(input: Any) -> Any:
    """The conjugate transpose of the last two dimensions."""
    need("adjoint", input=input)
    if not input.node.shape:
        warn_once("adjoint() is deprecated on 0-D tensors. Consider using x.conj().")
        return input.conj()
    if len(input.node.shape) < 2:
        raise RuntimeError(
            f"adjoint: expected at least 2 dimensions, got shape {list(input.node.shape)}"
        )
    t = input.transpose(-2, -1)
    return t.conj() if t.dtype.is_complex else t


@api
def is_nonzero(input: Any) -> bool:
    """Whether the only element is not zero."""
    if input.numel() != 1:
        many = "more than one value" if input.numel() else "no values"
        raise RuntimeError(f"Boolean value of Tensor with {many} is ambiguous")
    return bool(input)


@api
def is_same_size(input: Any, other: Any) -> bool:
    """Whether both tensors have one shape."""
    return bool(input.node.shape == other.node.shape)


@api(method=False)
def is_signed(input: Any) -> bool:
    """Whether the dtype has a sign."""
    return bool(input.dtype.is_signed)


@api(method=False)
def is_conj(input: Any) -> bool:
    """Whether a tensor is the conjugate of what is in its memory, as `x.conj()` is."""
    return bool(input.is_conj())


@api(method=False)
def is_neg(input: Any) -> bool:
    """Whether a tensor is the negative of what is in its memory, as `x.conj().imag` is."""
    return bool(input.is_neg())


@api
def get_device(input: Any) -> int:
    """The number of the tensor's device: -1 for the CPU."""
    return -1


@api(method=False)
def frobenius_norm(input: Any, dim: Any, keepdim: bool = False) -> Any:
    """The root of the sum of squares over some dimensions."""
    return FUNCTIONS["norm"](input, 2, dim, keepdim)


@api(method=False)
def nuclear_norm(input: Any, dim: Any = (-2, -1), keepdim: bool = False) -> Any:
    """The sum of the singular values."""
    return FUNCTIONS["norm"](input, "nuc", dim, keepdim)


def fill_diagonal_(self: Any, fill_value: Any, wrap: bool = False) -> Any:
    """Set the main diagonal; with `wrap`, it begins again below a tall matrix."""
    shape = self.node.shape
    forbidden((self,), True)  # what is written is a view of it, which asks for its history
    check_in_place(self, "fill_diagonal_")
    if len(shape) < 2:
        raise RuntimeError(f"fill_diagonal_: dimensions must larger than 1, got {list(shape)}")
    if len(shape) > 2 and len(set(shape)) != 1:
        raise RuntimeError(
            f"fill_diagonal_: all dimensions of input must be of equal length, got {list(shape)}"
        )
    n = min(shape)
    if not n:
        bump(self)
        return self
    index = FUNCTIONS["arange"](n)
    self[(index,) * len(shape)] = fill_value
    if wrap and len(shape) == 2 and shape[0] > shape[1] + 1:
        step, rest = shape[1] + 1, shape[0] - shape[1] - 1
        for start in range(0, rest, step):
            k = FUNCTIONS["arange"](min(shape[1], rest - start))
            self[k + start + step, k] = fill_value
    return self


def _type(self: Any, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The name of the tensor's type, or the tensor as another dtype."""
    if dtype is None:
        return _TYPES[self.dtype]
    if dtype is Tensor:
        dtype = dtypes.get_default_dtype()
    elif isinstance(dtype, type) and hasattr(dtype, "dtype"):  # `torch.LongTensor`
        dtype = dtype.dtype
    if isinstance(dtype, str):
        found = [d for d, name in _TYPES.items() if name == dtype]
        if not found:
            raise ValueError(f"invalid type: '{dtype}'")
        dtype = found[0]
    if not isinstance(dtype, (type, dtypes.dtype)):
        raise TypeError(f"type(): dtype must be a type, str, or dtype object, not {dtype!r}")
    return self.to(dtype)


_TYPES = {
    dtypes.float32: "torch.FloatTensor",
    dtypes.float64: "torch.DoubleTensor",
    dtypes.float16: "torch.HalfTensor",
    dtypes.bfloat16: "torch.BFloat16Tensor",
    dtypes.uint8: "torch.ByteTensor",
    dtypes.int8: "torch.CharTensor",
    dtypes.int16: "torch.ShortTensor",
    dtypes.int32: "torch.IntTensor",
    dtypes.int64: "torch.LongTensor",
    dtypes.bool: "torch.BoolTensor",
    dtypes.complex64: "torch.ComplexFloatTensor",
    dtypes.complex128: "torch.ComplexDoubleTensor",
    dtypes.uint16: "torch.UInt16Tensor",
    dtypes.uint32: "torch.UInt32Tensor",
    dtypes.uint64: "torch.UInt64Tensor",
}


def _number(name: str, value: Any) -> Any:
    if isinstance(value, (str, bytes)):
        raise TypeError(f"{name}: must be real number, not {type(value).__name__}")
    return value


def apply_(self: Any, callable: Any) -> Any:
    """Replace every element by a Python function of it (slow; computed at once)."""
    if self.requires_grad:
        raise RuntimeError("apply_: Can't call apply_() on Variable that requires grad.")
    flat = [_number("apply_", callable(x)) for x in self.reshape(-1).tolist()]
    return self.copy_(FUNCTIONS["tensor"](flat, dtype=self.dtype).reshape(self.node.shape))


def map_(self: Any, tensor: Any, callable: Any) -> Any:
    """Replace every element by a Python function of it and another tensor's (computed at once)."""
    need("map_", tensor=tensor)
    if tensor.dtype is not self.dtype:
        raise TypeError(f"map_: expected {self.type()} for 'other' (got {tensor.type()})")
    if self.requires_grad or tensor.requires_grad:
        raise RuntimeError("map_: Can't call map_() on Variable that requires grad.")
    other = tensor.expand(self.node.shape).reshape(-1).tolist()
    own = self.reshape(-1).tolist()
    flat = [_number("map_", callable(x, y)) for x, y in zip(own, other, strict=True)]
    return self.copy_(FUNCTIONS["tensor"](flat, dtype=self.dtype).reshape(self.node.shape))


def resize(self: Any, *sizes: Any) -> Any:
    """The elements in another shape: `view`, by an old name."""
    warnings.warn("non-inplace resize is deprecated", UserWarning, stacklevel=2)
    return self.contiguous().view(*sizes)


def resize_as(self: Any, tensor: Any) -> Any:
    """The elements in the shape of another tensor, by an old name."""
    warnings.warn("non-inplace resize_as is deprecated", UserWarning, stacklevel=2)
    return self.contiguous().view(tensor.shape)


def _new(self: Any, *args: Any, device: Any = None, **named: Any) -> Any:
    """A tensor of this one's dtype with these sizes or this data; a constructor of old."""
    from facula.legacy import new

    return new(self, *args, device=device, **named)


METHODS.update(fill_diagonal_=fill_diagonal_, type=_type, apply_=apply_, map_=map_)


def _untyped_storage(self: Any) -> Any:
    """The memory that the tensor lies in, as bytes."""
    from facula.memory import untyped_storage

    return untyped_storage(self)


def _storage(self: Any) -> Any:
    """The memory that the tensor lies in, as numbers of its dtype."""
    from facula.memory import typed_storage

    return typed_storage(self)


def _pin_memory(self: Any, device: Any = None) -> Any:
    """Memory that an accelerator reads faster: an error, as in PyTorch where there is none."""
    raise RuntimeError("Cannot access accelerator device when none is available.")


def _storage_type(self: Any) -> Any:
    """The class of the tensor's storage."""
    from facula.legacy import storage_type

    return storage_type(self)


def _is_pinned(self: Any, device: Any = None) -> bool:
    """Whether the memory can be read by a device while the host goes on: none of it is pinned."""
    return False


METHODS.update(new=_new, untyped_storage=_untyped_storage, storage=_storage)
METHODS.update(storage_type=_storage_type)
METHODS.update(resize=resize, resize_as=resize_as, pin_memory=_pin_memory)
METHODS["is_pinned"] = _is_pinned
