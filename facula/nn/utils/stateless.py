"""Calling a module with other parameters and buffers than its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from facula import Tensor
from facula.errors import honest
from facula.nn.modules.module import Module

__all__ = ["functional_call"]


def functional_call(
    module: Module,
    parameters_and_buffers: dict[str, Tensor],
    args: Any = None,
    kwargs: dict | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """What ``module(*args, **kwargs)`` computes with the given tensors in place of its own.

    Args:
        parameters_and_buffers: name to tensor; what is not named keeps its own.
        tie_weights: whether a tensor that the module holds under several names is replaced under
            all of them.
        strict: whether the names must be exactly those of the module.
    """
    if args is None:
        args = ()
    elif not isinstance(args, tuple):
        args = (args,)
    with _reparametrize_module(module, parameters_and_buffers, tie_weights, strict):
        return module(*args, **(kwargs or {}))


def _named_tensors(module, remove_duplicate: bool = True) -> dict[str, Tensor]:
    return {
        **dict(module.named_parameters(remove_duplicate=remove_duplicate)),
        **dict(module.named_buffers(remove_duplicate=remove_duplicate)),
    }


def _tied(module, given: dict[str, Tensor]) -> dict[str, Tensor]:
    """``given`` with every other name of the module's tensors that it names."""
    names: dict[int, list[str]] = {}
    for name, tensor in _named_tensors(module, remove_duplicate=False).items():
        names.setdefault(id(tensor), []).append(name)
    out = dict(given)
    for group in names.values():
        values = {id(given[name]): given[name] for name in group if name in given}
        if len(values) > 1:
            raise ValueError(
                f"functional_call got multiple values for keys {sorted(group)}, which are tied. "
                "Consider using tie_weights=False"
            )
        for value in values.values():
            out.update(dict.fromkeys(group, value))
    return out


def _check_names(module, given: dict[str, Tensor]) -> None:
    known = _named_tensors(module, remove_duplicate=False)
    parts = []
    unexpected = sorted(given.keys() - known.keys())
    missing = sorted(known.keys() - given.keys())
    for title, names in (("Unexpected", unexpected), ("Missing", missing)):
        if names:
            listed = ", ".join(f"'{name}'" for name in names)
            parts.append(f"\n\t{title} key(s): {listed}.")
    if parts:
        raise RuntimeError(
            f"Error(s) in reparametrizing for {module._get_name()}:" + "".join(parts)
        )


@contextlib.contextmanager
def _reparametrize_module(
    module: Module, given: dict[str, Tensor], tie_weights: bool = False, strict: bool = False
) -> Iterator[None]:
    """A block in which the module has the given tensors in place of its own of these names."""
    for value in given.values():
        if not isinstance(value, Tensor):
            raise TypeError(f"{value} is not an instance of torch.Tensor")
    if tie_weights:
        given = _tied(module, given)
    if strict:
        _check_names(module, given)
    replaced = []
    try:
        for path, value in given.items():
            owner_path, _, name = path.rpartition(".")
            try:
                owner = module.get_submodule(owner_path)
            except AttributeError:
                continue  # not strict: a name the module does not have
            for table in (owner._parameters, owner._buffers):
                if name in table:
                    replaced.append((table, name, table[name]))
                    # Straight into the table: the tensor need not be a Parameter.
                    table[name] = value
                    break
        yield
    finally:
        for table, name, own in reversed(replaced):
            table[name] = own


__getattr__ = honest(__name__)
