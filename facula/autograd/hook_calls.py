"""Calls of hooks during a backward pass, and what they may put in the place of gradients.

Source: https://pytorch.org/docs/stable/notes/autograd.html#backward-hooks-execution
"""

from __future__ import annotations

from typing import Any

from facula.autograd.names import kept
from facula.autograd.nodes import GradNode
from facula.trace.recorder import TLS
from facula.trace.resting import rouse


def unwritten(pack: Any, t: Any) -> Any:
    """What a hook makes of a value to be saved, which it may not write to."""
    version = t._version
    packed = pack(t)
    if t._version != version:
        raise RuntimeError(
            "A saved tensor pack hook is modifying its input in place. Tensors provided as input "
            "to pack hook can not be modified by in-place operations as this can lead to "
            f"unexpected side-effects. (a {t.dtype} tensor of shape {list(t.shape)})"
        )
    return packed


def of_tensor(hooks: dict[int, Any] | None, g: Any) -> Any:
    """The gradient that the hooks of a tensor make of the one that has arrived there."""
    if hooks:
        rouse(TLS.r)
        for hook in list(hooks.values()):
            new = hook(g)
            if new is not None:
                g = _checked(hook, g, new)
    return g


def given_to(n: GradNode, g: Any) -> tuple[Any, ...]:
    """What a node was given, as its hooks see it: a gradient for each of its results."""
    joint = None if n.custom is None else n.custom.joint
    if joint is None or joint.count == 1:
        return (g,)
    return tuple([joint.grads.get(i) for i in range(joint.count)])


def before_node(n: GradNode, g: Any) -> tuple[Any, bool]:
    """The gradient that a node is run with, and whether it is run: not where its hooks leave none.

    Of several gradients the node's function gets what the hooks have made of them.
    """
    rouse(TLS.r)
    assert n.pre_hooks is not None
    for hook in list(n.pre_hooks.values()):
        given = given_to(n, g)
        new = hook(given)
        if new is None:
            continue
        _check_all(hook, given, new)
        if all([d is None for d in new]):
            return None, False
        if len(new) > 1:
            n.custom.joint.grads = dict(enumerate(new))
        else:
            g = new[0]
    return g, True


def after_node(n: GradNode, grads: list[Any], given: tuple[Any, ...]) -> list[Any]:
    """The gradients that a node's hooks make of those it sends."""
    rouse(TLS.r)
    grads += [None] * (len(kept(n)) - len(grads))  # for numbers, which are operands too
    assert n.post_hooks is not None
    for hook in list(n.post_hooks.values()):
        new = hook(tuple(grads), given)
        if new is not None:
            _check_all(hook, grads, new)
            grads = list(new)
    return grads


def after_added(t: Any) -> None:
    """Calls the hooks of a leaf whose gradient is added up. They may return nothing, or the leaf.

    Source: https://pytorch.org/docs/stable/generated/torch.Tensor.register_post_accumulate_grad_hook.html
    """
    rouse(TLS.r)
    for hook in list(t._post_hooks.values()):
        given = hook(t)
        if given is None or given is t:  # as `lambda p: p.add_(p.grad)` gives
            continue
        if not hasattr(given, "node"):
            raise TypeError(
                f"expected Variable, but hook '{_name(hook)}' returned '{type(given).__name__}'"
            )
        raise RuntimeError(
            "backward(): Tensor post accumulate grad hooks should return None. (of a leaf of "
            f"shape {list(t.shape)})"
        )


def _name(hook: Any) -> str:
    name: str = getattr(hook, "__name__", type(hook).__name__)
    return name


def _check_all(hook: Any, grads: Any, new: Any) -> None:
    """TypeError or RuntimeError for what a node's hook may not return."""
    if not isinstance(new, tuple):
        raise TypeError(f"expected tuple, but hook '{_name(hook)}' returned '{type(new).__name__}'")
    if len(new) != len(grads):
        raise RuntimeError(
            f"hook '{_name(hook)}' has returned an incorrect number of values (got {len(new)}, but "
            f"expected {len(grads)})"
        )
    for g, d in zip(grads, new, strict=True):
        if g is not None and d is not None:
            _checked(hook, g, d)


def _checked(hook: Any, g: Any, new: Any) -> Any:
    """What a hook put in the place of a gradient."""
    name = _name(hook)
    if not hasattr(new, "node"):
        raise TypeError(f"expected Variable, but hook '{name}' returned '{type(new).__name__}'")
    if tuple(new.shape) != tuple(g.shape):
        raise RuntimeError(
            f"hook '{name}' has changed the size of value: from {list(g.shape)} to "
            f"{list(new.shape)}"
        )
    if new.dtype is not g.dtype:
        raise RuntimeError(
            f"hook '{name}' has changed the type of value: from {g.dtype} to {new.dtype}"
        )
    return new


__all__ = ["after_added", "after_node", "before_node", "given_to", "of_tensor", "unwritten"]
