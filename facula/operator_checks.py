"""Checking an operator of a library: what it does with its inputs, tensors without values, and its
derivative.

Source: https://pytorch.org/docs/stable/library.html#torch.library.opcheck
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from facula.autograd.calls import grad
from facula.ops.table import FUNCTIONS
from facula.tensor import Tensor
from facula.utils._pytree import tree_flatten, tree_map

Args = tuple[Any, ...]


class OpCheckError(Exception):
    """What an operator does wrong."""


def _tensors(tree: Any) -> list[Any]:
    return [t for t in tree_flatten(tree)[0] if isinstance(t, Tensor)]


def _copies(tree: Any) -> Any:
    """The same arguments, their tensors as leaves of their own."""
    copy = lambda t: t.detach().clone().requires_grad_(t.requires_grad)  # noqa: E731
    return tree_map(lambda t: copy(t) if isinstance(t, Tensor) else t, tree)


def _schema(op: Any, args: Args, kwargs: dict[str, Any]) -> None:
    """It writes to the arguments that it says it writes to, and to no others."""
    named = op.parameters(args, kwargs)
    before = {name: [t.detach().clone() for t in _tensors(v)] for name, v in named.items()}
    op(*args, **kwargs)
    for name, old in before.items():
        if name in op.mutates_args or op.mutates_args == "unknown":
            continue
        for a, b in zip(_tensors(named[name]), old, strict=True):
            if not FUNCTIONS["allclose"](a.detach(), b, rtol=0, atol=0, equal_nan=True):
                raise OpCheckError(
                    f"{op}: argument {name} is not declared to be written to, but was"
                )


def _without_values(op: Any, args: Args, kwargs: dict[str, Any]) -> None:
    """`register_fake` gives what the kernel gives, without values."""
    out = op(*args, **kwargs)
    if op.fake is None and out is None:
        return  # it only writes to its arguments
    real = tree_flatten(out)[0]
    if op.fake is None:
        raise OpCheckError(f"{op}: there is no fake implementation; give it one by register_fake")
    to_meta = lambda t: t.detach().to("meta") if isinstance(t, Tensor) else t  # noqa: E731
    fake_args, fake_kwargs = tree_map(to_meta, (args, kwargs))
    fake = tree_flatten(op.fake(*fake_args, **fake_kwargs))[0]
    if len(fake) != len(real):
        raise OpCheckError(f"{op}: {len(real)} results, but {len(fake)} of the fake implementation")
    for i, (a, b) in enumerate(zip(real, fake, strict=True)):
        if isinstance(a, Tensor) != isinstance(b, Tensor):
            raise OpCheckError(f"{op}: result {i} is {type(a).__name__}, not {type(b).__name__}")
        if isinstance(a, Tensor):
            for what in ("shape", "dtype", "stride"):
                x, y = [getattr(t, what) for t in (a, b)]
                x, y = (x(), y()) if what == "stride" else (x, y)
                if x != y:
                    raise OpCheckError(
                        f"{op}: {what} of result {i} is {x}, but {y} by the fake implementation"
                    )


def _derivative(op: Any, args: Args, kwargs: dict[str, Any]) -> None:
    """Where operands require grad, gradients of their shapes and dtypes arrive."""
    wanted = [t for t in _tensors((args, kwargs)) if t.requires_grad]
    outs = [t for t in _tensors(op(*args, **kwargs)) if t.requires_grad]
    if not wanted:
        return
    if not outs:
        raise OpCheckError(f"{op}: operands require grad, but no result does")
    total = sum([t.abs().sum() if t.is_complex() else t.sum() for t in outs])
    found = grad(total, wanted, allow_unused=True)
    for t, g in zip(wanted, found, strict=True):
        if g is not None and (g.shape, g.dtype) != (t.shape, t.dtype):
            raise OpCheckError(
                f"{op}: a gradient of shape {list(g.shape)} and {g.dtype} for an operand of shape "
                f"{list(t.shape)} and {t.dtype}"
            )


def _repeated(op: Any, args: Args, kwargs: dict[str, Any], rtol: Any, atol: Any) -> None:
    """Run again, as compiled programs do, it gives the same."""
    from facula.testing import assert_close

    first, second = [
        tree_flatten(op(*a, **k))[0] for a, k in [_copies((args, kwargs)) for _ in range(2)]
    ]
    try:
        assert_close(first, second, rtol=rtol, atol=atol, equal_nan=True)
    except AssertionError as error:
        raise OpCheckError(f"{op}: two runs give different results: {error}") from None


TESTS = (
    "test_schema",
    "test_autograd_registration",
    "test_faketensor",
    "test_aot_dispatch_dynamic",
)


def opcheck(
    op: Any,
    args: Args,
    kwargs: dict[str, Any] | None = None,
    *,
    test_utils: str | Sequence[str] = TESTS,
    raise_exception: bool = True,
    atol: float | None = None,
    rtol: float | None = None,
) -> dict[str, Any]:
    """Check an operator on sample arguments: "SUCCESS" or the error for each check.

    Args:
        op: the operator, as `custom_op` gives it or `torch.ops.mine.f`.
        test_utils: one or some of the checks: what it writes to (`test_schema`), whether gradients
            arrive (`test_autograd_registration`), whether its fake implementation gives the shapes,
            strides and dtypes of its kernel (`test_faketensor`), whether two runs give the same
            (`test_aot_dispatch_dynamic`).
        raise_exception: whether a failure is raised, as `OpCheckError`.
        atol, rtol: how far results of two runs may be apart; by dtype, where they are None.

    Raises ValueError for a check that there is none of, TypeError for what is no operator.

    Source: https://pytorch.org/docs/stable/library.html#torch.library.opcheck
    """
    from facula.library import CustomOpDef

    if not isinstance(op, CustomOpDef):
        raise TypeError(f"opcheck(): op must be an operator, not {type(op).__name__}")
    names = TESTS if test_utils == "ALL" else test_utils
    names = (names,) if isinstance(names, str) else tuple(names)
    checks: dict[str, Callable[..., None]] = {
        "test_schema": _schema,
        "test_autograd_registration": _derivative,
        "test_faketensor": _without_values,
        "test_aot_dispatch_dynamic": lambda o, a, k: _repeated(o, a, k, rtol, atol),
    }
    if not set(names) <= set(TESTS):
        raise ValueError(f"opcheck(): test_utils must be of {TESTS}, got {test_utils!r}")
    found: dict[str, Any] = {}
    for name in names:
        try:
            checks[name](op, *_copies((tuple(args), kwargs or {})))
            found[name] = "SUCCESS"
        except Exception as error:
            if raise_exception:
                if isinstance(error, OpCheckError):
                    raise
                raise OpCheckError(f"opcheck(op, ...): {name} failed with {error}") from error
            found[name] = error
    return found
