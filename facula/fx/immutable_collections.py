"""Lists and dictionaries that arguments of nodes are kept in: a node has to hear of a change."""

from __future__ import annotations

from typing import Any, NoReturn

from facula.errors import honest
from facula.utils import _pytree

__all__ = ["immutable_dict", "immutable_list"]


def _refuse(self: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """TypeError: the copy that is to take its place has to be given to the node."""
    raise TypeError(
        f"'{type(self).__name__}' object does not support mutation. If you are attempting to "
        "modify the kwargs or args of a torch.fx.Node object,\ninstead create a new copy of it and "
        "assign the copy to the node:\n\n    new_args = ...  # copy and mutate args\n"
        "    node.args = new_args"
    )


class immutable_list(list):  # type: ignore[type-arg]
    """A list that can't be changed."""

    append = clear = extend = insert = pop = remove = reverse = sort = _refuse  # type: ignore
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse  # type: ignore[assignment]

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self))

    def __reduce__(self) -> Any:
        return immutable_list, (tuple(self),)


class immutable_dict(dict):  # type: ignore[type-arg]
    """A dictionary that can't be changed."""

    clear = pop = popitem = setdefault = update = _refuse  # type: ignore[assignment]
    __setitem__ = __delitem__ = __ior__ = _refuse  # type: ignore[assignment]

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> Any:
        return immutable_dict, (dict(self),)


_pytree.register_pytree_node(
    immutable_list, lambda x: (list(x), None), lambda values, _: immutable_list(values)
)
_pytree.register_pytree_node(
    immutable_dict,
    lambda d: (list(d.values()), list(d)),
    lambda values, keys: immutable_dict(zip(keys, values, strict=True)),
)
__getattr__ = honest(__name__)
