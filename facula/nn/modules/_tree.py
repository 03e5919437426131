"""The tree of a module's children: access by dotted name, and iterators over what is below it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facula import Tensor

from ..parameter import Parameter

if TYPE_CHECKING:
    from .module import Module


class TreeMixin:
    """What :class:`Module` knows of its children."""

    # ---- access by dotted name

    def get_submodule(self, target: str) -> Module:
        """The child, or child's child, named ``target``, for example ``"net.conv.0"``."""
        module = self
        for part in target.split(".") if target != "" else ():
            if not hasattr(module, part):
                raise AttributeError(f"{_class_name(module)} has no attribute `{part}`")
            module = getattr(module, part)
            if not isinstance(module, TreeMixin):
                raise AttributeError(f"`{part}` is not an nn.Module")
        return module

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Replace (or, unless ``strict``, add) the child named ``target``."""
        if target == "":
            raise ValueError("Cannot set the submodule without a target name!")
        if not isinstance(module, TreeMixin):
            raise ValueError(f"`module` is not an nn.Module, found {type(module)}")
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        if strict and not hasattr(parent, name):
            raise AttributeError(f"{_class_name(parent)} has no attribute `{name}`")
        if hasattr(parent, name) and not isinstance(getattr(parent, name), TreeMixin):
            raise AttributeError(f"`{name}` is not an nn.Module")
        setattr(parent, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter named ``target``, for example ``"net.conv.0.weight"``."""
        return self._get_tensor(target, lambda m, n, v: isinstance(v, Parameter), "nn.Parameter")

    def get_buffer(self, target: str) -> Tensor:
        """The buffer named ``target``."""
        return self._get_tensor(target, lambda m, n, v: n in m._buffers, "a buffer")

    def _get_tensor(self, target: str, accept, kind: str):
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if not hasattr(module, name):
            raise AttributeError(f"{_class_name(module)} has no attribute `{name}`")
        value = getattr(module, name)
        if not accept(module, name, value):
            article = "an " if kind.startswith("nn") else ""
            raise AttributeError(f"`{name}` is not {article}{kind}")
        return value

    # ---- iterators

    def parameters(self, recurse: bool = True):
        """All parameters, each once."""
        for _, param in self.named_parameters(recurse=recurse):
            yield param

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ):
        """Pairs of dotted name and parameter."""
        yield from self._named_members(
            lambda module: module._parameters.items(), prefix, recurse, remove_duplicate
        )

    def buffers(self, recurse: bool = True):
        """All buffers, each once."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def named_buffers(self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True):
        """Pairs of dotted name and buffer."""
        yield from self._named_members(
            lambda module: module._buffers.items(), prefix, recurse, remove_duplicate
        )

    def _named_members(self, get_members_fn, prefix="", recurse=True, remove_duplicate=True):
        seen = set()
        modules = (
            self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
            if recurse
            else [(prefix, self)]
        )
        for path, module in modules:
            for name, member in get_members_fn(module):
                if member is None or member in seen:
                    continue
                if remove_duplicate:
                    seen.add(member)
                yield (path + "." if path else "") + name, member

    def children(self):
        """The immediate children, each once."""
        for _, module in self.named_children():
            yield module

    def named_children(self):
        """Pairs of name and immediate child."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def modules(self, remove_duplicate: bool = True):
        """This module and everything below it, each once."""
        for _, module in self.named_modules(remove_duplicate=remove_duplicate):
            yield module

    def named_modules(
        self, memo: set | None = None, prefix: str = "", remove_duplicate: bool = True
    ):
        """Pairs of dotted name and module, this one first."""
        if memo is None:
            memo = set()
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                path = prefix + ("." if prefix else "") + name
                yield from module.named_modules(memo, path, remove_duplicate)


def _class_name(module: TreeMixin) -> str:
    return type(module).__name__
