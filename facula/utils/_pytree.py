"""Nested lists, tuples and dictionaries as flat lists of leaves.

Source: https://github.com/pytorch/pytorch/blob/main/torch/utils/_pytree.py (the interface)
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

from facula.errors import honest
from facula.return_types import Fields

PyTree: TypeAlias = Any
Context: TypeAlias = Any
KeyPath: TypeAlias = tuple[Any, ...]


class NodeDef(NamedTuple):
    """How a container is taken apart and put together."""

    flatten_fn: Callable[[Any], tuple[list[Any], Any]]
    unflatten_fn: Callable[[list[Any], Any], Any]


class MappingKey(NamedTuple):
    """The place of a leaf in a dictionary."""

    key: Any

    def __str__(self) -> str:
        return f"[{self.key!r}]"

    def get(self, mapping: Any) -> Any:
        """What is at this place."""
        return mapping[self.key]


class SequenceKey(NamedTuple):
    """The place of a leaf in a list or tuple."""

    idx: int

    def __str__(self) -> str:
        return f"[{self.idx!r}]"

    def get(self, sequence: Any) -> Any:
        """What is at this place."""
        return sequence[self.idx]


class GetAttrKey(NamedTuple):
    """The place of a leaf in a named tuple or an object."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"

    def get(self, obj: Any) -> Any:
        """What is at this place."""
        return getattr(obj, self.name)


def _list_flatten(d: Any) -> tuple[list[Any], Any]:
    return list(d), None


def _list_unflatten(values: Any, context: Any) -> Any:
    return list(values)


def _list_flatten_with_keys(d: Any) -> tuple[list[Any], Any]:
    return [(SequenceKey(i), v) for i, v in enumerate(d)], None


def _dict_flatten(d: Any) -> tuple[list[Any], Any]:
    return list(d.values()), list(d)


def _dict_unflatten(values: Any, context: Any) -> Any:
    return dict(zip(context, values))


def _dict_flatten_with_keys(d: Any) -> tuple[list[Any], Any]:
    values, context = _dict_flatten(d)
    return [(MappingKey(k), v) for k, v in zip(context, values)], context


def _namedtuple_flatten(d: Any) -> tuple[list[Any], Any]:
    return list(d), type(d)


def _namedtuple_unflatten(values: Any, context: Any) -> Any:
    # context may be a type of results
    return context._make(values) if hasattr(context, "_make") else context(values)


def _tuple_unflatten(values: Any, context: Any) -> Any:
    return tuple(values)


_tuple_flatten = _list_flatten


class TreeSpec:
    """The containers of a tree, without its leaves."""

    def __init__(self, type: Any, context: Any, children_specs: list[TreeSpec]) -> None:
        self.type, self.context, self.children_specs = type, context, children_specs
        self.num_leaves: int = 1 if type is None else sum([c.num_leaves for c in children_specs])
        self.num_nodes: int = 1 + sum([c.num_nodes for c in children_specs])
        self.num_children = len(children_specs)

    def children(self) -> list[TreeSpec]:
        """The containers and leaves directly below."""
        return list(self.children_specs)

    def child(self, index: int) -> TreeSpec:
        """One of those directly below."""
        return self.children_specs[index]

    def is_leaf(self) -> bool:
        """Whether it is a single leaf."""
        return self.type is None

    def flatten_up_to(self, tree: Any) -> list[Any]:
        """What another tree has in the places of the leaves; ValueError where it is built else."""
        if self.type is None:
            return [tree]
        kind = _node_type(tree)
        mappings = self.type in _MAPPINGS and kind in _MAPPINGS
        if kind is not self.type and not mappings:
            raise ValueError(f"Node type mismatch; expected {self.type!r}, but got {kind!r}.")
        children, context = SUPPORTED_NODES[kind].flatten_fn(tree)
        if len(children) != self.num_children:
            raise ValueError(
                f"Node arity mismatch; expected {self.num_children}, but got {len(children)}."
            )
        if mappings:
            keys = self.context[1] if self.type is defaultdict else self.context
            if set(keys) != set(tree):
                raise ValueError(f"Node keys mismatch: expected {keys}, but got {list(tree)}.")
            children = [tree[key] for key in keys]
        elif kind is not deque and context != self.context:
            raise ValueError(
                f"Node context mismatch; expected {self.context!r}, but got {context!r}."
            )
        specs = self.children_specs
        return [x for spec, part in zip(specs, children) for x in spec.flatten_up_to(part)]

    def unflatten(self, leaves: Any) -> Any:
        """The tree with these leaves."""
        return tree_unflatten(leaves, self)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, TreeSpec)
            and self.type is other.type
            and self.context == other.context
            and self.children_specs == other.children_specs
        )

    def __hash__(self) -> int:
        return hash((self.type, self.num_leaves))

    def __repr__(self) -> str:
        if self.type is None:
            return "*"
        return f"TreeSpec({self.type.__name__}, {self.context}, {self.children_specs})"


_MAPPINGS = (dict, OrderedDict, defaultdict)


class LeafSpec(TreeSpec):
    """A single leaf."""

    def __init__(self) -> None:
        super().__init__(None, None, [])


SUPPORTED_NODES: dict[Any, NodeDef] = {
    list: NodeDef(_list_flatten, _list_unflatten),
    tuple: NodeDef(_tuple_flatten, _tuple_unflatten),
    dict: NodeDef(_dict_flatten, _dict_unflatten),
    OrderedDict: NodeDef(
        lambda x: (list(x.values()), list(x)), lambda v, c: OrderedDict(zip(c, v))
    ),
    defaultdict: NodeDef(
        lambda x: (list(x.values()), [x.default_factory, list(x)]),
        lambda v, c: defaultdict(c[0], zip(c[1], v)),
    ),
    deque: NodeDef(lambda x: (list(x), x.maxlen), lambda v, c: deque(v, maxlen=c)),
    namedtuple: NodeDef(_namedtuple_flatten, _namedtuple_unflatten),
}


_WITH_KEYS: dict[Any, Callable[[Any], Any]] = {}  # of containers that say where their leaves are


def register_pytree_node(
    cls: Any,
    flatten_fn: Any,
    unflatten_fn: Any,
    *,
    serialized_type_name: str | None = None,
    to_dumpable_context: Any = None,
    from_dumpable_context: Any = None,
    flatten_with_keys_fn: Any = None,
) -> None:
    """Treat instances of a class as containers. What PyTorch writes to files of exported programs
    is taken and not needed."""
    SUPPORTED_NODES[cls] = NodeDef(flatten_fn, unflatten_fn)
    if flatten_with_keys_fn is not None:
        _WITH_KEYS[cls] = flatten_with_keys_fn


_register_pytree_node = register_pytree_node


def _node_type(tree: Any) -> Any:
    kind = type(tree)
    named = isinstance(tree, Fields) or (isinstance(tree, tuple) and hasattr(kind, "_fields"))
    if named and kind not in SUPPORTED_NODES:
        return namedtuple
    return kind


_get_node_type = _node_type  # PyTorch's name


def tree_flatten(tree: Any, is_leaf: Any = None) -> tuple[list[Any], TreeSpec]:
    """The leaves, and what puts them together again."""
    kind = _node_type(tree)
    if kind not in SUPPORTED_NODES or (is_leaf is not None and is_leaf(tree)):
        return [tree], LeafSpec()
    children, context = SUPPORTED_NODES[kind].flatten_fn(tree)
    leaves: list[Any] = []
    specs = []
    for child in children:
        found, spec = tree_flatten(child, is_leaf)
        leaves.extend(found)
        specs.append(spec)
    return leaves, TreeSpec(kind, context, specs)


def tree_unflatten(leaves: Any, treespec: TreeSpec) -> Any:
    """The tree with these leaves."""
    leaves = list(leaves)
    if len(leaves) != treespec.num_leaves:
        raise ValueError(
            f"tree_unflatten(leaves, treespec): `leaves` has length {len(leaves)} but the spec "
            f"refers to a pytree that holds {treespec.num_leaves} items ({treespec})."
        )
    if treespec.is_leaf():
        return leaves[0]
    at, children = 0, []
    for spec in treespec.children_specs:
        children.append(tree_unflatten(leaves[at : at + spec.num_leaves], spec))
        at += spec.num_leaves
    return SUPPORTED_NODES[treespec.type].unflatten_fn(children, treespec.context)


def tree_leaves(tree: Any, is_leaf: Any = None) -> list[Any]:
    """The leaves."""
    return tree_flatten(tree, is_leaf)[0]


def tree_structure(tree: Any, is_leaf: Any = None) -> TreeSpec:
    """What puts the leaves together."""
    return tree_flatten(tree, is_leaf)[1]


def tree_map(func: Any, tree: Any, *rests: Any, is_leaf: Any = None) -> Any:
    """The tree with a function of each leaf (and of what is at its place in the other trees)."""
    leaves, spec = tree_flatten(tree, is_leaf)
    others = [spec.flatten_up_to(r) for r in rests]
    return tree_unflatten([func(*xs) for xs in zip(leaves, *others, strict=True)], spec)


def tree_map_(func: Any, tree: Any, *rests: Any, is_leaf: Any = None) -> Any:
    """Call a function of each leaf; the tree itself."""
    tree_map(func, tree, *rests, is_leaf=is_leaf)
    return tree


def tree_map_only(type_or_types_or_pred: Any, func: Any, tree: Any, is_leaf: Any = None) -> Any:
    """The tree with a function of each leaf of a type (or for which a function is true)."""
    kind = type_or_types_or_pred
    chosen = kind if callable(kind) and not isinstance(kind, type) else None

    def change(x: Any) -> Any:
        return func(x) if (chosen(x) if chosen else isinstance(x, kind)) else x

    return tree_map(change, tree, is_leaf=is_leaf)


def tree_map_only_(type_or_types_or_pred: Any, func: Any, tree: Any, is_leaf: Any = None) -> Any:
    """Call a function of each leaf of a type; the tree itself."""
    tree_map_only(type_or_types_or_pred, func, tree, is_leaf=is_leaf)
    return tree


def tree_all_only(type_or_types: Any, pred: Any, tree: Any, is_leaf: Any = None) -> bool:
    """Whether a condition holds for all leaves of a type."""
    leaves = tree_leaves(tree, is_leaf)
    return all([pred(x) for x in leaves if isinstance(x, type_or_types)])


def tree_any_only(type_or_types: Any, pred: Any, tree: Any, is_leaf: Any = None) -> bool:
    """Whether a condition holds for a leaf of a type."""
    return any([pred(x) for x in tree_leaves(tree, is_leaf) if isinstance(x, type_or_types)])


def is_namedtuple_instance(tree: Any) -> bool:
    """Whether it is of a class that `collections.namedtuple` has made."""
    return isinstance(tree, tuple) and hasattr(tree, "_fields")


def tree_is_leaf(tree: Any, is_leaf: Any = None) -> bool:
    """Whether it is no container, or is to be taken for none."""
    return _node_type(tree) not in SUPPORTED_NODES or (is_leaf is not None and is_leaf(tree))


def tree_iter(tree: Any, is_leaf: Any = None) -> Iterator[Any]:
    """The leaves, one after the other."""
    yield from tree_leaves(tree, is_leaf)


def _children_with_keys(tree: Any) -> list[tuple[Any, Any]]:
    kind = _node_type(tree)
    if kind in _WITH_KEYS:
        return list(_WITH_KEYS[kind](tree)[0])
    if kind is namedtuple:
        names = getattr(tree, "_fields", None)
        return list(zip([GetAttrKey(n) for n in names] if names else _indices(tree), tree))
    if isinstance(tree, dict):
        return [(MappingKey(k), v) for k, v in tree.items()]
    if isinstance(tree, (list, tuple, deque)):
        return list(zip(_indices(tree), tree))
    raise ValueError(
        f"tree_flatten_with_path: did not find a flatten_with_keys_fn for type {kind}: give one to "
        "register_pytree_node"
    )


def _indices(tree: Any) -> list[SequenceKey]:
    return [SequenceKey(i) for i in range(len(tree))]


def tree_flatten_with_path(tree: Any, is_leaf: Any = None) -> tuple[list[Any], TreeSpec]:
    """Pairs of where a leaf is (a key for each container) and the leaf; and the structure."""
    found: list[Any] = []

    def walk(part: Any, path: tuple[Any, ...]) -> None:
        if tree_is_leaf(part, is_leaf):
            found.append((path, part))
        else:
            for key, child in _children_with_keys(part):
                walk(child, (*path, key))

    walk(tree, ())
    return found, tree_structure(tree, is_leaf)


def tree_leaves_with_path(tree: Any, is_leaf: Any = None) -> list[Any]:
    """Pairs of where a leaf is and the leaf."""
    return tree_flatten_with_path(tree, is_leaf)[0]


def tree_map_with_path(func: Any, tree: Any, *rests: Any, is_leaf: Any = None) -> Any:
    """`tree_map` of a function that is also told where the leaf is."""
    pairs, spec = tree_flatten_with_path(tree, is_leaf)
    others = [tree_flatten(r, is_leaf)[0] for r in rests]
    made = [func(path, *xs) for (path, *xs) in zip(*zip(*pairs), *others)] if pairs else []
    return tree_unflatten(made, spec)


def keystr(kp: Any) -> str:
    """A place as a text that reads like Python."""
    return "".join([str(key) for key in kp])


def key_get(obj: Any, kp: Any) -> Any:
    """What is at a place."""
    for key in kp:
        obj = key.get(obj)
    return obj


def is_namedtuple_class(cls: Any) -> bool:
    """Whether it is a class of named tuples."""
    return isinstance(cls, type) and issubclass(cls, tuple) and hasattr(cls, "_fields")


def is_namedtuple(obj: Any) -> bool:
    """Whether it is a named tuple."""
    return is_namedtuple_class(type(obj))


def is_structseq_instance(obj: Any) -> bool:
    """Whether it is what an operation of several results returns."""
    return isinstance(obj, Fields)


def is_structseq_class(cls: Any) -> bool:
    """Whether its instances are what operations of several results return."""
    return isinstance(cls, type) and issubclass(cls, Fields)


is_structseq = is_structseq_instance


def tree_all(pred: Any, tree: Any, is_leaf: Any = None) -> bool:
    """Whether the function is true of all leaves."""
    return all([pred(x) for x in tree_leaves(tree, is_leaf)])


def tree_any(pred: Any, tree: Any, is_leaf: Any = None) -> bool:
    """Whether the function is true of a leaf."""
    return any([pred(x) for x in tree_leaves(tree, is_leaf)])


__getattr__ = honest(__name__)
