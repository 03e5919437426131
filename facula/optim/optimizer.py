"""Optimizer, the base of all algorithms, and its part that loops over the parameters.

Source: https://pytorch.org/docs/stable/optim.html#base-class

Two rules keep a training loop one repeating program (see README.md in this folder): `step` never
reads the value of a tensor, and a number that changes from step to step is a Python float that
meets tensors as a factor. Step counters are such numbers. PyTorch keeps them as 0-d tensors in
`state`, and so do we, but over memory that NumPy holds as well: see `Optimizer._host`.
"""

from __future__ import annotations

import functools
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from itertools import chain
from typing import Any, TypeAlias

import facula
from facula import Tensor
from facula.errors import honest
from facula.ops.table import OVERRIDES
from facula.tensor import tensor
from facula.trace.recorder import TLS, restore_grad, set_grad
from facula.utils.hooks import RemovableHandle, add_hook

ParamsT: TypeAlias = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]


class _Required:
    """The default of an option that every parameter group must give."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()
_global_pre_hooks: OrderedDict[int, Any] = OrderedDict()
_global_post_hooks: OrderedDict[int, Any] = OrderedDict()


def register_optimizer_step_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` before `step` of every optimiser."""
    return add_hook(_global_pre_hooks, hook)


def register_optimizer_step_post_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` after `step` of every optimiser."""
    return add_hook(_global_post_hooks, hook)


def host_dtype() -> Any:
    """The dtype of numbers in the state: float64 if that is the default dtype, else float32."""
    wide = facula.get_default_dtype() == facula.float64
    return facula.float64 if wide else facula.float32


def refuse_sparse(optimizer: Any, grad: Tensor) -> None:
    """Raise RuntimeError for a sparse gradient, unless the optimiser takes such."""
    if grad.is_sparse and not optimizer._takes_sparse:
        raise RuntimeError(
            f"{type(optimizer).__name__} does not support sparse gradients, but a parameter of "
            f"shape {tuple(grad.shape)} has one; please consider SparseAdam, SGD or Adagrad"
        )


def host_number(value: float) -> Tensor:
    """A 0-d tensor for `state`, to be used through `Optimizer._host`."""
    return tensor(float(value), dtype=host_dtype())


def _with_hooks(step: Callable[..., Any]) -> Callable[..., Any]:
    """`step` with the hooks around it, and a mark that it has run."""
    if getattr(step, "hooked", False):
        return step

    @functools.wraps(step)
    def hooked_step(self: Any, *args: Any, **kwargs: Any) -> Any:
        if "_optimizer_step_pre_hooks" not in self.__dict__:
            return step(self, *args, **kwargs)  # a wrapper of another, which is no optimiser itself
        pre = _global_pre_hooks or self._optimizer_step_pre_hooks
        post = _global_post_hooks or self._optimizer_step_post_hooks
        if not (pre or post) or self._stepping:  # a step() that calls super().step() is one step
            self._opt_called = True
            return step(self, *args, **kwargs)
        self._stepping = True
        try:
            all_args: tuple[Any, ...] = (self, *args)
            hooks = [*_global_pre_hooks.values(), *self._optimizer_step_pre_hooks.values()]
            for hook in hooks:
                changed = hook(self, all_args, kwargs)
                if changed is None:
                    continue
                if not isinstance(changed, tuple) or len(changed) != 2:
                    raise RuntimeError(
                        f"{type(self).__name__}.step: a pre-hook must return None or a tuple of "
                        f"(new_args, new_kwargs), but got {changed}."
                    )
                all_args, kwargs = changed
            self._opt_called = True
            result = step(*all_args, **kwargs)
            hooks = [*self._optimizer_step_post_hooks.values(), *_global_post_hooks.values()]
            for hook in hooks:
                hook(self, all_args, kwargs)
        finally:
            self._stepping = False
        return result

    hooked_step.hooked = True  # type: ignore[attr-defined]
    return hooked_step


class Optimizer:
    """What every optimiser has: groups of parameters with options, state, saving and loading.

    `params`: tensors, ``(name, tensor)`` pairs, or dicts with `params` and options of their own.
    `defaults`: the options of groups that do not set them.

    A subclass gives `step(closure=None)`; step hooks are run around it without its doing.

    Raises TypeError for a single tensor, a set in a group or something that is no tensor, and
    ValueError for no parameters, a parameter that is no leaf, in two groups, or half of them named.
    """

    # State kept on the host (see `_host`), which loading does not cast to the parameter's dtype.
    _host_state: tuple[str, ...] = ("step",)
    _opt_called = False  # whether step() has run: learning-rate schedulers warn if it has not
    _stepping = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__:
            cls.step = _with_hooks(cls.__dict__["step"])  # type: ignore[method-assign]

    profile_hook_step = staticmethod(_with_hooks)

    def _patch_step_function(self) -> None:
        """Give the class's `step` its hooks. Wrappers call this that begin nothing else of it."""
        cls: Any = type(self)
        cls.step = _with_hooks(cls.step)

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or "
                f"dicts, but got a single tensor of shape {tuple(params.shape)}"
            )
        self.defaults = defaults
        self.state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self._make_hooks()
        groups: list[Any] = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def _make_hooks(self) -> None:
        self._hosts: dict[Tensor, Any] = {}
        self._optimizer_step_pre_hooks: OrderedDict[int, Any] = OrderedDict()
        self._optimizer_step_post_hooks: OrderedDict[int, Any] = OrderedDict()
        self._optimizer_state_dict_pre_hooks: OrderedDict[int, Any] = OrderedDict()
        self._optimizer_state_dict_post_hooks: OrderedDict[int, Any] = OrderedDict()
        self._optimizer_load_state_dict_pre_hooks: OrderedDict[int, Any] = OrderedDict()
        self._optimizer_load_state_dict_post_hooks: OrderedDict[int, Any] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {
            "defaults": self.defaults,
            "state": self.state,
            "param_groups": self.param_groups,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over state from a pickle, a copy or a checkpoint, old ones included.

        Options that the saved groups lack get their defaults.
        """
        self.__dict__.update(state)
        if "_hosts" not in self.__dict__:
            self._make_hooks()
        self._hosts.clear()
        defaults = self.__dict__.setdefault("defaults", {})
        for group in self.param_groups:
            for key, value in defaults.items():
                if value is not required:
                    group.setdefault(key, value)

    def __repr__(self) -> str:
        lines = [type(self).__name__ + " ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}" if i == 0 else f"\nParameter Group {i}")
            lines += [f"    {k}: {group[k]}" for k in sorted(group) if k != "params"]
        return "\n".join([*lines, ")"])

    # ---- groups

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Optimise further parameters, with options of their own where the dict has any.

        Raises as the constructor does; the optimiser is then as it was.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, Tensor):
            params = [params]
        elif isinstance(params, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the "
                "ordering of tensors in sets will change between runs. Please use a list instead."
            )
        params = list(params)
        names = [p[0] for p in params if isinstance(p, tuple)]
        if names:
            if len(names) != len(params):
                raise ValueError(
                    "all optimizer params should be with/without names. Some param names are "
                    f"missing: {len(names)} of {len(params)} have one"
                )
            params = [p[1] for p in params]
        if self.param_groups and ("param_names" in self.param_groups[0]) != bool(names):
            has = "without" if names else "with"
            gets = "with" if names else "without"
            raise ValueError(
                "all optimizer param groups should be with/without names. cannot add param group "
                f"{gets} names to the optimizer, whose groups are {has}"
            )
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(
                    "optimizer can only optimize Tensors, but one of the params is "
                    f"{type(p).__name__}"
                )
            if not self.defaults.get("differentiable") and not (p.is_leaf or p.retains_grad):
                raise ValueError(
                    f"can't optimize a non-leaf Tensor (one of shape {tuple(p.shape)})"
                )
        if len(set(params)) != len(params):
            import warnings

            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters, each of which "
                "is updated once for every time that it is listed; this will become an error",
                UserWarning,
                stacklevel=3,
            )
        present = {p for group in self.param_groups for p in group["params"]}
        if not present.isdisjoint(params):
            raise ValueError("some parameters appear in more than one parameter group")
        if names:
            param_group["params"] = params  # and then the names, where PyTorch has them
            param_group["param_names"] = names
        for key, default in self.defaults.items():
            if default is required and key not in param_group:
                raise ValueError(
                    f"parameter group didn't specify a value of required optimization parameter "
                    f"{key}"
                )
            param_group.setdefault(key, default)
        param_group["params"] = params
        self.param_groups.append(param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop every gradient; with ``set_to_none=False``, fill it with zeros."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    if type(p) in OVERRIDES:  # its gradient may be that of another tensor
                        p.grad = None
                    else:
                        p._grad = None
                    continue
                grad = p.grad
                if grad is None:
                    continue
                if grad.requires_grad:  # from backward(create_graph=True)
                    if grad.is_leaf:
                        grad.requires_grad_(False)
                    else:
                        grad.detach_()
                grad.zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters once. `closure` computes the loss anew, gradients included.

        Returns what the closure returned, or None.
        """
        raise NotImplementedError(f"{type(self).__name__}.step() is not implemented")

    # ---- saving and loading

    def state_dict(self) -> dict[str, Any]:
        """State and options, with parameters named by their position: ``{state, param_groups}``.

        The tensors are those of the optimiser, not copies.
        """
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for p in group["params"]:
                numbers.setdefault(id(p), len(numbers))
            packed = {k: v for k, v in group.items() if k != "params"}
            packed["params"] = [numbers[id(p)] for p in group["params"]]
            groups.append(packed)
        state = {numbers[id(k)] if isinstance(k, Tensor) else k: v for k, v in self.state.items()}
        result = {"state": state, "param_groups": groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            changed = hook(self, result)
            if changed is not None:
                result = changed
        return result

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` of this kind of optimiser returned, PyTorch's included.

        Floating-point state is cast to the dtype and device of its parameter. Raises ValueError if
        the groups differ in number or size.
        """
        state_dict = state_dict.copy()
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            changed = hook(self, state_dict)
            if changed is not None:
                state_dict = changed
        saved_groups = deepcopy(state_dict["param_groups"])
        own, saved = self.param_groups, saved_groups
        if len(own) != len(saved):
            raise ValueError(
                "loaded state dict has a different number of parameter groups: "
                f"{len(saved)}, expected {len(own)}"
            )
        for i, (mine, theirs) in enumerate(zip(own, saved)):
            if len(mine["params"]) != len(theirs["params"]):
                raise ValueError(
                    "loaded state dict contains a parameter group that doesn't match the size of "
                    f"optimizer's group: group {i} has {len(theirs['params'])} parameters, "
                    f"expected {len(mine['params'])}"
                )
        params = dict(
            zip(
                chain.from_iterable(g["params"] for g in saved),
                chain.from_iterable(g["params"] for g in own),
            )
        )
        state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        for key, value in state_dict["state"].items():
            if key in params:
                state[params[key]] = self._fit(params[key], value)
            else:
                state[key] = value
        for mine, theirs in zip(own, saved):
            theirs["params"] = mine["params"]
            if "param_names" in mine:
                theirs.setdefault("param_names", mine["param_names"])
        self.__setstate__({"state": state, "param_groups": saved_groups})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    def _fit(self, p: Tensor, value: Any, key: Any = None) -> Any:
        """Loaded state as it belongs to parameter `p`."""
        if isinstance(value, Tensor):
            if key in self._host_state:
                return value
            if p.is_floating_point():
                return value.to(dtype=p.dtype, device=p.device)
            return value.to(device=p.device)
        if isinstance(value, dict):
            return {k: self._fit(p, v, k) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)([self._fit(p, v) for v in value])  # type: ignore[arg-type]
        return value

    # ---- hooks

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` before `step`; it may return new ``(args, kwargs)``.

        `args` begins with the optimiser itself.
        """
        return add_hook(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` after `step`."""
        return add_hook(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer)` before `state_dict`."""
        return add_hook(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` after `state_dict`; a result replaces it."""
        return add_hook(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` before loading; a result is loaded instead."""
        return add_hook(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer)` after loading."""
        return add_hook(self._optimizer_load_state_dict_post_hooks, hook, prepend)

    # ---- numbers on the host

    def _host(self, state: dict[str, Any], key: str) -> Any:
        """The memory of the 0-d tensor ``state[key]``, as a NumPy array to read and write.

        The tensor and the array are one number: counting in the array costs no operation and no
        flush, and whoever looks at the tensor, saves it or writes to it sees or sets that number.
        Old checkpoints hold a plain number here; it becomes a tensor.
        """
        value = state[key]
        array = self._hosts.get(value)
        if array is None:
            if not isinstance(value, Tensor):
                value = state[key] = tensor(float(value), dtype=host_dtype())
            elif value.requires_grad or value.device.type != "cpu" or value.dim() != 0:
                value = state[key] = value.detach().cpu().reshape(()).clone()
            array = self._hosts[value] = value.numpy()
        return array

    def _count(self, state: dict[str, Any]) -> float:
        """Advance ``state["step"]``; returns the number of this step, from 1."""
        array = self._host(state, "step")
        array[()] = n = array.item() + 1.0
        return n


class PerParameterOptimizer(Optimizer):
    """An optimiser that updates each parameter on its own.

    A subclass gives `_initial_state` and `_update`. Within `_update` no gradients are recorded
    (with ``differentiable=True`` they are), complex tensors appear as real ones with a last
    dimension of two, and `grad` has its sign turned for ``maximize=True``; `grad` is never to be
    written to.
    """

    _takes_sparse = False
    _real_views = True  # whether complex parameters are updated part by part

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        `closure`, if given, is called first, with gradient recording on; returns its result.
        """
        loss = None
        if closure is not None:
            with facula.enable_grad():
                loss = closure()
        before = TLS.r.grad
        try:
            set_grad(bool(self.defaults.get("differentiable")))
            for group in self.param_groups:
                self._update_group(group)
        finally:
            restore_grad(before)
        return loss

    def _update_group(self, group: dict[str, Any]) -> None:
        """Update the parameters of one group, one after the other."""
        all_state = self.state
        maximize = group.get("maximize")
        for p in group["params"]:
            grad = p.grad
            if grad is None:
                continue
            if grad.is_sparse:
                refuse_sparse(self, grad)
            state = all_state.get(p)
            if not state:
                state = self._initial_state(group, p)
                if state:
                    all_state[p] = state
            elif group.get("differentiable"):
                self._renew(state)
            if maximize:
                grad = -grad
            if self._real_views and p.is_complex():
                p, grad = facula.view_as_real(p), facula.view_as_real(grad)
                state = self._real_state(state)
            self._update(group, p, grad, state)

    def _initial_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        """The state of parameter `p` before its first update."""
        return {}

    def _update(
        self, group: dict[str, Any], p: Tensor, grad: Tensor, state: dict[str, Any]
    ) -> None:
        """Update `p` and its state in place."""
        raise NotImplementedError

    def _renew(self, state: dict[str, Any]) -> None:
        """Copies of the state tensors, so that this update does not write to what the graph of an
        earlier one has saved."""
        for key, value in state.items():
            if isinstance(value, Tensor) and key not in self._host_state:
                state[key] = value.clone()

    def _real_state(self, state: dict[str, Any]) -> dict[str, Any]:
        return {
            k: facula.view_as_real(v) if isinstance(v, Tensor) and v.is_complex() else v
            for k, v in state.items()
        }


__getattr__ = honest(__name__)
