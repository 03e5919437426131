"""Hooks of modules: their registration, and the calls that run them.

``Module.__call__`` looks only whether there are any hooks; everything that happens when there
are some is here, so that a call without hooks stays as short as it can be.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Mapping

import facula
from facula import Tensor
from facula.utils.hooks import RemovableHandle, add_hook

# Hooks that run for every module: id -> (kind, hook, with_kwargs, always_call).
# One table, so that a call without hooks asks one question.
global_hooks: OrderedDict = OrderedDict()


class HooksOfKind(Mapping):
    """The hooks of one kind that run for every module, by id, as libraries look through them.

    With `always` those of them that run even when `forward` raises.
    """

    def __init__(self, *kinds: str, always: bool = False) -> None:
        self.kinds, self.always = kinds, always

    def __getitem__(self, id):
        if id not in list(self):
            raise KeyError(id)
        return global_hooks[id][1]

    def __iter__(self):
        found = []
        for id, (kind, _, _, always) in global_hooks.items():
            if kind in self.kinds and (always or not self.always):
                found.append(id)
        return iter(found)

    def __len__(self) -> int:
        return len(list(iter(self)))


class HookMixin:
    """The part of ``Module`` that registers and runs hooks."""

    _backward_hooks: OrderedDict
    _backward_pre_hooks: OrderedDict
    _forward_hooks: OrderedDict
    _forward_hooks_with_kwargs: OrderedDict
    _forward_hooks_always_called: OrderedDict
    _forward_pre_hooks: OrderedDict
    _forward_pre_hooks_with_kwargs: OrderedDict
    _is_full_backward_hook: bool | None

    def _init_hooks(self) -> None:
        # Straight into __dict__: Module.__setattr__ would examine every one of these.
        self.__dict__.update(
            _is_full_backward_hook=None,
            _backward_pre_hooks=OrderedDict(),
            _backward_hooks=OrderedDict(),
            _forward_hooks=OrderedDict(),
            _forward_hooks_with_kwargs=OrderedDict(),
            _forward_hooks_always_called=OrderedDict(),
            _forward_pre_hooks=OrderedDict(),
            _forward_pre_hooks_with_kwargs=OrderedDict(),
            _state_dict_hooks=OrderedDict(),
            _state_dict_pre_hooks=OrderedDict(),
            _load_state_dict_pre_hooks=OrderedDict(),
            _load_state_dict_post_hooks=OrderedDict(),
        )

    # ---- registration

    def register_forward_pre_hook(
        self, hook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args)`` before ``forward``; a result replaces the arguments.

        With ``with_kwargs`` it is ``hook(module, args, kwargs)``, which returns None or
        ``(args, kwargs)``.
        """
        extra = (self._forward_pre_hooks_with_kwargs,)
        handle = add_hook(self._forward_pre_hooks, hook, prepend, extra)
        if with_kwargs:
            self._forward_pre_hooks_with_kwargs[handle.id] = True
        return handle

    def register_forward_hook(
        self,
        hook,
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after ``forward``; a result replaces the output.

        With ``with_kwargs`` it is ``hook(module, args, kwargs, output)``. With ``always_call``
        the hook runs even when ``forward`` raises.
        """
        extra = (self._forward_hooks_with_kwargs, self._forward_hooks_always_called)
        handle = add_hook(self._forward_hooks, hook, prepend, extra)
        if with_kwargs:
            self._forward_hooks_with_kwargs[handle.id] = True
        if always_call:
            self._forward_hooks_always_called[handle.id] = True
        return handle

    def register_full_backward_pre_hook(self, hook, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_output)`` before the module's gradients are computed."""
        return add_hook(self._backward_pre_hooks, hook, prepend)

    def register_full_backward_hook(self, hook, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` once the inputs' gradients are known.

        A result replaces ``grad_input``.
        """
        return self._register_backward(hook, prepend, full=True)

    def register_backward_hook(self, hook) -> RemovableHandle:
        """Deprecated by PyTorch in favour of :meth:`register_full_backward_hook`."""
        return self._register_backward(hook, False, full=False)

    def _register_backward(self, hook, prepend: bool, full: bool) -> RemovableHandle:
        if self._is_full_backward_hook is (not full):
            raise RuntimeError(
                "Cannot use both regular backward hooks and full backward hooks on a single "
                "Module. Please use only one of them."
            )
        self._is_full_backward_hook = full
        return add_hook(self._backward_hooks, hook, prepend)

    # ---- calls

    def _call_with_hooks(self, args: tuple, kwargs: dict):
        forward_hooks = self._all_forward_hooks()
        done = set()
        result = None
        try:
            args, kwargs = self._run_pre_hooks(args, kwargs)
            full, plain, pre = self._all_backward_hooks()
            boundary = None
            if full or pre:
                boundary = _BackwardBoundary(self, full, pre)
                args = boundary.watch_inputs(args)
            result = self.forward(*args, **kwargs)
            for key, hook, with_kwargs, _ in forward_hooks:
                done.add(key)
                result = _run_forward_hook(self, hook, with_kwargs, args, kwargs, result)
            if boundary is not None:
                result = boundary.watch_outputs(result)
            if plain:
                _hook_grad_fn(self, plain, args, result)
            return result
        except Exception:
            for key, hook, with_kwargs, always in forward_hooks:
                if not always or key in done:
                    continue
                try:
                    result = _run_forward_hook(self, hook, with_kwargs, args, kwargs, result)
                except Exception as error:
                    kind = "global module" if key in global_hooks else "module"
                    warnings.warn(
                        f"{kind} forward hook with ``always_call=True`` raised an exception that "
                        f"was silenced as another error was raised in forward: {error}",
                        stacklevel=2,
                    )
            raise

    def _run_pre_hooks(self, args: tuple, kwargs: dict):
        hooks = [(hook, with_kw) for _, hook, with_kw, _ in _global("forward_pre")]
        marked = self._forward_pre_hooks_with_kwargs
        hooks += [(hook, key in marked) for key, hook in self._forward_pre_hooks.items()]
        for hook, with_kwargs in hooks:
            if with_kwargs:
                changed = hook(self, args, kwargs)
                if changed is None:
                    continue
                if not (isinstance(changed, tuple) and len(changed) == 2):
                    raise RuntimeError(
                        "forward pre-hook must return None or a tuple of (new_args, new_kwargs), "
                        f"but got {changed}."
                    )
                args, kwargs = changed
            else:
                changed = hook(self, args)
                if changed is not None:
                    args = changed if isinstance(changed, tuple) else (changed,)
        return args, kwargs

    def _all_forward_hooks(self) -> list:
        hooks = _global("forward")
        marked, always = self._forward_hooks_with_kwargs, self._forward_hooks_always_called
        for key, hook in self._forward_hooks.items():
            hooks.append((key, hook, key in marked, key in always))
        return hooks

    def _all_backward_hooks(self):
        """Full hooks, non-full hooks, pre-hooks."""
        pre = [hook for _, hook, _, _ in _global("backward_pre")]
        pre += self._backward_pre_hooks.values()
        full = [hook for _, hook, _, _ in _global("backward_full")]
        plain = [hook for _, hook, _, _ in _global("backward")]
        if self._is_full_backward_hook:
            full += self._backward_hooks.values()
        else:
            plain += self._backward_hooks.values()
        return full, plain, pre


def _global(kind: str) -> list:
    return [
        (key, hook, with_kwargs, always)
        for key, (k, hook, with_kwargs, always) in global_hooks.items()
        if k == kind
    ]


def _run_forward_hook(module, hook, with_kwargs, args, kwargs, result):
    new = hook(module, args, kwargs, result) if with_kwargs else hook(module, args, result)
    return result if new is None else new


# ---- gradients at the border of a module


class _Border(facula.autograd.Function):
    """Identity on tensors, whose backward lets ``on_grad`` see and replace the gradients."""

    @staticmethod
    def forward(ctx, on_grad, *tensors):
        ctx.on_grad = on_grad
        ctx.set_materialize_grads(False)
        views, needs = [t.view_as(t) for t in tensors], ctx.needs_input_grad[1:]
        ctx.mark_non_differentiable(*[v for v, f in zip(views, needs, strict=True) if not f])
        return tuple(views)

    @staticmethod
    def backward(ctx, *grads):
        return (None, *ctx.on_grad(grads))


class _BackwardBoundary:
    """The two borders of one call of a module, and the hooks that run as gradients pass."""

    def __init__(self, module, hooks: list, pre_hooks: list) -> None:
        self.module, self.hooks, self.pre_hooks = module, hooks, pre_hooks
        self.grad_outputs = None
        self.input_index: list[int] | None = None
        self.output_index: list[int] = []
        self.n_inputs = self.n_outputs = 0

    def watch_inputs(self, args: tuple) -> tuple:
        self.n_inputs = len(args)
        args, self.input_index = self._watch(args, self._at_inputs)
        return args

    def watch_outputs(self, result):
        outputs = result if isinstance(result, tuple) else (result,)
        self.n_outputs = len(outputs)
        new, index = self._watch(outputs, self._at_outputs)
        if index is None:
            return result
        self.output_index = index
        if not isinstance(result, tuple):
            return new[0]
        return type(result)(*new) if hasattr(result, "_fields") else new

    @staticmethod
    def _watch(values: tuple, on_grad):
        index = [i for i, v in enumerate(values) if isinstance(v, Tensor)]
        tensors = [values[i] for i in index]
        if not (facula.is_grad_enabled() and any(t.requires_grad for t in tensors)):
            return values, None
        watched = list(values)
        for i, tensor in zip(index, _Border.apply(on_grad, *tensors), strict=True):
            watched[i] = tensor
        return tuple(watched), index

    def _at_outputs(self, grads: tuple) -> tuple:
        grad_outputs = _spread(grads, self.output_index, self.n_outputs)
        for hook in self.pre_hooks:
            changed = hook(self.module, grad_outputs)
            if changed is not None:
                grad_outputs = _as_grads(
                    changed, "Backward pre hook", "grad_output", self.n_outputs
                )
        self.grad_outputs = grad_outputs
        if self.input_index is None:  # no input has a gradient: this is the only border
            nothing = (None,) * self.n_inputs
            for hook in self.hooks:
                changed = hook(self.module, nothing, grad_outputs)
                if changed is None:
                    continue
                if not (isinstance(changed, tuple) and all(g is None for g in changed)):
                    raise RuntimeError(
                        "Backward hook for Modules where no input requires gradient should always "
                        "return None or None for all gradients."
                    )
            self.grad_outputs = None
        return tuple(grad_outputs[i] for i in self.output_index)

    def _at_inputs(self, grads: tuple) -> tuple:
        if self.grad_outputs is None:  # none came through the output: a second derivative
            return grads
        index = self.input_index or []
        grad_inputs = _spread(grads, index, self.n_inputs)
        for hook in self.hooks:
            changed = hook(self.module, grad_inputs, self.grad_outputs)
            if changed is not None:
                grad_inputs = _as_grads(changed, "Backward hook", "grad_input", self.n_inputs)
        self.grad_outputs = None
        return tuple(grad_inputs[i] for i in index)


def _spread(grads: tuple, index: list[int], size: int) -> tuple:
    full = [None] * size
    for i, g in zip(index, grads, strict=True):
        full[i] = g
    return tuple(full)


def _as_grads(value, what: str, name: str, size: int) -> tuple:
    grads = value if isinstance(value, tuple) else (value,)
    if len(grads) != size:
        raise RuntimeError(
            f"{what} returned an invalid number of {name}, got {len(grads)}, but expected {size}"
        )
    return grads


def _hook_grad_fn(module, hooks: list, args, result) -> None:
    """Non-full backward hooks sit on the node that made the output (PyTorch's old meaning).

    FutureWarning where they see less than the gradients of all inputs and outputs.
    """
    first = result
    while not isinstance(first, Tensor):
        first = next(iter(first.values())) if isinstance(first, dict) else first[0]
    node = first.grad_fn
    if node is None:
        return
    for hook in hooks:

        def run(grad_inputs, grad_outputs, hook=hook):
            return hook(module, grad_inputs, grad_outputs)

        node.register_hook(run)
    missing = _unseen(node, args, result)
    if missing is not None:
        warnings.warn(
            f"{type(module).__name__}: a non-full backward hook on {missing}. This is deprecated; "
            "please use register_full_backward_hook to get the documented behavior.",
            FutureWarning,
            stacklevel=4,
        )


def _unseen(node, args: tuple, result) -> str | None:
    """Which gradients a hook of this node misses, in words."""
    outs = result if isinstance(result, tuple) else (result,)
    if not all([isinstance(t, Tensor) for t in outs]):
        return (
            "a Module that does not return a single Tensor or a tuple of Tensors will be missing "
            "some of the grad_output"
        )
    if not all([isinstance(t, Tensor) for t in args]):
        return (
            "a Module that does not take as input a single Tensor or a tuple of Tensors will be "
            "missing some of the grad_input"
        )
    if any([t.grad_fn is not None and t.grad_fn is not node for t in outs]):
        return (
            "a Module whose outputs are generated by different autograd Nodes will be missing some "
            "of the grad_output"
        )
    if {t.grad_fn for t in args} - {None} != {n for n, _ in node.next_functions}:
        return (
            "a Module when the forward contains multiple autograd Nodes will be missing some of "
            "the grad_input"
        )
    return None


# ---- hooks for every module


def _register_global(kind: str, hook, with_kwargs=False, always_call=False) -> RemovableHandle:
    return add_hook(global_hooks, (kind, hook, with_kwargs, always_call))


def register_module_forward_pre_hook(hook) -> RemovableHandle:
    """Call ``hook(module, args)`` before the forward of every module."""
    return _register_global("forward_pre", hook)


def register_module_forward_hook(
    hook, *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Call ``hook(module, args, output)`` after the forward of every module."""
    return _register_global("forward", hook, with_kwargs, always_call)


def _register_global_backward(kind: str, other: str, hook) -> RemovableHandle:
    if _global(other):
        raise RuntimeError(
            "Cannot use both regular backward hooks and full backward hooks as a global Module "
            "hook. Please use only one of them."
        )
    return _register_global(kind, hook)


def register_module_backward_hook(hook) -> RemovableHandle:
    """Deprecated by PyTorch in favour of :func:`register_module_full_backward_hook`."""
    return _register_global_backward("backward", "backward_full", hook)


def register_module_full_backward_pre_hook(hook) -> RemovableHandle:
    """Call ``hook(module, grad_output)`` before the gradients of every module."""
    return _register_global("backward_pre", hook)


def register_module_full_backward_hook(hook) -> RemovableHandle:
    """Call ``hook(module, grad_input, grad_output)`` after the gradients of every module."""
    return _register_global_backward("backward_full", "backward", hook)


def registration_hooks(kind: str) -> list:
    """The global hooks that run when a buffer, parameter or module is registered."""
    if not global_hooks:
        return []
    return [hook for _, hook, _, _ in _global(kind)]


def register_module_buffer_registration_hook(hook) -> RemovableHandle:
    """Call ``hook(module, name, buffer)`` when a buffer is registered; a result replaces it."""
    return _register_global("buffer_registration", hook)


def register_module_module_registration_hook(hook) -> RemovableHandle:
    """Call ``hook(module, name, child)`` when a child is registered; a result replaces it."""
    return _register_global("module_registration", hook)


def register_module_parameter_registration_hook(hook) -> RemovableHandle:
    """Call ``hook(module, name, param)`` when a parameter is registered; a result replaces it."""
    return _register_global("parameter_registration", hook)
