"""What PyTorch has as one operation and is a composition here: its name and what it saves.

A composition's steps save what their own formulas need. PyTorch saves what its formula needs, and a
backward pass that finds one of these values written to since is an error; so the operation that a
composition ends with watches them, without keeping any.
"""

from __future__ import annotations

from typing import Any

from facula.ops.movement import tied
from facula.ops.registry import OPERANDS, Op
from facula.trace.recorder import TLS, record

# What PyTorch's formulas save (its tools/autograd/derivatives.yaml): operands by their places in
# the call of `whole`, and 'o' for the result. A tuple says of each operand what its gradient takes.
# In place some have a formula of their own, which is named with an underscore.
SAVED: dict[str, str | tuple[str, ...]] = {
    "AdaptiveMaxPool2D": "01",
    "Addcdiv": ("2", "2", "12"),
    "AdaptiveMaxPool3D": "01",
    "BinaryCrossEntropy": "012",
    "BinaryCrossEntropyWithLogits": "0123",
    "Cdist": "01o",
    "Celu_": "o",
    "CholeskySolve": "01o",
    "Complex": ("0", "1"),
    "Convolution": "01",
    "CtcLoss": "01",
    "Cummax": "01",
    "Cummin": "01",
    "Dist": "01o",
    "Elu_": "o",
    "FractionalMaxPool2D": "01",
    "FractionalMaxPool3D": "01",
    "Glu": "0",
    "GridSampler2D": "01",
    "GridSampler3D": "01",
    "Hardshrink": "0",
    "Hardsigmoid": "0",
    "Hardtanh": "0",
    "HuberLoss": "01",
    "IndexPut": "1",
    "Kthvalue": "1",
    "LeakyRelu": "0",
    "LeakyRelu_": "o",
    "LinalgCross": ("1", "0"),
    "LinalgHouseholderProduct": "01o",
    "LinalgLuSolve": "01o",
    "LinalgSolveTriangular": "0o",
    "LinalgVectorNorm": "0o",
    "LogSoftmax": "o",
    "Logsumexp": "0o",
    "MaskedSelect": "01",
    "MaxPool2DWithIndices": "01",
    "MaxPool3DWithIndices": "01",
    "MkldnnRnnLayer": "o",
    "MseLoss": "01",
    "MultiMarginLoss": "012",
    "MultilabelMarginLoss": "01",
    "Nansum": "0",
    "NativeBatchNorm": "0134",
    "NativeGroupNorm": "01",
    "NativeLayerNorm": "012",
    "NllLoss": "012",
    "NllLoss2D": "012",
    "Pdist": "0o",
    "Polar": "o",
    "PreluKernel": "01",
    "Put": "1",
    "ReflectionPad1D": "0",
    "ReflectionPad2D": "0",
    "ReflectionPad3D": "0",
    "ReplicationPad1D": "0",
    "ReplicationPad2D": "0",
    "ReplicationPad3D": "0",
    "RreluWithNoise": "0",
    "RreluWithNoise_": "o",
    "ScaledDotProductFlashAttentionForCpu": "0123o",
    "SegmentReduce": "0o12",
    "SmoothL1Loss": "01",
    "SoftMarginLoss": "01",
    "Softmax": "o",
    "Softplus": "0",
    "Softshrink": "0",
    "Threshold": "0",
    "TriangularSolve": "01o",
    "Trilinear": ("12", "02", "01"),
}

# The operands: the result, then those inputs that gradients go to or that are saved. Parameters:
# PyTorch's name and, after a space, which of these it saves (one string, which is compared fast).
# Gradients depend on all inputs, so that there is a second derivative even where it is zero; but
# for what is linear in each operand they depend on what their own formulas do.
_LINEAR = (
    *[f"{n} " for n, s in SAVED.items() if s.__class__ is tuple],
    *("Cummax ", "Cummin ", "IndexAdd ", "IndexPut ", "Kthvalue ", "MaskedSelect ", "Nansum "),
    "Put ",
)
WHOLE: Op = Op(
    "whole",
    lambda p, st, a, *rest: (a.shape, a.dtype, a.strides, 0),
    lambda p, s, a, *rest: a,
    (lambda g, z, p: g if p.startswith(_LINEAR) else tied(g, z),),
)
WHOLE.watches = lambda p: p.partition(" ")[2]


def whole(out: Any, name: str, *inputs: Any) -> Any:
    """The result of a composition, seen by autograd as that of one operation of these inputs."""
    if not (TLS.r.grad and out.node.rg):
        return out
    if len(inputs) == 1 and inputs[0].node.rg and name in _alone:
        return record(WHOLE, (out, *inputs), _alone[name])
    key: Any = (name, *[None if t is None else t.node.rg for t in inputs])
    known = _known.get(key)
    if known is None:
        known = _known[key] = _chosen(name, *key[1:])
        if key == (name, True):
            _alone[name] = known[1]
    places, params = known
    return record(WHOLE, (out, *[inputs[i] for i in places]), params)


_known: dict[Any, tuple[list[int], str]] = {}
_alone: dict[str, str] = {}  # parameters where the one input requires grad, as mostly it does


def _chosen(name: str, *rgs: bool | None) -> tuple[list[int], str]:
    """Which inputs become operands, and WHOLE's parameters. `rgs`: whether each requires grad,
    None for one that is not there."""
    saves = SAVED.get(name, "")
    if isinstance(saves, tuple):
        saves = "".join([s for s, rg in zip(saves, rgs, strict=True) if rg])
    places = [i for i, rg in enumerate(rgs) if rg or (rg is not None and str(i) in saves)]
    found = [OPERANDS[1 + k] for k, i in enumerate(places) if str(i) in saves]
    return places, f"{name} {''.join(found)}{'o' if 'o' in saves else ''}"
