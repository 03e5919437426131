"""The calls that begin a pass: `backward` and `grad`. The pass itself is `engine.run`."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

from facula.autograd import engine, frames
from facula.autograd.edges import GradientEdge, is_edge, node_at, stand_in
from facula.autograd.nodes import GradNode
from facula.autograd.replay import before_pass, follow, follow_grad, grad_key, key_of, remember
from facula.meta import META, no_backward
from facula.ops.contraction import MATMUL
from facula.ops.movement import CONTIGUOUS, PERMUTE
from facula.ops.pointwise import ADD, MUL
from facula.trace import recorder
from facula.trace.recorder import TLS
from facula.warned import warn_once

# Operations of a frame from which on it ends with a pass that goes on from an older one: what the
# program does with the gradients is mostly little, and other things in the first steps.
LONG = 10_000


def _first_gradient(t: Any, g: Any, name: str) -> Any:
    if g is None:
        if t.numel() != 1:
            raise RuntimeError(
                f"{name}: grad can be implicitly created only for scalar outputs; "
                f"the output has shape {list(t.shape)}"
            )
        if t.dtype.is_complex:
            raise RuntimeError(
                f"{name}: grad can be implicitly created only for real scalar outputs but got "
                f"{t.dtype}"
            )
        return t.new_ones(t.shape)
    if tuple(g.shape) != tuple(t.shape):
        raise RuntimeError(
            f"Mismatch in shape: grad_output[0] has a shape of {g.shape} and "
            f"output[0] has a shape of {t.shape}."
        )
    if g.dtype.is_complex != t.dtype.is_complex:
        raise RuntimeError(
            "For complex Tensors, both grad_output and output are required to have "
            f"the same dtype. Mismatch in dtype: grad_output[0] has {g.dtype} and "
            f"output[0] has {t.dtype}."
        )
    return g if g.dtype is t.dtype else g.to(t.dtype)


def _sequence(x: Any) -> list[Any]:
    """Tensors given alone, as a dict's values or in anything that gives them one by one."""
    if x is None:
        return []
    if isinstance(x, GradientEdge):
        return [x]
    if isinstance(x, (tuple, list)):
        return list(x)
    if hasattr(x, "requires_grad"):
        return [x]
    return list(x.values()) if type(x) is dict else list(x)


def _tensors(name: str, argument: str, given: Any) -> None:
    """TypeError where something is neither a tensor nor a sequence, RuntimeError for elements."""
    for t in _sequence(given):
        if not hasattr(t, "requires_grad") and not isinstance(t, GradientEdge):
            several = isinstance(given, Iterable)
            raise (RuntimeError if several else TypeError)(
                f"{name}(): argument '{argument}' must be a Tensor or a sequence of Tensors, "
                f"but got {type(t).__name__}"
            )


def _roots(tensors: Any, grads: Any, name: str, built: bool = True) -> list[tuple[Any, Any]]:
    """Pairs of an edge and a gradient; unless `built`, edges to frames that have ended may be
    what stands for their nodes."""
    outs = _sequence(tensors)
    if tensors is None:
        raise TypeError(f"{name}(): argument 'tensors' must be Tensors, not NoneType")
    _tensors(name, "tensors", tensors)
    gs = _sequence(grads) if grads is not None else [None] * len(outs)
    for g in gs:
        if g is not None and not hasattr(g, "node"):
            raise TypeError(
                f"{name}: gradients can be either Tensors or None, but got {type(g).__name__}"
            )
    if len(gs) != len(outs):
        raise RuntimeError(f"{name}: got {len(outs)} tensors and {len(gs)} gradients")
    pairs = []
    for t, g in zip(outs, gs, strict=True):
        if isinstance(t, GradientEdge):
            pairs.append((node_at(t), _first_gradient(stand_in(t), g, name)))
            continue
        if not t.requires_grad:
            raise RuntimeError(
                f"element 0 of tensors does not require grad and does not have a "
                f"grad_fn ({name} of a tensor of shape {list(t.shape)})"
            )
        if t.node.op is META:
            no_backward(t)
        first = _first_gradient(t, g, name)
        edge = None if built else frames.ended(t)
        edge = t._edge() if edge is None else edge
        if edge is None:
            raise RuntimeError(
                f"element 0 of tensors does not have a grad_fn ({name} of a view of shape "
                f"{list(t.shape)} that was made while gradients were not recorded)"
            )
        pairs.append((edge, first))
    return pairs


def _target(t: Any) -> Any:
    """Where the gradient of a tensor arrives; a view nothing leads to has a place of its own."""
    if isinstance(t, GradientEdge):
        return node_at(t)
    edge = t._edge()
    return GradNode() if edge is None else edge


def _laid_out(g: Any, t: Any) -> Any:
    """The gradient of a matrix that a product took transposed, in the matrix's layout.

    PyTorch multiplies so that it comes like this, and programs view it as a vector; where no
    product made it, its steps are those of PyTorch already.
    """
    n = g.node
    if n.strides is None or t.node.strides is not None or len(n.shape) != 2:
        return g
    for _ in range(8):  # a sum of several uses is looked through
        column = n.op is MUL and n.inputs[0].shape[-1:] == (1,) == n.inputs[1].shape[-2:-1]
        if n.op is MATMUL or column:
            return recorder.record(CONTIGUOUS, (g,), 0)
        if n.op is not PERMUTE and n.op is not ADD:
            break
        n = n.inputs[0]
    return g


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """Add the gradients of `tensors` to the `.grad` of the leaves (or of `inputs`).

    `grad_variables` is an old name of `grad_tensors`.

    Source: https://pytorch.org/docs/stable/generated/torch.autograd.backward.html
    """
    if grad_variables is not None:
        warnings.warn(
            "`grad_variables` is deprecated. Use `grad_tensors` instead.",
            FutureWarning,
            stacklevel=2,
        )
        if grad_tensors is not None:
            raise RuntimeError(
                "backward: `grad_tensors` and its old name `grad_variables` are both given; please "
                "only use `grad_tensors`."
            )
        grad_tensors = grad_variables
    if create_graph is not False or retain_graph is not None:
        _flags("backward", retain_graph=retain_graph, create_graph=create_graph)
        if create_graph:
            warn_once(
                "Using backward() with create_graph=True will create a reference cycle between the "
                "parameter and its gradient which can cause a memory leak. We recommend using "
                "autograd.grad when creating the graph to avoid this. If you have to use this "
                "function, make sure to reset the .grad fields of your parameters to None after "
                "use to break the cycle and avoid the leak."
            )
    if not hasattr(tensors, "node") or isinstance(tensors, GradientEdge):
        tensors = _sequence(tensors) or tensors  # read once: it may be a generator
    if grad_tensors is not None and not hasattr(grad_tensors, "node"):
        grad_tensors = _sequence(grad_tensors)
    state = None
    whole = inputs is None and not create_graph and TLS.dual is None and not is_edge(tensors)
    if whole and not retain_graph:
        # The usual call: where the same pass was run at this place before, it is followed.
        r, key, given = TLS.r, getattr(tensors, "node", None), ()
        if grad_tensors is not None or key is None:
            key, given = key_of(r, tensors, grad_tensors)
        if key is not None:
            if follow(r, key, given):
                return
            state = before_pass(r, key, given)
    if whole and state is None:
        frames.end_frame(TLS.r, tensors)
    keep = create_graph if retain_graph is None else retain_graph
    if TLS.r.packing is not None:
        recorder.flush(TLS.r)  # what is saved goes through the hooks first
    roots = _roots(tensors, grad_tensors, "backward", built=not whole)
    targets = None
    if inputs is not None:
        ins = _sequence(inputs)
        _tensors("backward", "inputs", ins)
        if not ins:
            raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
        for t in ins:
            if isinstance(t, GradientEdge):
                continue
            if not t.requires_grad:
                raise RuntimeError(
                    f"backward: an input of shape {list(t.shape)} does not require grad"
                )
            t.retain_grad()  # gradients of results arrive as these do
        targets = [_target(t) for t in ins]
    engine.run(roots, keep=keep, create_graph=create_graph, targets=targets)
    if state is not None:
        remember(r, key, given, state)
    elif whole and TLS.r.cur.index >= LONG:
        recorder.flush(TLS.r, wait=False)


def _flags(name: str, **flags: Any) -> None:
    """TypeError for a setting that is no bool."""
    for argument, x in flags.items():
        if not isinstance(x, int) and (
            x is not None or argument in ("create_graph", "materialize_grads")
        ):
            raise TypeError(f"{name}(): argument '{argument}' must be bool, not {type(x).__name__}")


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> Any:
    """The gradients of `outputs` with respect to `inputs`, leaving every `.grad` alone.

    Source: https://pytorch.org/docs/stable/generated/torch.autograd.grad.html
    """
    _flags(
        "grad",
        retain_graph=retain_graph,
        create_graph=create_graph,
        allow_unused=allow_unused,
        materialize_grads=materialize_grads,
    )
    if type(inputs) is dict:
        found = grad(
            outputs,
            list(inputs.values()),
            grad_outputs,
            retain_graph,
            create_graph,
            only_inputs,
            allow_unused,
            is_grads_batched,
            materialize_grads,
        )
        return dict(zip(inputs, found, strict=True))
    if inputs is None:
        raise TypeError("grad(): argument 'inputs' must be Tensors, not NoneType")
    ins = _sequence(inputs)
    if not hasattr(outputs, "node") or isinstance(outputs, GradientEdge):
        outputs = _sequence(outputs) or outputs  # read once: it may be a generator
    if grad_outputs is not None and not hasattr(grad_outputs, "node"):
        grad_outputs = _sequence(grad_outputs)
    if is_grads_batched:
        return _batch_of_grads(
            outputs,
            ins,
            grad_outputs,
            retain_graph,
            create_graph,
            allow_unused,
            materialize_grads,
        )
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when "
            "materialize_grads=True, but got: allow_unused=False."
        )
    keep = create_graph if retain_graph is None else retain_graph
    r, state = TLS.r, None
    plain = not create_graph and not materialize_grads and TLS.dual is None
    if plain and not is_edge(outputs) and not is_edge(ins):
        key, given = grad_key(r, outputs, ins, grad_outputs, bool(keep), bool(allow_unused))
        if key is not None:
            followed = follow_grad(r, key, given)
            if followed is not None:
                return followed
            state = before_pass(r, key, given, accumulates=False)
    if r.packing is not None:
        recorder.flush(r)
    roots = _roots(outputs, grad_outputs, "autograd.grad")
    if not ins:
        raise RuntimeError("`inputs` argument to `grad()` cannot be empty.")
    for t in ins:
        if isinstance(t, GradientEdge):
            continue
        if not hasattr(t, "requires_grad"):
            raise RuntimeError(
                f"all inputs have to be Tensors or GradientEdges, but got {type(t).__name__}"
            )
        if not t.requires_grad:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    targets = [_target(t) for t in ins]
    found = engine.run(
        roots, keep=keep, create_graph=create_graph, targets=targets, accumulate=False
    )
    out = []
    for t, e in zip(ins, targets, strict=True):
        g = found.get(e)
        if g is None and materialize_grads:
            if isinstance(t, GradientEdge):
                raise RuntimeError(
                    "autograd.grad: materialize_grads cannot be used when the given input is a "
                    "GradientEdge"
                )
            g = t.detach().new_zeros(t.shape, requires_grad=create_graph)
        elif g is not None:
            g = g if isinstance(t, GradientEdge) else _laid_out(g, t)
        elif not allow_unused:
            raise RuntimeError(
                "One of the differentiated Tensors appears to not have been used in the graph. "
                "Set allow_unused=True if this is the desired behavior."
            )
        out.append(g)
    if state is not None:
        remember(r, key, given, state, out, bool(keep))
    return tuple(out)


def _batch_of_grads(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any,
    keep: Any,
    create_graph: bool,
    unused: Any,
    materialize_grads: bool,
) -> tuple[Any, ...]:
    """`grad` for many gradients of the outputs at once, which lie along their first dimension."""
    from facula.func.vmap import vmap

    given = _sequence(grad_outputs)
    outs = _sequence(outputs)
    for i, (y, g) in enumerate(zip(outs, given, strict=False)):
        shape = stand_in(y).shape if isinstance(y, GradientEdge) else y.shape
        if g is not None and g.shape[1:] != shape:
            raise RuntimeError(
                "If `is_grads_batched=True`, we interpret the first dimension of each grad_output "
                "as the batch dimension. The sizes of the remaining dimensions are expected to "
                f"match the shape of corresponding output, but a mismatch was detected: "
                f"grad_output[{i}] has a shape of {g.shape} and output[{i}] has a shape of {shape}."
            )
    missing: list[int] = []

    def one(*gs: Any) -> Any:
        rest = iter(gs)
        weights = [None if g is None else next(rest) for g in given]
        found = grad(
            outputs,
            inputs,
            weights,
            keep,
            create_graph,
            allow_unused=unused,
            materialize_grads=materialize_grads,
        )
        missing.extend([i for i, g in enumerate(found) if g is None])
        return tuple([g for g in found if g is not None])

    found = list(vmap(one)(*[g for g in given if g is not None]))
    for i in missing:
        found.insert(i, None)
    return tuple(found)


__all__ = ["backward", "grad"]
