"""What copies of PyTorch's own modules import: it does what PyTorch's does."""

import importlib
import warnings

from nn.stored import agrees, message, raised, submodule


@agrees
def test_projections_of_attention(torch):
    F = torch.nn.functional
    q, k = torch.arange(8.0).reshape(2, 4).sin(), torch.arange(12.0).reshape(3, 4).cos()
    w, b = torch.arange(48.0).reshape(12, 4).sin(), torch.arange(12.0)
    packed = [(q, q, q), (q, k, k), (q, k, k + 1)]
    out = [F._in_projection_packed(*x, w, b) for x in packed]
    out += [F._in_projection_packed(q, k, k, w)]
    out += [F._in_projection(q, k, k, *w.chunk(3), *b.chunk(3))]
    return [*out, raised(F._in_projection, q, k, k, w, w, w)]


@agrees
def test_the_dimension_of_a_softmax_that_is_given_none(torch):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        get = torch.nn.functional._get_softmax_dim
        return [get("softmax", n, 3) for n in (0, 1, 2, 3, 4)]


@agrees
def test_masks_and_batches(torch):
    F = torch.nn.functional
    mask = torch.tensor([True, False])
    return [
        F._canonical_mask(mask, "mask", None, "", torch.float32),
        F._canonical_mask(None, "mask", None, "", torch.float32),
        raised(F._canonical_mask, torch.tensor([1, 2]), "mask", None, "", torch.float32),
        [F._none_or_dtype(None), str(F._none_or_dtype(mask))],
        message(F._verify_batch_size, torch.Size([1, 3])),
        F._verify_batch_size([2, 3]),
        F.has_torch_function((mask,)),
        F.Tensor is torch.Tensor,
    ]


@agrees
def test_reductions_by_their_old_arguments(torch):
    reduction = submodule(torch, "nn._reduction")
    flags = (None, True, False)
    return [
        [reduction.legacy_get_string(a, b, False) for a in flags for b in flags],
        [reduction.legacy_get_enum(a, b, False) for a in flags for b in flags],
        [reduction.get_enum(r) for r in ("none", "mean", "sum")],
        raised(reduction.get_enum, "max"),
        torch.nn.functional._Reduction is reduction,
    ]


def test_names_stand_where_programs_import_them():
    for module, names in {
        "facula._jit_internal": "Optional List BroadcastingList2 Final Future",
        "facula.autograd.grad_mode": "no_grad set_grad_enabled",
        "facula.autograd.anomaly_mode": "detect_anomaly",
        "facula.autograd.function": "InplaceFunction",
        "facula.nn.modules.module": "_addindent _IncompatibleKeys",
        "facula.serialization": "default_restore_location",
    }.items():
        for name in names.split():
            assert hasattr(importlib.import_module(module), name), (module, name)
