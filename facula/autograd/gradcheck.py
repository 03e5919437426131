"""Checks of gradients against differences.

Source: https://pytorch.org/docs/stable/autograd.html#numerical-gradient-checking

The module has the name of its function, so the package imports it at once; what the checks are
made of is imported when one is run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class GradcheckError(RuntimeError):
    """Raised by `gradcheck` and `gradgradcheck` where a check fails."""


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Whether the gradients of `func` agree with differences of its values.

    Checked are the gradients by the inputs that require grad; they should be of double precision.
    With `fast_mode` one random product with the Jacobian is compared instead of all of it.
    """
    if not (check_forward_ad or check_backward_ad):
        raise AssertionError(
            "Expected at least one of check_forward_ad or check_backward_ad to be True"
        )
    if check_batched_grad and not check_backward_ad:
        raise AssertionError(
            "Setting check_batched_grad=True requires check_backward_ad to be True"
        )
    if check_batched_forward_grad and not check_forward_ad:
        raise AssertionError(
            "Setting check_batched_forward_grad=True requires check_forward_ad to be True"
        )
    from facula.autograd import differences as d

    check = d.Check(
        func, d.as_tuple(inputs), eps, atol, rtol, nondet_tol, check_grad_dtypes, fast_mode
    )
    try:
        d.check_inputs(check.inputs)
        outputs = check.outputs()
        d.check_outputs(outputs)
        if check_backward_ad:
            d.backward_by_parts(check, outputs)
        if check_forward_ad:
            d.forward_by_parts(check)
        if check_batched_forward_grad:
            d.batched_forward(check)
        if check_backward_ad and d.differentiable(outputs):
            if check_batched_grad:
                d.batched_backward(check)
            d.multiplied(check)
            if check_undefined_grad:
                d.undefined(check)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """Whether the second derivatives of `func` agree with differences of its gradients.

    The gradients are those by the inputs that require grad, for `grad_outputs` (random numbers, if
    they are not given); they are checked as functions of both.
    """
    if not (check_fwd_over_rev or check_rev_over_rev):
        raise AssertionError(
            "Expected at least one of check_fwd_over_rev or check_rev_over_rev to be True"
        )
    for name, asked in (
        ("check_undefined_grad", check_undefined_grad),
        ("check_batched_grad", check_batched_grad),
    ):
        if asked and not check_rev_over_rev:
            raise AssertionError(f"Setting {name}=True requires check_rev_over_rev to be True")
    from facula.autograd import calls
    from facula.autograd import differences as d
    from facula.tensor import Tensor
    from facula.testing import make_tensor

    inputs = d.as_tuple(inputs)
    if grad_outputs is None:
        grad_outputs = tuple(
            [
                make_tensor(
                    y.shape,
                    dtype=y.dtype,
                    device=y.device,
                    low=-1,
                    high=1,
                    requires_grad=True,
                    noncontiguous=gen_non_contig_grad_outputs,
                )
                for y in d.differentiable(func(*inputs))
            ]
        )
    weights = d.as_tuple(grad_outputs)
    wanted = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
    recorded = [isinstance(x, Tensor) and x.requires_grad for x in (*inputs, *weights)]

    def gradients(*args: Any) -> Any:
        args = tuple([x.requires_grad_() if f else x for x, f in zip(args, recorded, strict=True)])
        xs, vs = args[: len(inputs)], args[len(inputs) :]
        found = calls.grad(
            d.differentiable(func(*xs)),
            [xs[i] for i in wanted],
            vs,
            create_graph=True,
            allow_unused=True,
        )
        return tuple([g for g in found if g is not None])

    return gradcheck(
        gradients,
        (*inputs, *weights),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad,
        check_forward_ad=check_fwd_over_rev,
        check_backward_ad=check_rev_over_rev,
        fast_mode=fast_mode,
        masked=masked,
    )
