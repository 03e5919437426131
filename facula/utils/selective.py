"""Checkpoints that keep the results of some operations: which, a policy says.

A policy is asked about calls: of functions of `torch` and `nn.functional`, of methods, and of
operators of libraries. It is given PyTorch's operators for them. A product of matrices is `mm` or,
of batches, `bmm`; a policy that does not keep these is asked for `addmm` and `baddbmm`, as PyTorch
has a product with a bias, which is an operation of its own here. Views are never kept, they cost
nothing, nor is what an in-place operation writes.

Source: https://pytorch.org/docs/stable/checkpoint.html
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from facula import grad_mode
from facula.autograd.function import with_history
from facula.autograd.graph import edge_of
from facula.library import AtenOperator, CustomOpDef, namespace
from facula.overrides import TorchFunctionMode
from facula.tensor import Tensor
from facula.utils._pytree import tree_flatten, tree_unflatten


class CheckpointPolicy(enum.Enum):
    """What a policy of `create_selective_checkpoint_contexts` may answer for an operation.

    What must or should be saved is kept, in the memory where it is; other results are computed
    again. The two kinds of each differ for compilers of PyTorch only.
    """

    MUST_SAVE = 0
    PREFER_SAVE = 1
    MUST_RECOMPUTE = 2
    PREFER_RECOMPUTE = 3
    MUST_CPU_OFFLOAD = 4
    PREFER_CPU_OFFLOAD = 5


_SAVED = (CheckpointPolicy.MUST_SAVE, CheckpointPolicy.PREFER_SAVE)
_OFFLOADED = (CheckpointPolicy.MUST_CPU_OFFLOAD, CheckpointPolicy.PREFER_CPU_OFFLOAD)


class SelectiveCheckpointContext:
    """What a policy is told: whether this is the second run, and what the operation gave."""

    def __init__(self, *, is_recompute: bool, op_output: Any = None) -> None:
        self.is_recompute, self.op_output = is_recompute, op_output


# PyTorch's operators of what has another name here, or an overload that is not the default.
_NAMES = {
    **{n: f"{n}.Tensor" for n in ("add", "sub", "mul", "div", "remainder", "fmod")},
    **{f"conv{d}d": "convolution.default" for d in (1, 2, 3)},
    **{f"conv_transpose{d}d": "convolution.default" for d in (1, 2, 3)},
    "log_softmax": "_log_softmax.default",
    "softmax": "_softmax.default",
    "layer_norm": "native_layer_norm.default",
    "group_norm": "native_group_norm.default",
    "batch_norm": "native_batch_norm.default",
    "dropout": "native_dropout.default",
    "pow": "pow.Tensor_Scalar",
    "std": "std.correction",
    "var": "var.correction",
    "std_mean": "std_mean.correction",
    "var_mean": "var_mean.correction",
}
_WITH_DIM = {"sum": "dim_IntList", "mean": "dim", "max": "dim", "min": "dim", "amax": "default"}
_ATTENTION = (
    *("_flash_attention_for_cpu", "_flash_attention", "_efficient_attention"),
    *("_cudnn_attention", "_attention_math", "_fused_attention_overrideable", "_attention"),
)


def operators(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    """PyTorch's operators for a call, the one that is most likely asked for first."""
    if isinstance(func, CustomOpDef):
        return [func]
    name = func.__name__.strip("_")
    if name in ("matmul", "mm", "bmm", "linear"):
        flat = name in ("mm", "linear") or any([t.dim() < 3 for t in args[:2]])
        names = ["mm.default", "addmm.default"] if flat else ["bmm.default", "baddbmm.default"]
    elif name == "scaled_dot_product_attention":
        on_cpu = args[0].device.type == "cpu"
        names = [f"_scaled_dot_product{a}.default" for a in _ATTENTION[0 if on_cpu else 1 :]]
        names[-1] = names[-1].removeprefix("_")
    elif name in _WITH_DIM and (len(args) > 1 or "dim" in kwargs):
        names = [f"{name}.{_WITH_DIM[name]}"]
    else:
        names = [_NAMES.get(name, f"{name}.default")]
    aten = namespace("aten")
    found = []
    for full in names:
        of, overload = full.split(".")
        packet = getattr(aten, of, None)
        if packet is not None:
            found.append(getattr(packet, overload))
    return found


class _Kept:
    """A result that is kept, with the version of its memory."""

    def __init__(self, t: Any, away: bool) -> None:
        self.device = t.device
        with grad_mode.no_grad():
            self.value = t.detach().cpu() if away else t.detach()
        self.version = self.value._version

    def get(self, unchecked: bool) -> Any:
        if self.value._version != self.version and not unchecked:
            raise RuntimeError(
                "Tensor cached during selective activation checkpoint has been mutated (a "
                f"{self.value.dtype} tensor of shape {list(self.value.shape)})"
            )
        return self.value if self.value.device == self.device else self.value.to(self.device)


def _keepable(out: Any, args: tuple[Any, ...]) -> bool:
    """Whether a call gave results of their own: no views, nothing that it was given."""
    tensors = [t for t in tree_flatten(out)[0] if isinstance(t, Tensor)]
    given = {id(a) for a in args}
    return bool(tensors) and not any(
        [id(t) in given or t._storage is not None or t.is_meta for t in tensors]
    )


class _Caching(TorchFunctionMode):
    """The first run: asks the policy, and keeps what that wants kept."""

    def __init__(self, policy: Callable[..., Any], kept: dict[Any, dict[int, Any]]) -> None:
        self.policy, self.kept = policy, kept
        self.calls: dict[Any, int] = defaultdict(int)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        key, at = _place(self.calls, func)
        if not _keepable(out, args):
            return out
        for op in operators(func, args, kwargs):
            context = SelectiveCheckpointContext(is_recompute=False, op_output=out)
            answer = self.policy(context, op, *args, **kwargs)
            if answer is True or answer in _SAVED or answer in _OFFLOADED:
                leaves, spec = tree_flatten(out)
                away = answer in _OFFLOADED
                values = [_Kept(t, away) if isinstance(t, Tensor) else t for t in leaves]
                self.kept[key][at] = values, spec
                break
        return out


class _Cached(TorchFunctionMode):
    """The second run: gives what was kept, with the history of what is computed now."""

    def __init__(self, kept: dict[Any, dict[int, Any]], unchecked: bool) -> None:
        self.kept, self.unchecked = kept, unchecked
        self.runs = 0

    def __enter__(self) -> TorchFunctionMode:
        self.calls: dict[Any, int] = defaultdict(int)
        self.runs += 1
        if self.runs > 1 and self.kept:
            raise RuntimeError(
                "Trying to backward an extra time. You are only allowed to backward once on any "
                "region computed under selective activation checkpoint."
            )
        return super().__enter__()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        key, at = _place(self.calls, func)
        found = self.kept[key].pop(at, None) if key in self.kept else None
        out = func(*args, **(kwargs or {}))
        if found is None:
            return out
        values, spec = found
        fresh = tree_flatten(out)[0]
        return tree_unflatten(
            [
                _instead(k.get(self.unchecked), t) if isinstance(k, _Kept) else k
                for k, t in zip(values, fresh, strict=True)
            ],
            spec,
        )


def _place(calls: dict[Any, int], func: Any) -> tuple[Any, int]:
    """Which call of a function this is."""
    key = func if isinstance(func, CustomOpDef) else func.__name__
    calls[key] += 1
    return key, calls[key]


def _instead(value: Any, t: Any) -> Any:
    """A kept value in the place of t, which nobody then has to compute."""
    return with_history(value, edge_of(t)) if t.requires_grad else value


def create_selective_checkpoint_contexts(
    policy_fn_or_list: Any, allow_cache_entry_mutation: bool = False
) -> tuple[Any, Any]:
    """The two contexts of a checkpoint that keeps the results of some operations.

    Args:
        policy_fn_or_list: the operators (`torch.ops.aten.mm.default`) whose results are kept, or
            `f(context, op, *args, **kwargs)`, which returns a `CheckpointPolicy` or whether to
            keep the result.
        allow_cache_entry_mutation: whether what is kept may be written to before the second run.

    Raises ValueError or TypeError for what is no operator, no list and no function; the second run
    raises RuntimeError where what was kept has been written to, and where it is a third.

    Source: https://pytorch.org/docs/stable/checkpoint.html
    """
    if isinstance(policy_fn_or_list, list):
        for op in policy_fn_or_list:
            packet = isinstance(op, AtenOperator) and not op.overload
            if packet or not (isinstance(op, (AtenOperator, CustomOpDef)) or callable(op)):
                more = (
                    " Please update the OpOverloadPacket to a specific OpOverload. For example, if "
                    "you have `torch.ops.aten.mm`, change it to `torch.ops.aten.mm.default`."
                )
                raise ValueError(
                    f"Expected op in `op_list` to be an OpOverload but got: {op} of type "
                    f"{type(op)}.{more if packet else ''}"
                )
        wanted = list(policy_fn_or_list)

        def policy(context: Any, op: Any, *args: Any, **kwargs: Any) -> Any:
            return op in wanted

    elif callable(policy_fn_or_list):
        policy = policy_fn_or_list
    else:
        raise TypeError(
            "policy_fn_or_list must be either a function or a list of ops, not "
            f"{type(policy_fn_or_list).__name__}"
        )
    kept: dict[Any, dict[int, Any]] = defaultdict(dict)
    return _Caching(policy, kept), _Cached(kept, allow_cache_entry_mutation)
