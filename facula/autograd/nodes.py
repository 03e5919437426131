"""The nodes of the graph, as users see them."""

from __future__ import annotations

from typing import Any


class Hooked:
    """What has hooks of its own, beside those of tensors."""

    __slots__ = ()

    def register_hook(self, hook: Any) -> Any:
        """Call hook(grad_inputs, grad_outputs) after this node has run."""
        from facula.autograd.hooks import add_hook

        return add_hook(self, "post_hooks", hook)

    def register_prehook(self, hook: Any) -> Any:
        """Call hook(grad_outputs) before this node runs."""
        from facula.autograd.hooks import add_hook

        return add_hook(self, "pre_hooks", hook)

    @property
    def metadata(self) -> dict[Any, Any]:
        """What the user keeps with the node."""
        node: Any = self
        if node._metadata is None:
            node._metadata = {}
        return node._metadata  # type: ignore[no-any-return]


class AccumulateGrad(Hooked):
    """The end of the graph: adds what arrives to the gradient of a leaf."""

    __slots__ = (
        "__weakref__",
        "_metadata",
        "order",
        "post_hooks",
        "pre_hooks",
        "shape",
        "variable",
    )
    next_functions = ()
    hurries = False

    def __init__(self, variable: Any, shape: tuple[int, ...]) -> None:
        self.variable = variable
        self.shape = shape  # which the leaf may have no longer
        self.order = (-1, 0)  # leaves come last, when their gradient is complete
        self.pre_hooks: dict[int, Any] | None = None
        self.post_hooks: dict[int, Any] | None = None
        self._metadata: dict[Any, Any] | None = None

    def name(self) -> str:
        """The name that PyTorch prints."""
        return "torch::autograd::AccumulateGrad"

    def __repr__(self) -> str:
        return f"<AccumulateGrad object at {hex(id(self))}>"


class GradNode(Hooked):
    """One operation of the graph: where gradients go and what its formulas need."""

    __slots__ = (
        "__weakref__",
        "_metadata",
        "capture",
        "custom",
        "edges",
        "entry",
        "freed",
        "hurries",
        "op",
        "order",
        "out_meta",
        "params",
        "post_hooks",
        "pre_hooks",
        "retain",
        "saved",
        "scalars",
        "tensor_hooks",
    )

    capture: Any
    entry: Any
    op: Any
    order: tuple[int, int]
    out_meta: Any
    params: Any
    scalars: tuple[Any, ...]

    def __init__(self, edges: list[Any] | None = None) -> None:
        self.edges: list[Any] = [] if edges is None else edges
        self.saved: dict[str, Any] = {}  # by their names in formulas, each a `graph.Saved`
        self.freed = False
        self.hurries = False
        self.pre_hooks: dict[int, Any] | None = None
        self.post_hooks: dict[int, Any] | None = None
        self.tensor_hooks: dict[int, Any] | None = None
        self.retain: Any = None
        self.custom: Any = None
        self._metadata: dict[Any, Any] | None = None

    @property
    def line(self) -> tuple[str, int] | None:
        """File and line that recorded the operation, where it is one of the library's."""
        entry = getattr(self, "entry", None)
        return None if entry is None else entry.line  # type: ignore[no-any-return]

    def name(self) -> str:
        """The name that PyTorch prints, made from the operation's."""
        if self.custom is not None:
            return type(self.custom).__name__
        from facula.autograd.names import node_name

        return node_name(self.op, self.params, self.entry)

    def __repr__(self) -> str:
        return f"<{self.name()} object at {hex(id(self))}>"

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The nodes that gradients go to."""
        from facula.autograd.names import kept

        return tuple([(shown(e), output_of(e)) for e in kept(self)])

    def __dir__(self) -> list[str]:
        from facula.autograd.saved import saved_names

        return [*super().__dir__(), *saved_names(self)]

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("_saved_", "_raw_saved_")):
            from facula.autograd import saved

            return (saved.saved_value if name.startswith("_s") else saved.raw_saved)(self, name)
        ctx = None if self.custom is None else getattr(self.custom.joint, "ctx", None)
        if ctx is not None and not name.startswith("__"):  # what `forward` kept, too
            return getattr(ctx, name)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")


_CLASSES: dict[str, type[GradNode]] = {}


def shown(node: Any) -> Any:
    """A node as users see it: of a class that has PyTorch's name. Backward passes need no names.

    The results of a function of the user, of which each has a node, have that function's.
    """
    if node.__class__ is GradNode:
        if getattr(node.custom, "index", None) is not None:
            return shown(node.edges[0])
        name = node.name()
        cls = _CLASSES.get(name)
        if cls is None:
            made = type(name, (GradNode,), {"__slots__": (), "__module__": "builtins"})
            cls = _CLASSES.setdefault(name, made)
        node.__class__ = cls
    return node


def output_of(node: Any) -> int:
    """Which of the results of what users see as this node it belongs to."""
    found: int | None = getattr(getattr(node, "custom", None), "index", None)
    return found or 0
