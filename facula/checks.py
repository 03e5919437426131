"""Conditions that programs state: `torch._assert`, `torch._check` and its kin."""

from __future__ import annotations

from typing import Any


def _assert(condition: Any, message: str) -> None:
    """AssertionError with this message unless the condition is true."""
    if condition.__class__ is not bool and hasattr(condition, "__torch_function__"):
        from facula import overrides

        if overrides.has_torch_function_unary(condition):
            return overrides.handle_torch_function(_assert, (condition,), condition, message)
    assert condition, message


def _assert_async(input: Any, assert_msg: str | None = None) -> None:
    """RuntimeError with this message unless the one element of a tensor is not zero.

    The element is read here, on every device: no kernel of another one may stop the program.
    """
    if not hasattr(input, "node"):
        raise TypeError(
            "_assert_async(): argument 'input' (position 1) must be Tensor, not "
            f"{type(input).__name__}"
        )
    if not bool(input):
        raise RuntimeError(assert_msg or "Expected Tensor with single nonzero value, but got zero")


def _check_with(error: type[Exception], cond: Any, message: Any = None) -> None:
    if cond.__class__ is not bool:
        if hasattr(cond, "node"):
            raise TypeError(
                "cond must be a bool, but got a Tensor. For tensor conditions, use "
                "torch._check_tensor_all() to assert that all elements are true."
            )
        raise TypeError(f"cond must be a bool, but got {type(cond)}")
    if not cond:
        text = "Expected cond to be True, but got False." if message is None else message()
        raise error(text)


def _check_tensor_all_with(error: type[Exception], cond: Any, message: Any = None) -> None:
    if not hasattr(cond, "node"):
        raise TypeError(f"cond must be a tensor, but got {type(cond)}")
    _check_with(error, bool(cond.all()), message)


def _check(cond: Any, message: Any = None) -> None:
    """RuntimeError with the message that a function gives unless the condition is true."""
    _check_with(RuntimeError, cond, message)


def _check_index(cond: Any, message: Any = None) -> None:
    _check_with(IndexError, cond, message)


def _check_value(cond: Any, message: Any = None) -> None:
    _check_with(ValueError, cond, message)


def _check_type(cond: Any, message: Any = None) -> None:
    _check_with(TypeError, cond, message)


def _check_not_implemented(cond: Any, message: Any = None) -> None:
    _check_with(NotImplementedError, cond, message)


def _check_is_size(i: Any, message: Any = None, *, max: Any = None) -> None:
    _check(i >= 0 and (max is None or i <= max), message)


def _check_tensor_all(cond: Any, message: Any = None) -> None:
    """RuntimeError unless all elements are true."""
    _check_tensor_all_with(RuntimeError, cond, message)
