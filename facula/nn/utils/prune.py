"""Pruning: weights set to zero for good, by a mask.

A pruned parameter ``weight`` becomes ``weight_orig``, with a buffer ``weight_mask``; before every
call the module's ``weight`` is their product. :func:`remove` makes it permanent.
"""

from __future__ import annotations

import numbers
from collections.abc import Iterable
from typing import Any

import facula
from facula import Tensor
from facula.errors import honest

from ..modules.module import Module

__all__ = [
    "BasePruningMethod",
    "CustomFromMask",
    "Identity",
    "L1Unstructured",
    "LnStructured",
    "PruningContainer",
    "RandomStructured",
    "RandomUnstructured",
    "custom_from_mask",
    "global_unstructured",
    "identity",
    "is_pruned",
    "l1_unstructured",
    "ln_structured",
    "random_structured",
    "random_unstructured",
    "remove",
]


class BasePruningMethod:
    """A way to choose what is pruned: a subclass defines ``compute_mask``.

    ``PRUNING_TYPE`` is ``"unstructured"`` (single elements), ``"structured"`` (whole slices along
    a dimension ``self.dim``) or ``"global"``.
    """

    PRUNING_TYPE: str
    _tensor_name: str

    def __call__(self, module: Module, inputs) -> None:
        setattr(module, self._tensor_name, self.apply_mask(module))

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """A mask of ``t``'s shape, zero where ``default_mask`` is zero and where to prune."""
        raise NotImplementedError(f"{type(self).__name__} does not define compute_mask")

    def apply_mask(self, module: Module) -> Tensor:
        """The pruned tensor."""
        name = getattr(self, "_tensor_name", None)
        if name is None:
            raise AssertionError(f"Module {module} has to be pruned")
        mask, original = getattr(module, name + "_mask"), getattr(module, name + "_orig")
        return mask.to(dtype=original.dtype) * original

    @classmethod
    def apply(
        cls, module: Module, name: str, *args, importance_scores: Tensor | None = None, **kwargs
    ):
        """Prune ``module``'s parameter ``name``, on top of what is pruned already."""
        old = None
        for key, hook in list(module._forward_pre_hooks.items()):
            if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
                if old is not None:
                    raise AssertionError(
                        f"Avoid adding multiple pruning hooks to the same tensor {name} of module "
                        f"{module}. Use a PruningContainer."
                    )
                old = hook
                del module._forward_pre_hooks[key]
        method = cls(*args, **kwargs)
        method._tensor_name = name
        if old is not None:
            container = old if isinstance(old, PruningContainer) else PruningContainer(old)
            container.add_pruning_method(method)
            method = container

        original = getattr(module, name)
        if importance_scores is None:
            importance_scores = original
        elif importance_scores.shape != original.shape:
            raise AssertionError(
                f"importance_scores should have the same shape as parameter {name} of {module}"
            )
        if old is None:
            param = module._parameters.pop(name)
            module.register_parameter(name + "_orig", param)
            default_mask = facula.ones_like(param, requires_grad=False)
        else:
            default_mask = getattr(module, name + "_mask").detach().clone()
        try:
            with facula.no_grad():
                mask = method.compute_mask(importance_scores.detach(), default_mask)
            module.register_buffer(name + "_mask", mask)
            setattr(module, name, method.apply_mask(module))
            module.register_forward_pre_hook(method)
        except Exception:
            if old is None:  # leave the module as it was
                module.register_parameter(name, module._parameters.pop(name + "_orig"))
            raise
        return method

    def prune(
        self,
        t: Tensor,
        default_mask: Tensor | None = None,
        importance_scores: Tensor | None = None,
    ) -> Tensor:
        """``t`` pruned, without a module."""
        if importance_scores is None:
            importance_scores = t
        elif importance_scores.shape != t.shape:
            raise AssertionError("importance_scores should have the same shape as tensor t")
        if default_mask is None:
            default_mask = facula.ones_like(t)
        return t * self.compute_mask(importance_scores, default_mask=default_mask)

    def remove(self, module: Module) -> None:
        """Make the pruning permanent: the product becomes the parameter."""
        name = self._tensor_name
        if name is None:
            raise AssertionError(f"Module {module} has to be pruned before pruning can be removed")
        weight = self.apply_mask(module)
        if hasattr(module, name):
            delattr(module, name)
        original = module._parameters.pop(name + "_orig")
        original.data = weight.data
        del module._buffers[name + "_mask"]
        setattr(module, name, original)


class PruningContainer(BasePruningMethod):
    """Several methods one after the other on one tensor."""

    PRUNING_TYPE = "container"

    def __init__(self, *args) -> None:
        self._pruning_methods: tuple = ()
        if not isinstance(args, Iterable) or not args:
            self._tensor_name = None
            return
        self._tensor_name = args[0]._tensor_name
        for method in args:
            self.add_pruning_method(method)

    def add_pruning_method(self, method) -> None:
        """Add ``method`` after the others."""
        if method is not None and not isinstance(method, BasePruningMethod):
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        if method is not None and self._tensor_name != method._tensor_name:
            raise ValueError(
                "Can only add pruning methods acting on the parameter named "
                f"'{self._tensor_name}' to PruningContainer {self}. Found '{method._tensor_name}'"
            )
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self):
        return iter(self._pruning_methods)

    def __getitem__(self, index):
        return self._pruning_methods[index]

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask of the last method, which sees only what is not pruned yet."""
        method = self._pruning_methods[-1]
        mask = default_mask.to(dtype=t.dtype)
        if method.PRUNING_TYPE == "unstructured":
            part = (mask == 1).nonzero(as_tuple=True)
        elif method.PRUNING_TYPE == "structured":
            dim = method.dim % t.dim()
            others = [d for d in range(t.dim()) if d != dim]
            alive = t.sum(dim=others) != 0 if others else t != 0
            part = tuple(
                alive.nonzero(as_tuple=True)[0] if d == dim else slice(None) for d in range(t.dim())
            )
        elif method.PRUNING_TYPE == "global":
            part = (slice(None),) * t.dim()
        else:
            raise ValueError(f"Unrecognized PRUNING_TYPE {method.PRUNING_TYPE}")
        mask = mask.clone()
        mask[part] = method.compute_mask(t[part], default_mask=mask[part]).to(dtype=mask.dtype)
        return mask


class Identity(BasePruningMethod):
    """Prunes nothing, but makes the mask."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        return default_mask


class _ByAmount(BasePruningMethod):
    """Prunes a number of elements, or a fraction of them."""

    PRUNING_TYPE = "unstructured"

    def __init__(self, amount) -> None:
        _check_amount(amount)
        self.amount = amount


class RandomUnstructured(_ByAmount):
    """Prunes elements at random."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        # The highest draws are pruned, as in PyTorch.
        return _without_lowest(-facula.rand_like(t), self.amount, default_mask)


class L1Unstructured(_ByAmount):
    """Prunes the elements of least magnitude."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        return _without_lowest(t.abs(), self.amount, default_mask)


class _Structured(_ByAmount):
    """Prunes whole slices along ``dim``."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount, dim: int = -1) -> None:
        super().__init__(amount)
        self.dim = dim

    def _scores(self, t: Tensor) -> Tensor:
        raise NotImplementedError

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        if t.dim() <= 1:
            raise ValueError(
                "Structured pruning can only be applied to multidimensional tensors. Found tensor "
                f"of shape {t.shape} with {t.dim()} dims"
            )
        if self.dim >= t.dim():
            raise IndexError(f"Invalid index {self.dim} for tensor of size {t.shape}")
        size = t.shape[self.dim]
        kept = _without_lowest(self._scores(t), self.amount, t.new_ones(size))
        shape = [size if d == self.dim % t.dim() else 1 for d in range(t.dim())]
        return default_mask.to(t.dtype) * kept.reshape(shape)


class RandomStructured(_Structured):
    """Prunes slices at random."""

    def _scores(self, t: Tensor) -> Tensor:
        return facula.rand(t.shape[self.dim])


class LnStructured(_Structured):
    """Prunes the slices of least n-norm."""

    def __init__(self, amount, n, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def _scores(self, t: Tensor) -> Tensor:
        return _norm_of_slices(t, self.n, self.dim)


class CustomFromMask(BasePruningMethod):
    """Prunes by a given mask."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        if default_mask.shape != self.mask.shape:
            raise AssertionError("the mask must have the shape of the tensor")
        return default_mask * self.mask.to(dtype=default_mask.dtype)


# ---- helpers


def _check_amount(amount) -> None:
    if not isinstance(amount, numbers.Real):
        raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
    is_count = isinstance(amount, numbers.Integral)
    if (is_count and amount < 0) or (not is_count and not 0.0 <= amount <= 1.0):
        raise ValueError(
            f"amount={amount} should either be a float in the range [0, 1] or a non-negative "
            "integer"
        )


def _count(amount, size: int) -> int:
    """How many of ``size`` to prune."""
    if isinstance(amount, numbers.Integral):
        if amount > size:
            raise ValueError(
                f"amount={amount} should be smaller than the number of parameters to prune={size}"
            )
        return int(amount)
    return round(amount * size)


def _without_lowest(scores: Tensor, amount, mask: Tensor) -> Tensor:
    """``mask`` with zeros where the lowest ``scores`` are."""
    n = _count(amount, scores.numel())
    mask = mask.clone()
    if n:
        lowest = scores.reshape(-1).topk(n, largest=False).indices
        flat = mask.reshape(-1).index_fill(0, lowest, 0)
        mask = flat.reshape(mask.shape)
    return mask


def _norm_of_slices(t: Tensor, n, dim: int) -> Tensor:
    others = [d for d in range(t.dim()) if d != dim % t.dim()]
    return t.norm(p=n, dim=others)


# ---- functions


def identity(module: Module, name: str) -> Module:
    """Install a mask of ones."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Module, name: str, amount: float | int) -> Module:
    """Prune elements at random: a number of them, or a fraction."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(
    module: Module, name: str, amount: float | int, importance_scores: Tensor | None = None
) -> Module:
    """Prune the elements of least magnitude (or of least importance)."""
    L1Unstructured.apply(module, name, amount, importance_scores=importance_scores)
    return module


def random_structured(module: Module, name: str, amount: float | int, dim: int) -> Module:
    """Prune slices along ``dim`` at random."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(
    module: Module,
    name: str,
    amount: float | int,
    n: Any,
    dim: int,
    importance_scores: Tensor | None = None,
) -> Module:
    """Prune the slices along ``dim`` of least n-norm."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def global_unstructured(
    parameters: Iterable[tuple[Module, str]],
    pruning_method: Any,
    importance_scores: dict | None = None,
    **kwargs: Any,
) -> None:
    """Prune several parameters as if they were one tensor.

    Args:
        parameters: pairs of module and parameter name.
        pruning_method: a class whose type is unstructured.
        importance_scores: scores to use instead of the values, by such pairs.
        kwargs: its arguments, such as ``amount``.
    """
    if not isinstance(parameters, Iterable):
        raise TypeError("global_unstructured(): parameters is not an Iterable")
    pairs = list(parameters)
    scores = importance_scores or {}
    if not isinstance(scores, dict):
        raise TypeError("global_unstructured(): importance_scores must be of type dict")
    values = [scores.get((m, name), getattr(m, name)).reshape(-1) for m, name in pairs]
    masks = [
        getattr(m, name + "_mask", facula.ones_like(getattr(m, name))).reshape(-1)
        for m, name in pairs
    ]
    names = PruningContainer()
    names._tensor_name = "temp"
    method = pruning_method(**kwargs)
    method._tensor_name = "temp"
    names.add_pruning_method(method)
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            f'Only "unstructured" PRUNING_TYPE supported for the `pruning_method`. Found method '
            f"{pruning_method} of type {method.PRUNING_TYPE}"
        )
    with facula.no_grad():
        mask = names.compute_mask(facula.cat(values).detach(), facula.cat(masks).detach())
    start = 0
    for module, name in pairs:
        param = getattr(module, name)
        part = mask[start : start + param.numel()].reshape(param.shape)
        custom_from_mask(module, name, mask=part)
        start += param.numel()


def custom_from_mask(module: Module, name: str, mask: Tensor) -> Module:
    """Prune by a given mask."""
    CustomFromMask.apply(module, name, mask)
    return module


def remove(module: Module, name: str) -> Module:
    """Make pruning permanent: ``weight_orig`` and ``weight_mask`` become ``weight``."""
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(
        f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed"
    )


def is_pruned(module: Module) -> bool:
    """Whether anything in ``module`` is pruned by a hook."""
    return any(
        isinstance(hook, BasePruningMethod)
        for child in module.modules()
        for hook in child._forward_pre_hooks.values()
    )


__getattr__ = honest(__name__)
