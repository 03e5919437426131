"""What is kept for the backward pass, in the user's hands; and names of PyTorch's graph.

The hooks run when a frame ends, for what it saved, and when the backward pass needs a value. That
is why a `saved_tensors_hooks` block computes what is pending at its beginning and at its end.
Source: https://pytorch.org/docs/stable/autograd.html#autograd-graph
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from facula import grad_mode
from facula.autograd.edges import GradientEdge, get_gradient_edge
from facula.autograd.function import Context
from facula.autograd.graph import Saved, edge_of, overwritten
from facula.autograd.hook_calls import unwritten
from facula.autograd.nodes import AccumulateGrad, GradNode, Hooked
from facula.interpreter.program import ACTIVATIONS
from facula.tensor import Tensor
from facula.trace.recorder import TLS, flush
from facula.utils.hooks import RemovableHandle
from facula.values import realise

__all__ = [
    "GradientEdge",
    "Node",
    "allow_mutation_on_saved_tensors",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
]
_forbidden: list[str] = []


def packer(pack: Callable[[Any], Any], unpack: Callable[[Any], Any]) -> Callable[[Any], None]:
    """What a recorder does with the graph nodes of a frame that ends inside a block."""

    def run(nodes: dict[Any, Any]) -> None:
        r = TLS.r
        before, r.packing = r.packing, None  # what the hook itself computes is kept as it is
        try:
            for node in dict.fromkeys(nodes.values()):
                if isinstance(node, GradNode):
                    for letter, s in node.saved.items():
                        if s.packed is None and s.tensor is not None:
                            _pack(s, node if letter == "o" else s.edge, pack, unpack)
                        # What becomes of a value whose hook has it is the hook's business.
                        s.token, s.root, s.stale = None, None, False
            flush(r)  # a copy that a hook made is one of what the memory holds now
        finally:
            r.packing = before

    return run


def _pack(s: Saved, edge: Any, pack: Callable[[Any], Any], unpack: Callable[[Any], Any]) -> None:
    """Keep what a hook makes of a saved value, whose gradient goes to `edge`, in its place."""
    t = _shown(s, edge)
    with grad_mode.no_grad():
        s.packed = unwritten(pack, t), unpack
    s.tensor = None


def _shown(s: Saved, edge: Any) -> Any:
    """The tensor that a hook gets: the leaf itself, or the saved value with its history."""
    if isinstance(edge, AccumulateGrad):
        return edge.variable
    t = s.tensor.detach()
    if edge is None:
        return t
    from facula.autograd.engine import with_history

    return with_history(realise(t), edge)


class SavedTensor:
    """A value that a node has saved, by whose hooks it can be exchanged.

    RuntimeError where there are hooks already, or where the value is gone.
    """

    def __init__(self, node: GradNode | None = None, letter: str = "") -> None:
        if node is None:
            raise RuntimeError("Trying to create a SavedTensor object from Python is forbidden")
        self._node, self._saved = node, node.saved[letter]
        self._edge = node if letter == "o" else self._saved.edge

    def register_hooks(
        self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]
    ) -> None:
        """Keep what `pack_hook` makes of the value, and use what `unpack_hook` makes of that."""
        s = self._saved
        if s.packed is not None:
            raise RuntimeError(
                "Calling register_hooks on a saved tensor whose hooks have already been set. Hint: "
                "only one pair of hooks is allowed at a time."
            )
        if self._node.freed or s.tensor is None:
            raise RuntimeError(
                "Calling register_hooks on a saved tensor after it has been freed. Saved "
                "intermediate values of the graph are freed when you call .backward() or "
                "autograd.grad()."
            )
        flush(TLS.r)
        _pack(s, self._edge, pack_hook, unpack_hook)
        s.token, s.root, s.stale = None, None, False


def unpacked(s: Saved, node: GradNode) -> Any:
    """A saved value, from what the hook made of it."""
    packed, unpack = s.packed
    t = unpack(packed)
    if not isinstance(t, Tensor):
        raise TypeError(
            f"Output of saved tensor unpack_hook expected to be a Tensor but got result of type "
            f"{type(t).__name__} (for {node.name()})"
        )
    t = t.detach()
    return realise(t)


# What PyTorch calls the values that nodes save.
_LETTERS = {"self": "a", "input": "a", "other": "b", "mat2": "b", "weight": "b", "result": "o"}
_ONLY = {"mat2": "matmul", "input": "conv", "weight": "conv"}  # the operation that calls it so


def _letter(node: GradNode, name: str) -> str:
    """Which of the values of an operation's formulas PyTorch calls so; nothing for none."""
    op = str(node.op)
    if op == "where":
        return "a" if name == "condition" else ""
    if name in _ONLY and not op.startswith(_ONLY[name]):
        return ""
    if op in (*ACTIVATIONS, "norm", "std", "var"):  # what they are of is their second operand
        return {"self": "b", "result": "o"}.get(name, "")
    if op in ("index", "gather") and name == "other":
        return ""
    return _LETTERS.get(name, "")


def saved_value(node: GradNode, name: str) -> Any:
    """What `grad_fn._saved_self` and its like are: a leaf itself, or a tensor with its history."""
    from facula.autograd.engine import _check, _unpack

    letter = _letter(node, name.removeprefix("_saved_"))
    if node.freed:
        raise RuntimeError(
            f"{node.name()}.{name}: what was saved of it has been freed by a backward pass. "
            "Specify retain_graph=True to read it after one"
        )
    if name == "_saved_exponent" and str(node.op) == "pow_s":
        return node.scalars[0]
    s = node.saved.get(letter)
    if s is None or s.tensor is s.packed:
        if letter and any([letter in names for names in getattr(node.op, "saves", ())]):
            return None  # only the gradient of something that needs none asks for it
        raise AttributeError(f"'{node.name()}' object has no attribute '{name}'")
    _check(s, node, overwritten(TLS.r))
    if isinstance(s.edge, AccumulateGrad) and s.packed is None:
        return s.edge.variable
    if letter == "o":
        s.edge = node
    try:
        return _unpack(s, node, True)
    finally:
        if letter == "o":
            s.edge = None


def saved_names(node: GradNode) -> list[str]:
    """The names, by PyTorch's rules, of what a node has saved: programs that draw graphs ask."""
    op = str(node.op)
    first = ("input", "weight") if op.startswith("conv") else ("self", "other")
    names = ("self", "mat2") if op.startswith("matmul") else first
    found = [name for name in (*names, "result") if _letter(node, name) in node.saved]
    return [f"{start}_{name}" for name in found for start in ("_raw_saved", "_saved")]


def raw_saved(node: GradNode, name: str) -> SavedTensor:
    """What `grad_fn._raw_saved_self` and its like are."""
    letter = _letter(node, name.removeprefix("_raw_saved_"))
    if letter not in node.saved:
        raise AttributeError(f"'{node.name()}' object has no attribute '{name}'")
    return SavedTensor(node, letter)


class saved_tensors_hooks:
    """Inside, what is saved for backward goes through `pack_hook`, and through `unpack_hook` when
    it is needed."""

    def __init__(self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]) -> None:
        self.packing = packer(pack_hook, unpack_hook)
        self.hooks = pack_hook, unpack_hook

    def __enter__(self) -> None:
        if _forbidden:
            raise RuntimeError(_forbidden[-1])
        r = TLS.r
        flush(r)
        self.before = r.packing, r.saved_hooks
        r.packing, r.saved_hooks = self.packing, self.hooks

    def __exit__(self, *exc: object) -> None:
        r = TLS.r
        try:
            flush(r)
        finally:
            r.packing, r.saved_hooks = self.before


class save_on_cpu(saved_tensors_hooks):
    """Inside, what is saved for backward is kept in the memory of the CPU."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        def pack(t: Any) -> tuple[Any, Any]:
            return t.device, t.cpu() if t.device.type != "cpu" else t.clone()

        super().__init__(pack, lambda packed: packed[1].to(packed[0]))


@contextlib.contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """Inside, a block of hooks raises RuntimeError with this message."""
    _forbidden.append(error_message)
    try:
        yield
    finally:
        _forbidden.pop()


class allow_mutation_on_saved_tensors(saved_tensors_hooks):
    """Inside, what is saved for backward may be written to: copies of it are kept.

    PyTorch copies what is written to only. RuntimeError in a block of this kind.
    """

    def __init__(self) -> None:
        super().__init__(lambda t: t.clone(), lambda t: t)

    def __enter__(self) -> None:
        pack, _ = TLS.r.saved_hooks or (None, None)
        if pack is not None and pack.__qualname__.startswith("allow_mutation"):
            raise RuntimeError("allow_mutation_on_saved_tensors contexts cannot be nested")
        super().__enter__()


class _NodeType(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, (Hooked, Context))

    def __subclasscheck__(cls, other: type) -> bool:
        return other is cls or Hooked in other.__mro__


class Node(metaclass=_NodeType):
    """What `grad_fn` is, and the `ctx` of a Function, which PyTorch has as one object."""


def increment_version(tensor: Any) -> None:
    """Count a write that was made without the framework's knowledge."""
    for t in tensor if isinstance(tensor, (tuple, list)) else (tensor,):
        t.detach().copy_(t.detach().clone())


class _Handle(RemovableHandle):
    def __init__(self, handles: list[RemovableHandle]) -> None:
        self.handles = handles

    def remove(self) -> None:
        """Take all hooks away."""
        for h in self.handles:
            h.remove()

    def __getstate__(self) -> Any:
        return self.handles

    def __setstate__(self, state: Any) -> None:
        self.handles = state


def register_multi_grad_hook(tensors: Any, fn: Callable[..., Any], *, mode: str = "all") -> _Handle:
    """Call fn when the gradients of several tensors are there.

    'all': once a backward pass, with all gradients (None for tensors that it does not reach);
    'any': with the first gradient of the pass; tensors that require no grad are left out.
    """
    from facula.autograd import engine

    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    if mode == "any":
        tensors = [t for t in tensors if t.requires_grad]
    edges = []
    for t in tensors:
        edge = edge_of(t) if t.requires_grad else None
        if edge is None and mode == "all":
            raise AssertionError(
                f"register_multi_grad_hook: a {t.dtype} tensor of shape {list(t.shape)} requires "
                "no grad"
            )
        edges.append(edge)
    state: dict[str, Any] = {"pass": None, "grads": {}, "count": 0}

    def hook_for(i: int) -> Callable[[Any], None]:
        def hook(g: Any) -> None:
            this = engine.PASSES[-1]
            if state["pass"] is not this:
                state.update({"pass": this, "grads": {}, "count": this.reaches(edges)})
                if mode == "any":
                    fn(g)
            state["grads"][i] = g
            if mode == "all" and len(state["grads"]) == state["count"]:
                grads, state["pass"] = state["grads"], None  # further ones are counted anew
                fn([grads.get(k) for k in range(len(tensors))])

        return hook

    return _Handle([t.register_hook(hook_for(i)) for i, t in enumerate(tensors)])
