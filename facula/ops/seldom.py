"""What programs seldom name: functions that were removed, looks at layouts and memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from facula.ops.promotion import need
from facula.ops.table import METHODS, api

_REMOVED = {
    "lstsq": "torch.linalg.lstsq(A, B)",
    "eig": "torch.linalg.eig",
    "symeig": "torch.linalg.eigh",
    "solve": "torch.linalg.solve(A, B)",
}


def _remove(name: str, instead: str) -> None:
    def f(input: Any, A: Any = None, **kwargs: Any) -> NoReturn:
        raise RuntimeError(
            "This function was deprecated since version 1.9 and is now removed. "
            f"`torch.{name}` is deprecated in favor of `{instead}`."
        )

    f.__name__ = name
    f.__doc__ = f"RuntimeError: PyTorch has removed it in favour of {instead}."
    api(f)


for _name, _instead in _REMOVED.items():
    _remove(_name, _instead)


@api(function=False)
def dim_order(self: Any, *, ambiguity_check: Any = False) -> tuple[int, ...]:
    """The dimensions from the one with the largest stride to the one with the smallest.

    RuntimeError with `ambiguity_check` where others would do as well (sizes of 1, equal strides).
    """
    sizes, strides = self.shape, self.stride()
    order = tuple(sorted(range(len(sizes)), key=lambda d: (-strides[d] or -1, d)))
    if ambiguity_check is not False:
        if 1 in sizes or len(set(strides)) < len(strides):
            raise RuntimeError(
                "The tensor does not have unique dim order, or cannot map to exact one of the "
                f"given memory formats: shape {list(sizes)}, strides {list(strides)}"
            )
    return order


def map2_(self: Any, x: Any, y: Any, callable: Callable[..., Any]) -> Any:
    """Write callable(a, b, c) for each element and those of two other tensors."""
    need("map2_", x=x, y=y)
    if self.requires_grad or x.requires_grad or y.requires_grad:
        raise RuntimeError("map2_: Can't call map2_() on Variable that requires grad.")
    a, b, c = [t.expand(self.shape).reshape(-1).tolist() for t in (self, x, y)]
    made = [callable(*values) for values in zip(a, b, c, strict=True)]
    return self.copy_(self.new_tensor(made).reshape(self.shape))


def record_stream(self: Any, stream: Any) -> None:
    """Say that a stream uses the tensor's memory: of no use here, where one queue is used."""
    if not hasattr(stream, "wait_stream"):
        raise RuntimeError(f"record_stream: expected a Stream, got {type(stream).__name__}")


def is_distributed(self: Any) -> bool:
    """False: a tensor is not spread over processes."""
    return False


def const_data_ptr(self: Any) -> int:
    """The address of the first element, for reading."""
    return self.data_ptr()


def _elsewhere(name: str) -> Callable[..., Any]:
    def f(self: Any, *args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError(f"Tensor.{name}(): no {name} device is available: Facula has none")

    f.__name__, f.__doc__ = name, f"RuntimeError: there are no {name} devices."
    return f


METHODS.update(
    map2_=map2_, record_stream=record_stream, is_distributed=is_distributed,
    const_data_ptr=const_data_ptr, xpu=_elsewhere("xpu"), mtia=_elsewhere("mtia"),
    ipu=_elsewhere("ipu"),
)  # fmt: skip
